"""Tests of a comparison's maps: the view alone, and the work on a tiny network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.case import Case, Modality
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.compare.trust_view import TrustView
from napari_gliocam.ui.compare.trust_work import MapTests, TrustRow
from napari_gliocam.ui.compare.work import Comparing
from napari_gliocam.ui.jobs.work import Ready

from ...small_case import make_case

FRACTIONS = np.linspace(0, 1, 5)


def row(method: str, height: float, passed: bool = True) -> TrustRow:
    falling = height * (1 - FRACTIONS)
    lines = {"deletion": (FRACTIONS, falling), "insertion": (FRACTIONS, height - falling)}
    figures = {"deletion": height / 2, "insertion": height / 2, "randomisation": float(passed)}
    return TrustRow(method, "core", lines, figures, "FLAIR 71 %, T2 29 %")  # type: ignore[arg-type]


@pytest.fixture
def view(qtbot: Any) -> TrustView:
    view = TrustView()
    qtbot.addWidget(view)
    return view


def test_nothing_is_shown_before_a_test(view: TrustView) -> None:
    assert view.plot.isHidden()
    assert view.table.isHidden()
    assert not view.run.button.isEnabled()


def test_curves_verdicts_and_sequences(view: TrustView) -> None:
    view.set_rows([row("GradCAM 4", 0.8), row("Exit map 4", 0.4, passed=False)], "Slice 7. ")
    assert len(view.plot.getPlotItem().curves) == 4
    assert view.table.horizontalHeaderItem(2).text() == "Exit map 4"
    lines = [[view.table.item(line, column).text() for column in range(3)] for line in range(3)]
    assert lines == [
        ["Deletion", "0.40", "0.20"],
        ["Insertion", "0.40", "0.20"],
        ["Randomisation", "passed", "failed"],
    ]
    assert view.note.text().count("comes from FLAIR 71 %, T2 29 %") == 1
    assert "Slice 7" in view.note.text()
    assert "Exit map 4; do not rely on it" in view.note.text()
    nothing = TrustRow("LayerCAM 4", "edema", {}, {}, "", ("The map is empty.",))
    view.set_rows([nothing], "Slice 7. ")
    assert view.table.rowCount() == 0
    assert "The map is empty." in view.note.text()
    view.set_rows([], "")
    assert view.plot.isHidden()


def test_a_click_asks_for_the_nearest_curve_and_the_picture_is_shown(view: TrustView) -> None:
    asked: list[tuple[Any, ...]] = []
    view.step_requested.connect(lambda *step: asked.append(step))
    view.choose(0.5, 0.5)
    assert asked == []
    view.set_rows([row("GradCAM 4", 0.8), row("Exit map 4", 0.4)], "Slice 7. ")
    view.choose(0.25, 0.58)
    view.choose(0.25, 0.12)
    view.choose(3.0, 0.79)
    assert asked == [
        ("GradCAM 4", "core", "deletion", 0.25),
        ("Exit map 4", "core", "insertion", 0.25),
        ("GradCAM 4", "core", "insertion", 1.0),
    ]
    view.set_picture(np.full((20, 30), 99, np.uint8), "23 % of the brain deleted")
    assert view.picture.pixmap().height() == round(96 * 20 / 30)
    assert "deleted" in view.caption.text()
    view.set_rows([], "")
    assert view.picture.isHidden()


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> MapTests:
    import torch

    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.nets.gliocam import GliocamNet
    from napari_gliocam.ui.jobs import work

    torch.manual_seed(0)
    bundle = Bundle(BundleInfo("tiny", "random", "CC0-1.0", width=4), GliocamNet(width=4).eval())
    monkeypatch.setattr(work, "loaded", lambda path: bundle)
    case: Case = make_case()
    index = case.grid.shape[0] // 2
    request = CompareRequest(("gradcam", "guided"), TARGETS, scope=index, gate=False)
    comparing = Comparing(Ready(case, None, "cpu"), request)
    list(comparing.run())
    assert set(comparing.recipes) == {"GradCAM 4", "Guided aggregate"}
    return MapTests(comparing, comparing.maps, index)


def test_every_map_of_a_comparison_is_tested(tests: MapTests) -> None:
    assert tests.rows == []
    list(tests.run())
    assert {(r.method, r.target) for r in tests.rows} == {
        (m, t) for m in ("GradCAM 4", "Guided aggregate") for t in TARGETS
    }
    for one in tests.rows:
        assert one.sequences
        assert bool(one.lines) or "ranks no pixel" in " ".join(one.reasons)
        assert "without a sequence; read shares with caution" in one.reasons[-1]
        assert one.lesions == ()  # a slice by itself
        shares = one.portions(None)
        assert shares.keys() == {"class", "map"}
        assert shares == one.portions(tests.slices[0]) == one.portions(0)
        assert all(sum(map(abs, part.values())) == pytest.approx(1) for part in shares.values())
    shown, (index,) = next(r for r in tests.rows if r.lines), tests.slices
    whole = tests.picture(shown.method, shown.target, "deletion", 0.0, index)
    half = tests.picture(shown.method, shown.target, "deletion", 0.5, index)
    assert whole.dtype == np.uint8
    assert (whole != half).any()
    np.testing.assert_array_equal(
        whole, tests.picture(shown.method, shown.target, "insertion", 1.0, index)
    )


def test_an_ensemble_is_tested_as_far_as_it_goes(tests: MapTests) -> None:
    index = tests.scope
    union = replace(tests._comparing.maps[0], name="Union")
    tests = MapTests(tests._comparing, [union], index)
    list(tests.run())
    for one in tests.rows:
        assert "randomisation" not in one.figures
        assert not one.fails
        assert one.shares is None
        assert one.portions(index) == {}
        assert "The map cannot be made again." in one.reasons
    assert any(one.lines for one in tests.rows)


@pytest.mark.parametrize("scope", ["lesion", "case"])
def test_several_slices_are_tested_as_one(tests: MapTests, scope: str) -> None:
    many = CompareRequest(("guided",), ("core",), scope="case", gate=False)
    comparing = Comparing(tests._comparing.ready, many)
    list(comparing.run())
    tests = MapTests(comparing, comparing.maps, scope)
    list(tests.run())
    (row,) = tests.rows
    assert scope == "lesion" or len(tests.slices) > 1
    assert {"deletion", "insertion"} == set(row.lines) or "see no core" in " ".join(row.reasons)
    for _, shares in row.lesions:
        assert set(shares) == {Modality.T1CE, Modality.T2, Modality.FLAIR}
        assert sum(map(abs, shares.values())) == pytest.approx(1)
    if len(tests.slices) > 1:
        index = tests.slices[1]
        assert row.portions(index).keys() == {f"class slice {index}", f"map slice {index}"}
        mean = row.portions(None)
        assert mean == row.portions(-1)
        assert mean.keys() == {f"{w} of {len(row.shares.logits)} slices" for w in ("class", "map")}
        assert row.portions(index)[f"class slice {index}"] == row.shares.of_logit([index]).shares


def test_the_view_names_lesions_and_asks_for_a_scope(view: TrustView) -> None:
    asked: list[str] = []
    view.test_requested.connect(lambda *words: asked.extend(words))
    view.set_ready(True)
    view.scope.setCurrentIndex(1)
    view.fill.setCurrentIndex(2)
    view.run.button.click()
    assert asked == ["lesion", "mirror"]
    one = replace(
        row("GradCAM 4", 0.8, False), lesions=((1, {Modality.T1CE: 0.9, Modality.FLAIR: -0.1}),)
    )
    assert one.verdict == "fails randomisation"
    view.set_rows([one], "Mean of 12 slices, 60 to 90. ")
    texts = [view.lesions.item(0, column).text() for column in range(4)]
    assert texts == ["Lesion 1", "GradCAM 4", "90 %", "−10 %"]
    assert "12 slices" in view.note.text()


def test_closing_keeps_what_is_there(tests: MapTests) -> None:
    work = tests.run()
    for _ in work:
        if any(r.lines for r in tests.rows):
            work.close()
    assert any(r.lines for r in tests.rows)
    assert len(tests.rows) < 6
