"""The whole main job as a user does it: open, Segment, thresholds, maps, save, reopen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.io.sidecar import read_choices
from napari_gliocam.progress import finish
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.refine.run import refine
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds

TIMEOUT_MS = 120_000


def segment(gliocam: Any, qtbot: Any) -> Any:
    """Click Segment and wait; real counts are seen on the way."""
    panel = gliocam.panel
    seen = []
    gliocam.state.events.progress.connect(lambda p: seen.append(p) if p else None)
    panel.run_view.segment_button.click()
    assert gliocam.state.running is gliocam.state.current
    qtbot.waitUntil(lambda: gliocam.state.running is None, timeout=TIMEOUT_MS)
    opened = gliocam.state.current
    assert opened.result is not None, gliocam.state.message
    networks = [p for p in seen if p.total == len(opened.result.maps.trace.frame)]
    assert {p.done for p in networks} >= {0, len(opened.result.maps.trace.frame)}
    return opened


def check_labels(layer: Any, opened: Any, settings: Thresholds) -> None:
    """The layer shows what the default refinement made of the labels at these thresholds."""
    refined, cut = opened.result.current, apply_thresholds(opened.result.maps, settings)
    assert refined.refinement == Refinement()
    np.testing.assert_array_equal(refined.unrefined.labels, cut.labels)
    again = finish(refine(cut, opened.case, Refinement()))
    np.testing.assert_array_equal(layer.data, again.labels)


def drag(slider: Any, to: float, qtbot: Any) -> None:
    """Move a slider in steps, as a hand does."""
    for value in np.linspace(slider.value(), to, 8)[1:]:
        slider.setValue(float(value))
        qtbot.wait(15)
    slider.sliderReleased.emit()


def work_through(gliocam: Any, qtbot: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything after the case is open."""
    viewer, panel = gliocam.viewer, gliocam.panel
    opened = segment(gliocam, qtbot)
    labels = viewer.layers["segmentation"]
    check_labels(labels, opened, Thresholds())

    def refuse(*args: Any) -> None:
        raise AssertionError("a network ran for a threshold")

    monkeypatch.setattr("napari_gliocam.segmentation.compute_maps", refuse)
    panel.threshold_view.gate.setChecked(False)
    brain = opened.case.brain
    tumour = round(float(np.quantile(opened.result.maps.tumour[brain], 0.9)), 2)
    class_ = round(
        float(np.quantile(opened.result.maps.edema[opened.result.maps.tumour > tumour], 0.5)), 2
    )
    drag(panel.threshold_view.tumour, tumour, qtbot)
    drag(panel.threshold_view.class_, class_, qtbot)
    qtbot.waitUntil(lambda: not opened.result.thresholded.pending)
    wanted = Thresholds(tumour, class_, gate=False)
    assert opened.settings == wanted
    qtbot.waitUntil(lambda: opened.result.current is not None, timeout=TIMEOUT_MS)
    check_labels(labels, opened, wanted)
    assert labels.data.any()

    button = panel.maps_view.buttons["exit 3", "edema"]
    button.click()
    shown = viewer.layers["edema exit 3"]
    assert shown.visible
    assert shown.data.shape == opened.case.grid.shape
    assert 0 <= shown.data.min() <= shown.data.max() <= 1
    button.click()
    assert not shown.visible

    path = out / f"{opened.case.name}_seg.nii.gz"
    before = labels.data.copy()
    job = panel.save(path)
    qtbot.waitUntil(lambda: job.ended, timeout=TIMEOUT_MS)
    written = json.loads((out / f"{opened.case.name}.json").read_text())
    assert read_choices(out / f"{opened.case.name}.json") == (wanted, Refinement())
    assert written["settings"]["tumour_threshold"] == tumour
    volume = opened.result.volumes_ml["tumour"]
    assert written["volumes_ml"]["tumour"] == pytest.approx(volume, abs=5e-4)
    image = nib.load(path)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, opened.case.grid.affine)
    in_file = np.asarray(image.dataobj)
    np.testing.assert_array_equal(opened.case.grid.from_file(in_file), before)

    scale, translate = tuple(labels.scale), tuple(labels.translate)
    viewer.layers.clear()
    viewer.open(path, plugin="napari-gliocam")
    (again,) = viewer.layers
    np.testing.assert_array_equal(again.data, before)
    assert tuple(again.scale) == pytest.approx(scale)
    assert tuple(again.translate) == pytest.approx(translate)
    assert {str(unit) for unit in again.units} == {"millimeter"}


@pytest.mark.usefixtures("small_phantom")
def test_sample(gliocam: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gliocam.viewer.open_sample("napari-gliocam", "enhancing")
    assert gliocam.state.current.case.name.startswith("phantom-enhancing")
    work_through(gliocam, qtbot, tmp_path, monkeypatch)


def test_real_case(
    gliocam: Any, qtbot: Any, tmp_path: Path, real_case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gliocam.viewer.open(real_case, plugin="napari-gliocam")
    opened = gliocam.state.current
    assert opened.case.name == real_case.name
    assert set(opened.case.volumes) == set(Modality)
    work_through(gliocam, qtbot, tmp_path, monkeypatch)
    source = nib.load(opened.case.sources[Modality.FLAIR])
    saved = nib.load(tmp_path / f"{opened.case.name}_seg.nii.gz")
    for code in ("sform_code", "qform_code", "xyzt_units"):
        assert saved.header[code] == source.header[code]
    np.testing.assert_array_equal(saved.affine, source.affine)


@pytest.mark.usefixtures("small_phantom")
def test_cancel_changes_nothing(gliocam: Any, qtbot: Any) -> None:
    from napari_gliocam.ui.jobs.engine import engine

    viewer, panel = gliocam.viewer, gliocam.panel
    viewer.open_sample("napari-gliocam", "low-grade")
    before = [(layer, layer.data) for layer in viewer.layers]
    job = panel.segment()
    qtbot.waitUntil(
        lambda: gliocam.state.progress is not None and gliocam.state.progress.done > 0,
        timeout=TIMEOUT_MS,
    )
    panel.run_view.cancel_button.click()
    assert engine().wait_idle(30)  # how fast: benchmarks/segment.py
    qtbot.waitUntil(lambda: job.ended)
    assert [(layer, id(layer.data)) for layer in viewer.layers] == [
        (layer, id(data)) for layer, data in before
    ]


@pytest.mark.usefixtures("small_phantom")
def test_demo(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: Any) -> None:
    from napari_gliocam.nets.bundle_info import read_bundle_info
    from napari_gliocam.ui.demo import run_demo

    info = read_bundle_info(bundle)
    monkeypatch.setattr("napari_gliocam.nets.bundle_info.read_bundle_info", lambda path=None: info)
    assert run_demo(tmp_path / "demo-output") == 0
    out = tmp_path / "demo-output"
    report = json.loads((out / "demo.json").read_text())
    assert set(report["files"]) == {path.name for path in out.iterdir()}
    assert set(report["dice"]) == set(report["volumes_ml"]) == {"tumour", "core", "edema"}
    for name, (low, high) in report["range_ml"].items():  # the picture has it, too
        assert low <= report["volumes_ml"][name] <= high
    assert set(report["range_ml"]) == set(report["volumes_ml"])
    assert report["seconds"]["segment"] > 0
    assert (out / "window.png").stat().st_size > 10_000
    assert len(list(out.glob("*_report.html"))) == 1
