import csv
import json

import pytest

from napari_gliocam.errors import GliocamError, SaveError
from napari_gliocam.measure import Evaluation, EvaluationSettings
from napari_gliocam.measure.evaluation.record import Key
from napari_gliocam.measure.evaluation.report import (
    FILE_NAMES,
    compare_with,
    load_evaluation,
    saved_figures,
)

DICE = Key("volume", "core", "dice")


@pytest.fixture
def records(make_record):
    return [
        make_record(case, found, method)
        for case, found in (("a", 5), ("b", 9), ("Ä, b", 3))
        for method in ("gliocam", "nothing")
    ]


@pytest.fixture
def saved(records, tmp_path):
    Evaluation(records).save(tmp_path / "one")
    return tmp_path / "one" / "evaluation.json"


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_three_files(records, tmp_path):
    failed = [{"case": "c", "source": "c", "error": "no"}]
    evaluation = Evaluation(records, source={"bundle": "mine"}, failed=failed)
    files = evaluation.save(tmp_path / "new" / "folder")
    assert [path.name for path in files] == [*FILE_NAMES]
    document = json.loads(files[0].read_text(encoding="utf-8"))
    assert [case["case"] for case in document["cases"]] == ["a", "a", "b", "b", "Ä, b", "Ä, b"]
    assert document["source"] == {"bundle": "mine"}
    assert document["failed"] == failed
    assert document["settings"]["hd95"] == "pooled"
    assert set(document["conventions"]) == {"present-slices", "volume", "all-slices", "pooled"}
    assert document["against"] is None


def test_the_csv_has_a_row_a_case_method_and_target(records, tmp_path):
    _, cases, summary = Evaluation(records).save(tmp_path)
    table = rows(cases)
    assert len(table) == 3 * 2 * 3
    row = next(
        r for r in table if (r["case"], r["method"], r["target"]) == ("b", "gliocam", "core")
    )
    assert float(row["volume_dice"]) == pytest.approx(18 / 19)
    assert row["image_level_auc"] == ""
    assert row["voxels_expert"] == "10"
    means = rows(summary)
    (mean,) = (
        r
        for r in means
        if tuple(r[k] for k in ("method", "group", "target", "metric")) == ("gliocam", *DICE)
    )
    assert float(mean["mean"]) == pytest.approx((10 / 15 + 18 / 19 + 6 / 13) / 3)
    assert mean["n"] == "3"


def test_earlier_files_are_kept(records, saved):
    with pytest.raises(SaveError, match="exists"):
        Evaluation(records).save(saved.parent)
    Evaluation(records[:2]).save(saved.parent, overwrite=True)
    assert len(load_evaluation(saved)["cases"]) == 2


def test_what_was_saved_is_what_was_measured(records, saved):
    figures = saved_figures(load_evaluation(saved))
    for record in records:
        if record.method == "gliocam":
            assert figures[record.case] == dict(record.figures())


def test_two_runs_are_compared_by_case(make_record, saved):
    now = [make_record("a", 8), make_record("b", 9), make_record("new", 1)]
    against = compare_with(now, EvaluationSettings(), saved)
    assert against.common == ("a", "b")
    assert against.only_here == ("new",)
    assert against.only_there == ("Ä, b",)
    test = against.tests[DICE]
    assert test.n == 2
    assert test.difference == pytest.approx((16 / 18 - 10 / 15) / 2)
    document = Evaluation(now, against=against).to_json()
    json.dumps(document, allow_nan=False)
    (written,) = (t for t in document["against"]["tests"] if Key(*list(t.values())[:3]) == DICE)
    assert written["p"] == test.p


def test_no_case_in_common_is_a_sentence(make_record, saved):
    with pytest.raises(GliocamError, match="none of these cases"):
        compare_with([make_record("new", 1)], EvaluationSettings(), saved)


def test_figures_of_other_settings_are_not_compared(records, saved):
    with pytest.raises(GliocamError, match="hd95 pooled, this run with max-directed"):
        compare_with(records, EvaluationSettings(hd95="max-directed"), saved)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"settings": {}, "cases": [1]}', '{"cases": [], "settings": 5}', "\0"]
)
def test_what_is_no_evaluation_is_a_sentence(text, tmp_path):
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(GliocamError, match=r"some\.json is no evaluation"):
        load_evaluation(path)
    with pytest.raises(GliocamError, match="cannot be read"):
        load_evaluation(tmp_path / "nothing.json")
