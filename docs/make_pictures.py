"""Make the pictures of the user guide: the window with the panel, dark and light.

Run with a screen, or under a virtual one:
``xvfb-run -a -s "-screen 0 1920x1080x24" python docs/make_pictures.py [FOLDER]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.ui.demo import PLUGIN, dock_panel
from napari_gliocam.ui.jobs.engine import engine, files
from napari_gliocam.ui.panel.dock import Workspace
from napari_gliocam.ui.viewer.layer_data import OVERLAYS
from napari_gliocam.ui.viewer.navigate import largest_lesion_slice


def until(done: Callable[[], bool], seconds: float = 300.0) -> None:
    """Keep the window alive until something is done."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def boundary_fit(panel: Workspace) -> None:
    """Choose BoundaryFit and show the pieces that it goes by."""
    opened = panel.state.current
    assert opened is not None
    panel.session.set_refinement(Refinement("boundary-fit"))
    panel.refine_view.parameters_button.click()
    for overlay in OVERLAYS:
        panel.session.show_overlay(overlay, True)
    until(lambda: opened.result is not None and opened.result.current is not None)
    until(lambda: all(layer.data.any() for layer in panel.session.layers.overlays(opened).values()))


def main(folder: Path) -> None:
    """Open the sample, segment it, and take a picture of each stage."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer()
    viewer.theme = "dark"
    panel = dock_panel(viewer)
    viewer.window.resize(1280, 900)

    def picture(name: str) -> None:
        until(lambda: False, 0.7)
        viewer.screenshot(str(folder / f"{name}.png"), canvas_only=False, flash=False)

    until(lambda: len(panel.state.devices) > 1, 60.0)
    picture("panel-empty")
    viewer.open_sample(PLUGIN, "enhancing")
    picture("case-open")
    job = panel.segment()
    until(lambda: panel.state.progress is not None and panel.state.progress.done > 40)
    picture("segment-running")
    until(lambda: job is None or job.ended)
    opened = panel.state.current
    best = None if opened is None else largest_lesion_slice(opened)
    if best is not None:
        panel.session.go_to(best)
    until(lambda: panel.session.turns.idle and engine().idle and files().idle)
    picture("segment-done")
    boundary_fit(panel)
    picture("boundary-fit")
    panel.session.set_refinement(Refinement.nothing())
    for overlay in OVERLAYS:
        panel.session.show_overlay(overlay, False)
    panel.refine_view.parameters_button.click()
    panel.threshold_view.exclusive.setChecked(False)
    picture("both-classes")
    panel.threshold_view.exclusive.setChecked(True)
    panel.maps_view.buttons["aggregate", "edema"].click()
    viewer.theme = "light"
    picture("maps-light")
    viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
