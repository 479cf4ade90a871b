"""Numbers in sentences and tables."""

from __future__ import annotations

from napari_gliocam.wording import (
    counted,
    digits_apart,
    duration,
    figure,
    nearest,
    no_such,
    spread,
)


def test_nouns_agree_with_their_number() -> None:
    assert counted(1, "slice") == "1 slice"
    assert counted(0, "slice") == "0 slices"
    assert counted(1204, "slice") == "1,204 slices"
    assert counted(2, "class", "classes") == "2 classes"


def test_an_undefined_figure_is_a_dash() -> None:
    assert figure(0.12345, 2) == "0.12"
    assert figure(None, 2) == figure(float("nan"), 2) == "–"
    assert figure(None, 1, "no lesion") == "no lesion"
    assert figure(None, 1, unit="ml") == "–"


def test_a_figure_has_its_unit_its_sign_and_its_spread() -> None:
    assert figure(12.34, 1, unit="ml") == "12.3 ml"
    assert [figure(v, 1, sign="+") for v in (0.5, 0.0, -0.5)] == ["+0.5", "+0.0", "-0.5"]
    assert spread(0.81234, 0.0912, 3) == "0.812 ± 0.091"
    assert spread(0.5, None, 1, sign="+") == "+0.5"
    assert spread(None, None, 3) == "–"


def test_a_value_near_its_limit_has_the_digits_that_tell_them_apart() -> None:
    assert [digits_apart(v, 0.5) for v in (0.2, 0.497, 0.49996, 0.5)] == [2, 3, 5, 2]


def test_times_are_seconds_minutes_or_hours() -> None:
    assert [duration(seconds) for seconds in (0.2, 45.4, 119, 720, 9000)] == [
        *("1 s", "45 s", "119 s", "12 min", "2.5 h")
    ]


def test_the_nearest_name_is_found_in_any_case() -> None:
    assert nearest("deeplap", ["DeepLab", "crf"]) == "DeepLab"
    assert nearest("zzz", ["DeepLab", "crf"]) == ""
    assert no_such("Blurr", ["mean", "blur"], "baseline") == (
        'There is no baseline "Blurr"; did you mean "blur"? The choices are mean, blur.'
    )
