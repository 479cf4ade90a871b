"""Opening cases in the panel: folders, files, layers of others, what cannot be read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_gliocam.case import Grid
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.ui.model.state import OpenCase

from ...small_case import make_case
from .test_panel import choice_of, names


def test_opening_a_folder(gliocam: Any, case_folder: Any, qtbot: Any) -> None:
    panel = gliocam.panel
    job = panel.open(case_folder)
    qtbot.waitUntil(lambda: job.ended)
    assert panel.case_view.cases.currentText() == "BraTS2021_00000"
    assert panel.case_view.schemes.currentText().startswith("BraTS until 2021")
    shown = panel.case_view.modalities
    assert {c.currentText() for c in shown.values()} == {
        f"BraTS2021_00000_{m}.nii.gz" for m in ("t1", "t1ce", "t2", "flair")
    }


def test_scheme_can_be_changed(gliocam: Any, case_folder: Any, qtbot: Any) -> None:
    panel, state = gliocam.panel, gliocam.state
    job = panel.open(case_folder)
    qtbot.waitUntil(lambda: job.ended)
    before = state.current.case.expert.labels
    panel.case_view.scheme_requested.emit("brats-2023")
    after = state.current.case.expert
    assert after.scheme == "brats-2023"
    np.testing.assert_array_equal(after.labels, np.where(before == 1, 0, before))
    assert gliocam.viewer.layers["expert labels"].data is after.labels
    panel.case_view.scheme_requested.emit("msd")
    assert "not in the label scheme 'msd'" in panel.message_view.text.text()
    assert panel.case_view.schemes.currentText().startswith("BraTS 2023")


def test_wrong_modality_is_swapped(opened: Any) -> None:
    from napari_gliocam.case import Modality

    panel, viewer, opened = opened.panel, opened.viewer, opened.opened
    t1ce, flair = (opened.case.volumes[m] for m in (Modality.T1CE, Modality.FLAIR))
    panel.case_view.modality_requested.emit(*choice_of(panel, opened, "flair", "t1ce"))
    assert opened.case.volumes[Modality.FLAIR] is t1ce
    assert opened.case.volumes[Modality.T1CE] is flair
    assert viewer.layers["FLAIR"].data is t1ce
    panel.case_view.modality_requested.emit(Modality.T2, -1)
    assert Modality.T2 not in opened.case.volumes
    assert "T2" in names(viewer), "shown as a volume without a modality"
    assert panel.case_view.modalities[Modality.T2].currentText() == "missing"


def test_image_layers_of_others_can_be_chosen(gliocam: Any) -> None:
    from napari_gliocam.case import Modality

    viewer, panel = gliocam.viewer, gliocam.panel
    case = make_case()
    for modality in (Modality.FLAIR, Modality.T2):
        viewer.add_image(
            case.volumes[modality],
            name=f"scan {modality}",
            scale=case.grid.spacing,
            translate=case.grid.origin,
        )
    viewer.add_image(case.volumes[Modality.T1], name="elsewhere")
    panel.case_view.modality_requested.emit(Modality.FLAIR, 0)
    opened = gliocam.state.current
    assert opened.case.volumes[Modality.FLAIR] is case.volumes[Modality.FLAIR]
    np.testing.assert_allclose(opened.case.grid.spacing, case.grid.spacing)
    np.testing.assert_allclose(opened.case.grid.origin, case.grid.origin)
    titles = [s.title for s in panel._sources]
    panel.case_view.modality_requested.emit(Modality.T2, titles.index("scan t2"))
    assert set(opened.case.volumes) == {Modality.FLAIR, Modality.T2}
    titles = [s.title for s in panel._sources]
    panel.case_view.modality_requested.emit(Modality.T1, titles.index("elsewhere"))
    assert "lies elsewhere than the case" in panel.message_view.text.text()


@pytest.mark.turn_by_turn
def test_layers_come_one_by_one_and_the_window_lives_between(
    gliocam: Any, case_folder: Any, qtbot: Any
) -> None:
    panel, viewer = gliocam.panel, gliocam.viewer
    came: list[str] = []
    viewer.layers.events.inserted.connect(lambda event: came.append(event.value.name))
    beats: list[int] = []
    timer = QTimer(panel)
    timer.timeout.connect(lambda: beats.append(len(viewer.layers)))
    timer.start(1)
    panel.open(case_folder)
    qtbot.waitUntil(lambda: len(came) == 5 and panel.session.turns.idle)
    assert came[0] == "FLAIR", "the image that is seen comes first"
    assert names(viewer) == ["T1", "T2", "T1ce", "FLAIR", "expert labels"]
    assert viewer.layers.selection.active.name == "FLAIR"
    assert set(beats) >= {1, 2, 3, 4}, "the event loop runs between two layers"
    panel.session.set_refinement(Refinement.nothing())
    panel.segment()
    qtbot.waitUntil(lambda: len(came) == 6)
    assert came[5] == "segmentation"
    assert names(viewer)[-1] == "segmentation"


@pytest.mark.turn_by_turn
def test_a_case_closed_while_its_layers_come_stays_closed(
    gliocam: Any, case_folder: Any, qtbot: Any
) -> None:
    panel = gliocam.panel
    panel.open(case_folder)
    qtbot.waitUntil(lambda: bool(gliocam.state.open_cases))
    panel.session.close_case()
    qtbot.waitUntil(lambda: panel.session.turns.idle)
    assert names(gliocam.viewer) == []
    assert gliocam.state.current is None


def test_unknown_files_are_asked_for(gliocam: Any, tmp_path: Any, qtbot: Any) -> None:
    from napari_gliocam.case import Modality

    from ...small_case import write_case

    panel = gliocam.panel
    folder = write_case(make_case("x"), tmp_path / "x")
    for path in folder.glob("*.nii.gz"):
        word = {"flair": "alpha", "t1": "beta", "t2": "gamma"}.get(path.name[2:-7])
        path.unlink() if word is None else path.rename(folder / f"{word}.nii.gz")
    job = panel.open(folder)
    qtbot.waitUntil(lambda: job.ended)
    assert "do not tell which modality is which" in panel.message_view.text.text()
    assert not panel.run_view.segment_button.isEnabled()
    assert {"alpha.nii.gz", "beta.nii.gz", "gamma.nii.gz"} == set(names(gliocam.viewer))
    index = [s.title for s in panel._sources].index("alpha.nii.gz")
    panel.case_view.modality_requested.emit(Modality.FLAIR, index)
    assert gliocam.state.current.case.sources[Modality.FLAIR].name == "alpha.nii.gz"
    button = panel.run_view.segment_button
    assert not button.isEnabled(), "the others may be parts of the case"
    assert "Choose under Files which file is T1 and T1ce and T2" in button.toolTip()
    assert panel.segment() is None
    assert "Choose under Files" in panel.message_view.text.text()
    index = [s.title for s in panel._sources].index("gamma.nii.gz")
    panel.case_view.modality_requested.emit(Modality.T2, index)
    for missing in (Modality.T1, Modality.T1CE):
        assert not button.isEnabled()
        panel.case_view.modality_requested.emit(missing, -1)
    assert button.isEnabled()
    assert "Choose" not in button.toolTip()
    assert "FLAIR" in names(gliocam.viewer)
    assert "alpha.nii.gz" not in names(gliocam.viewer)


def test_bad_input_is_one_sentence_and_nothing_is_lost(
    segmented: Any, tmp_path: Any, qtbot: Any
) -> None:
    panel = segmented.panel
    before = names(segmented.viewer)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text_flair.nii").write_text("no image")
    (tmp_path / "cut_t2.nii.gz").write_bytes(b"\x1f\x8b\x08\x00abc")
    for name in ("empty", "text_flair.nii", "cut_t2.nii.gz", "nothing here.nii"):
        job = panel.open(tmp_path / name)
        qtbot.waitUntil(lambda job=job: job.ended)
        text = panel.message_view.text.text()
        assert name in text
        assert ";" in text, "a remedy"
        assert text.count(".  ") == 0
        assert names(segmented.viewer) == before
        panel.message_view.close_button.click()


def test_a_second_case_elsewhere_is_in_view_and_selected(opened: Any, qtbot: Any) -> None:
    viewer, panel = opened.viewer, opened.panel
    first, case = opened.opened, make_case("second", seed=1)
    affine = case.grid.affine.copy()
    affine[:3, 3] += (700, -900, 500)
    second = OpenCase(replace(case, grid=Grid(affine, case.grid.file_shape)))
    panel.session.layers.add_case(second)
    for one, act in (
        (second, lambda: qtbot.wait(20)),
        (first, lambda: panel.case_view.cases.activated.emit(0)),
        (second, lambda: panel.case_view.cases.activated.emit(1)),
        (second, lambda: viewer.reset_view()),
    ):
        act()
        grid = one.case.grid
        assert opened.state.current is one
        assert viewer.layers.selection.active.name == f"FLAIR · {one.case.name}"
        inside = np.round(np.subtract(viewer.dims.point, grid.origin) / grid.spacing)
        assert ((inside >= 0) & (inside < grid.shape)).all(), "the other planes show it, too"
        middle = np.add(grid.origin, np.multiply(np.subtract(grid.shape, 1), grid.spacing) / 2)
        np.testing.assert_allclose(viewer.scene.camera.center[1:], middle[1:], atol=2)
        assert viewer.scene.camera.zoom == pytest.approx(_fitting(viewer, grid), rel=0.1)


def _fitting(viewer: Any, grid: Grid) -> float:
    """Pixels of the canvas for each mm at which an axial slice fills it."""
    height, width = np.multiply(grid.shape, grid.spacing)[1:]
    return float(min(viewer.canvas.size[0] / height, viewer.canvas.size[1] / width)) * 0.95
