"""A stand-in for the networks, and the real panel in a real viewer."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Generator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import engine, files
from napari_gliocam.ui.jobs.turns import Turns
from napari_gliocam.ui.model import state
from napari_gliocam.ui.plugin import commands, preference

from ...small_case import make_case, make_maps, write_case


class StandIn:
    """Takes the place of the networks: slow enough to be watched, quick enough for a test."""

    def __init__(self) -> None:
        self.runs = 0
        self.steps = 10
        self.delay = 0.01
        self.error: Exception | None = None
        self.closed = 0
        self.make_maps = make_maps

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
        return self.make_maps(case, seed=self.runs)


@lru_cache(maxsize=2)
def tiny_bundle(targets: tuple[Target, ...] = TARGETS) -> Any:
    """Random weights; made on the engine's thread, which owns torch."""
    import torch

    from napari_gliocam.nets.gliocam import GliocamNet

    torch.manual_seed(0)
    info = BundleInfo("tiny", "Random numbers.", "CC0-1.0", width=8, targets=targets)
    net = GliocamNet.of(len(info.modalities), info.design)
    with torch.no_grad():
        for exit_ in [exit_ for network in net.networks for exit_ in network.exits]:
            exit_.weight.uniform_(-0.1, 0.4)  # else a ReLU may leave nothing of a map
    return Bundle(info, net.eval())


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The networks' stand-in; no torch anywhere."""
    made = StandIn()
    monkeypatch.setattr("napari_gliocam.segmentation.compute_maps", made)
    monkeypatch.setattr(
        work,
        "loaded",
        lambda bundle: Bundle(BundleInfo("stand-in", "made for a test", "CC0-1.0"), None),
    )
    monkeypatch.setattr(work, "devices", lambda: (("auto", "Automatic: CPU"), ("cpu", "CPU")))
    monkeypatch.setattr(work, "phantom", lambda kind, seed=0: make_case(f"phantom-{kind}"))
    info = BundleInfo("stand-in", "Made for a test.", "BSD-3-Clause", path=Path("stand-in"))
    monkeypatch.setattr("napari_gliocam.nets.bundle_info.read_bundle_info", lambda path=None: info)
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


@pytest.fixture(autouse=True)
def layers_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All layers of a case or result come with the end of their job, but where a test says so."""
    if "turn_by_turn" not in request.keywords:
        monkeypatch.setattr(Turns, "run", lambda self, steps: deque(steps, maxlen=0))


def press_on_canvas(viewer: Any, key: str) -> None:
    """Press a key as a hand does: a Qt event on the canvas, with napari's hook for exceptions."""
    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    held, _, letter = key.rpartition("-")
    modifier = getattr(Qt.KeyboardModifier, f"{held or 'No'}Modifier")
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
    assert opened.opened.result is not None
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
