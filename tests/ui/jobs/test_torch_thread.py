"""torch is imported and run by the engine's thread alone, never by the GUI's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_gliocam.ui.jobs import triton_guard

SCRIPT = """
import sys, threading, time
from importlib.abc import MetaPathFinder

importers = {}

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            importers.setdefault(name, threading.get_ident())

sys.meta_path.insert(0, Watch())
main = threading.get_ident()

import napari
from napari_gliocam.ui.plugin import reader
from napari_gliocam.ui.plugin import samples
from napari_gliocam.ui.plugin import writer
from napari_gliocam.ui.panel import dock as workspace
from napari_gliocam.ui import demo
from napari_gliocam.ui.jobs.engine import engine
assert "torch" not in sys.modules, "importing the rooms of the window"
viewer = napari.Viewer(show=False)
from napari_gliocam.ui.plugin import preference
preference.get_preferences = lambda: __import__("types").SimpleNamespace(extension2reader={})
panel = workspace.Workspace(viewer)
viewer.window.add_dock_widget(panel)
assert "torch" not in importers or importers["torch"] != main

def until(done):
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "too slow"
        viewer.window._qt_window  # noqa
        from qtpy.QtWidgets import QApplication
        QApplication.processEvents()
        time.sleep(0.005)

until(lambda: len(panel.state.devices) > 1)
import torch  # loaded by now: this imports nothing
ran = set()
def watch(original):
    def call(*args, **kwargs):
        ran.add(threading.get_ident())
        return original(*args, **kwargs)
    return call
torch.nn.Module.__call__ = watch(torch.nn.Module.__call__)
torch.from_numpy = watch(torch.from_numpy)

import numpy as np
from pathlib import Path
from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.ui.model.state import OpenCase

def untrained():
    from napari_gliocam.nets.gliocam import GliocamNet
    info = BundleInfo("untrained", "Random weights.", "BSD-3-Clause")
    save_bundle(GliocamNet.of(3, info.design), info, Path(sys.argv[1]))
engine().run(untrained)  # imports torchvision, and with it Triton where that is safe
panel.session.set_bundle(sys.argv[1])
volume = np.zeros((6, 64, 64), np.int16)
volume[:, 8:56, 8:56] = np.random.default_rng(0).integers(100, 900, (6, 48, 48))
case = Case("c", dict.fromkeys(Modality, volume), Grid(np.diag([3., 3., 3., 1.]), (64, 64, 6)))
case = Case("c", {m: case.grid.from_file(volume.T) for m in Modality}, case.grid)
panel.session.layers.add_case(OpenCase(case))
job = panel.segment()
until(lambda: job.ended)
opened = panel.state.current
assert opened.result is not None, panel.state.message
panel.threshold_view.tumour.setValue(0.1)
panel.maps_view.buttons["exit 1", "core"].click()
until(lambda: not opened.result.thresholded.pending)
viewer.close()
assert set(importers.values()) == {engine().thread_id}, (importers, main)
assert engine().thread_id in ran
assert main not in ran  # the CRF of each slice runs in a pool that the engine waits for
print("ok")
"""


def test_triton_is_kept_away_from_the_llvm_of_software_gl(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    monkeypatch.setattr(triton_guard, "_MAPS", maps)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    assert not triton_guard.keep_triton_out(), "no such file: not Linux"
    maps.write_text("7f00 r-xp /usr/lib/libGLX_nvidia.so")
    assert not triton_guard.keep_triton_out()
    maps.write_text("7f00 r-xp /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1")
    assert triton_guard.keep_triton_out()
    with pytest.raises(ImportError):
        import triton  # noqa: F401
    assert triton_guard.keep_triton_out()
    monkeypatch.delitem(sys.modules, "triton")


def test_torch_belongs_to_the_engine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "bundle")],
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ok"
