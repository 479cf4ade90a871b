"""Nothing is lost: work after a crash, and a saved result that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_gliocam.io import unsaved
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.jobs.engine import files
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.panel import unsaved_run
from napari_gliocam.ui.panel.saving import ways_to_save
from napari_gliocam.ui.plugin import preference

from ...small_case import make_case
from .test_painting import stroke
from .test_refinement import FakeRefinement, fake

__all__ = ["fake"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsaved, "unsaved_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr(unsaved_run, "REST_MS", 1)


def reopen(gliocam: Any) -> OpenCase:
    """Open the same images as a program that was started again would."""
    before = gliocam.opened
    gliocam.panel.session.layers.close_case(before)
    fresh = OpenCase(before.case)
    gliocam.panel.session.layers.add_case(fresh)
    return fresh


def test_strokes_and_settings_outlive_a_crash(segmented: Any, qtbot: Any) -> None:
    session, view = segmented.panel.session, segmented.panel.case_view
    settings = Thresholds(tumour_threshold=0.3)
    session.set_settings(settings)
    session.settle()
    layer = segmented.viewer.layers["segmentation"]
    index = next(i for i in range(len(layer.data)) if not layer.data[i, 2:5, 2:5].any())
    part = stroke(layer, index, 1)
    session.unsaved_run._keep()
    qtbot.waitUntil(lambda: unsaved.find_work(segmented.opened.case) is not None)

    fresh = reopen(segmented)
    qtbot.waitUntil(lambda: fresh.unsaved is not None)
    assert not view.restore_button.isHidden()
    view.restore_button.click()
    assert view.restore_button.isHidden()
    qtbot.waitUntil(lambda: fresh.result is not None)
    assert fresh.settings == settings
    assert (segmented.viewer.layers["segmentation"].data[part] == 1).all()
    assert fresh.unsaved_strokes
    qtbot.waitUntil(lambda: segmented.state.running is None)


def test_settings_that_were_undone_are_not_kept(
    segmented: Any, qtbot: Any, fake: FakeRefinement
) -> None:
    session, case = segmented.panel.session, segmented.opened.case
    session.set_refinement(preference.get_defaults().wanted)
    usual = segmented.opened.settings
    session.set_settings(Thresholds(tumour_threshold=0.99, class_threshold=0.99))
    session.settle()
    qtbot.waitUntil(lambda: unsaved.find_work(case) is not None)
    session.set_settings(usual)
    session.settle()
    qtbot.waitUntil(lambda: unsaved.find_work(case) is None)


def test_a_refinement_alone_is_kept(segmented: Any, qtbot: Any, fake: FakeRefinement) -> None:
    session, case = segmented.panel.session, segmented.opened.case
    assert segmented.opened.settings == segmented.opened.usual
    qtbot.waitUntil(lambda: unsaved.find_work(case) is not None)
    assert not unsaved.find_work(case).refinement.changes_something
    session.set_refinement(preference.get_defaults().wanted)
    qtbot.waitUntil(lambda: unsaved.find_work(case) is None)


def test_work_that_is_still_offered_stays(gliocam: Any, qtbot: Any) -> None:
    case = make_case()
    kept = Thresholds(tumour_threshold=0.3)
    unsaved.keep_work(case, kept, Refinement(), None)
    opened = OpenCase(case)
    gliocam.panel.session.layers.add_case(opened)
    qtbot.waitUntil(lambda: opened.unsaved is not None)
    job = gliocam.panel.segment()
    qtbot.waitUntil(lambda: job.ended and opened.result is not None)
    gliocam.panel.session.unsaved_run._keep()
    qtbot.waitUntil(lambda: files().wait_idle(0.01))
    assert unsaved.find_work(case) is not None


def test_work_that_was_saved_or_closed_is_not_kept(
    segmented: Any, qtbot: Any, tmp_path: Path
) -> None:
    session = segmented.panel.session
    stroke(segmented.viewer.layers["segmentation"], 0, 1)
    for end in (
        lambda: session.save(tmp_path / "a_seg.nii.gz"),
        session.close_case,
    ):
        session.unsaved_run._keep()
        end()
        qtbot.waitUntil(lambda: unsaved.find_work(segmented.opened.case) is None)


@pytest.mark.parametrize("with_maps", [True, False])
def test_a_saved_result_goes_on(
    segmented: Any, qtbot: Any, tmp_path: Path, fake: FakeRefinement, with_maps: bool
) -> None:
    session, settings = segmented.panel.session, Thresholds(tumour_threshold=0.3)
    session.set_settings(settings)
    session.settle()
    layer = segmented.viewer.layers["segmentation"]
    index = next(i for i in range(len(layer.data)) if not layer.data[i, 2:5, 2:5].any())
    part = stroke(layer, index, 1)
    session.set_refinement(Refinement())
    path = tmp_path / "case_seg.nii.gz"
    way = ways_to_save(segmented.opened.case)[int(with_maps)]
    written: list[Any] = []
    session.saved.connect(written.append)
    session.save(path, way.write)
    qtbot.waitUntil(lambda: bool(written))
    wanted, maps = layer.data.copy(), segmented.opened.result.maps

    fresh = reopen(segmented)
    job = session.continue_result(path)
    qtbot.waitUntil(lambda: job.ended)
    assert fresh.result is not None, segmented.state.message
    assert (fresh.settings, fresh.refinement) == (settings, Refinement())
    data = segmented.viewer.layers["segmentation"].data
    np.testing.assert_array_equal(data, wanted)
    np.testing.assert_allclose(fresh.result.maps.core, maps.core, atol=1e-6)
    np.testing.assert_allclose(fresh.result.maps.probabilities, maps.probabilities, atol=1e-6)
    assert fresh.result.painted.painted
    assert not fresh.unsaved_strokes
    session.set_settings(Thresholds(tumour_threshold=0.9))
    session.settle()
    assert (data[part] == 1).all(), "thresholds go on under the strokes"
    assert not np.array_equal(data, wanted)


def test_what_cannot_go_on_is_said(gliocam: Any, qtbot: Any, tmp_path: Path) -> None:
    assert gliocam.panel.session.continue_result(tmp_path / "a_seg.nii.gz") is None
    assert "Open the case first" in gliocam.state.message.text


def test_segment_that_is_under_way_goes_on(opened: Any, qtbot: Any, tmp_path: Path) -> None:
    session = opened.panel.session
    session.set_refinement(Refinement.nothing())
    job = session.segment()
    assert session.continue_result(tmp_path / "a_seg.nii.gz") is None
    assert "under way" in opened.state.message.text
    qtbot.waitUntil(lambda: job.ended, timeout=60_000)
    assert opened.opened.result is not None
    assert opened.state.running is None
