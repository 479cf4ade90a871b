"""Small cases, a stand-in for the networks, and the real panel in a real viewer."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.maps.class_maps import ClassMaps, NetworkTrace
from napari_gliocam.nets.bundle import BundleInfo
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.slices import frame_slices
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import engine, files
from napari_gliocam.ui.model import state
from napari_gliocam.ui.plugin import commands, preference

SHAPE = (20, 48, 40)
SPACING = (5.0, 3.0, 3.0)


def make_case(name: str = "small", seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Case:
    """An ellipsoid of a brain with a bright ball, its centre core, its rim edema."""
    slices, rows, columns = shape
    affine = np.array(
        [
            [-SPACING[2], 0, 0, 60.0],
            [0, -SPACING[1], 0, 70.0],
            [0, 0, SPACING[0], -50.0],
            [0, 0, 0, 1],
        ]
    )
    grid = Grid(affine, (columns, rows, slices))
    rng = np.random.default_rng(seed)
    s, p, l = np.ogrid[:slices, :rows, :columns]
    brain = _ball(s, p, l, shape, (0.5, 0.5, 0.5), 0.42) < 1
    lesion = _ball(s, p, l, shape, (0.6, 0.4, 0.6), 0.18)
    volumes = {}
    for modality in Modality:
        volume = rng.normal(500, 40, shape)
        volume[lesion < 1] += 400
        volumes[modality] = np.where(brain, np.clip(volume, 1, None), 0).astype(np.int16)
    truth = np.where(lesion < 0.5, 1, np.where(lesion < 1, 2, 0)).astype(np.uint8) * brain
    return Case(name, volumes, grid, expert=ExpertLabels(truth.astype(np.uint8), "gliocam"))


def _ball(s: Any, p: Any, l: Any, shape: Any, centre: Any, radius: float) -> Any:
    parts = [
        ((axis - n * c) / (n * radius)) ** 2
        for axis, n, c in zip((s, p, l), shape, centre, strict=True)
    ]
    return np.sqrt(sum(parts))


def make_maps(case: Case, seed: int = 0) -> ClassMaps:
    """Smooth maps around the bright ball, noise in the exits."""
    shape = case.grid.shape
    s, p, l = np.ogrid[: shape[0], : shape[1], : shape[2]]
    distance = _ball(s, p, l, shape, (0.6, 0.4, 0.6), 0.18)
    tumour = np.exp(-0.7 * distance**2).astype(np.float32)
    core = np.clip(1.2 - distance, 0, 1).astype(np.float32)
    edema = np.exp(-(((distance - 0.9) / 0.5) ** 2)).astype(np.float32)
    frame = frame_slices(case, 3.0, 1.0, 6.0)
    height, width = frame.network_shape
    rng = np.random.default_rng(seed)

    def noise(factor: int) -> Any:
        return rng.random((len(frame), height // factor, width // factor)).astype(np.float16)

    return ClassMaps(
        grid=case.grid,
        tumour=tumour,
        core=core,
        edema=edema,
        probabilities=np.stack([m.max(axis=(1, 2)) for m in (tumour, core, edema)], axis=1),
        provenance={"bundle": {"name": "stand-in"}, "seconds": {"networks": 0.0}},
        trace=NetworkTrace(
            frame=frame,
            exits={t: tuple(noise(f) for f in (2, 4, 8, 8)) for t in TARGETS},
            guided={"core": noise(1), "edema": noise(1)},
        ),
    )


class StandIn:
    """Takes the place of the networks: slow enough to be watched, quick enough for a test."""

    def __init__(self) -> None:
        self.runs = 0
        self.steps = 10
        self.delay = 0.01
        self.error: Exception | None = None
        self.closed = 0

    def __call__(
        self, case: Case, *, bundle: object = None, device: str = "auto"
    ) -> Generator[Progress, None, ClassMaps]:
        self.runs += 1
        try:
            for step in range(self.steps):
                time.sleep(self.delay)
                yield Progress(step + 1, self.steps, "running the networks")
            if self.error is not None:
                raise self.error
        except GeneratorExit:
            self.closed += 1
            raise
        return make_maps(case, seed=self.runs)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The networks' stand-in; no torch anywhere."""
    made = StandIn()
    monkeypatch.setattr("napari_gliocam.segmentation.compute_maps", made)
    monkeypatch.setattr(
        work,
        "loaded",
        lambda bundle: SimpleNamespace(info=BundleInfo("stand-in", "made for a test", "CC0-1.0")),
    )
    monkeypatch.setattr(work, "devices", lambda: (("auto", "Automatic: CPU"), ("cpu", "CPU")))
    monkeypatch.setattr(work, "phantom", lambda kind, seed=0: make_case(f"phantom-{kind}"))
    info = SimpleNamespace(
        name="stand-in",
        origin="Made for a test.",
        licence="BSD-3-Clause",
        modalities=(Modality.T1CE, Modality.T2, Modality.FLAIR),
        optional_modalities=(),
        path=Path("stand-in"),
    )
    monkeypatch.setattr("napari_gliocam.nets.bundle.read_bundle_info", lambda path=None: info)
    return made


@pytest.fixture(autouse=True)
def preferences(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """napari's preferences for readers, empty and never written to the user's own."""
    made = SimpleNamespace(extension2reader={})
    monkeypatch.setattr(preference, "get_preferences", lambda: made)
    monkeypatch.setattr(preference, "get_defaults", preference.Defaults)
    return made


@pytest.fixture(autouse=True)
def _quiet_engines() -> Generator[None, None, None]:
    """No job of one test runs into the next."""
    yield
    for one in (engine(), files()):
        one.cancel_all()
        assert one.wait_idle(10)


def press_on_canvas(viewer: Any, key: str) -> None:
    """Press a key as a hand does: a Qt event on the canvas, with napari's hook for exceptions."""
    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    shift, _, letter = key.rpartition("-")
    modifier = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
    viewer = getattr(viewer, "__wrapped__", viewer)
    canvas = viewer.window._qt_viewer.canvas.native
    failures: list[Any] = []
    notification_manager.notification_ready.connect(failures.append)
    try:
        with notification_manager:
            QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{letter.upper()}"), modifier)
    finally:
        notification_manager.notification_ready.disconnect(failures.append)
    assert not failures, failures


@pytest.fixture
def case() -> Case:
    return make_case()


def write_case(case: Case, folder: Path, pattern: str = "{name}_{modality}.nii.gz") -> Path:
    """Write a case as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for modality, volume in case.volumes.items():
        image = nib.Nifti1Image(case.grid.to_file(volume), case.grid.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, folder / pattern.format(name=case.name, modality=modality.value))
    if case.expert is not None:
        labels = np.array([0, 4, 2], dtype=np.uint8)[case.expert.labels]
        image = nib.Nifti1Image(case.grid.to_file(labels), case.grid.affine)
        nib.save(image, folder / pattern.format(name=case.name, modality="seg"))
    return folder


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    """Four modalities and expert labels, named as BraTS 2021 does."""
    return write_case(make_case("BraTS2021_00000"), tmp_path / "BraTS2021_00000")


@pytest.fixture
def make_panel(make_napari_viewer_proxy: Any, stand_in: StandIn, qtbot: Any) -> Callable[[], Any]:
    """Make a viewer with the panel docked, as the menu does it."""

    def make() -> Any:
        viewer = make_napari_viewer_proxy()
        _, panel = viewer.window.add_plugin_dock_widget("napari-gliocam", "Gliocam")
        panel = getattr(panel, "__wrapped__", panel)
        qtbot.waitUntil(lambda: len(panel.state.devices) > 1)
        return SimpleNamespace(viewer=viewer, panel=panel, state=panel.state)

    return make


@pytest.fixture
def gliocam(make_panel: Callable[[], Any]) -> Any:
    """A viewer with the panel: ``.viewer``, ``.panel``, ``.state``."""
    return make_panel()


@pytest.fixture
def opened(gliocam: Any, case: Case) -> Any:
    """The panel with a case in it."""
    gliocam.opened = state.OpenCase(case)
    gliocam.panel.session.layers.add_case(gliocam.opened)
    return gliocam


@pytest.fixture
def segmented(opened: Any, qtbot: Any) -> Any:
    """The panel with a case that was segmented and is not refined."""
    opened.panel.session.set_refinement(Refinement.nothing())
    job = opened.panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    assert opened.opened.maps is not None
    return opened


@pytest.fixture(scope="session", autouse=True)
def _thaw() -> Generator[None, None, None]:
    """What was kept from the collector is given back at the end."""
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _little_garbage() -> None:
    """napari collects garbage for every layer and viewer that goes: let it look at less."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _keys_once() -> None:
    """Keys are bound to the class of viewers, once for all tests."""
    commands.bind_keys()
