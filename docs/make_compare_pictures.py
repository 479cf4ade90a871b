"""Make the pictures of "Compare CAMs" in the user guide, dark and light.

Run with a screen, or under a virtual one:
``xvfb-run -a -s "-screen 0 1920x1080x24" python docs/make_compare_pictures.py [FOLDER]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari
import numpy as np
from make_pictures import until

from napari_gliocam.ui.compare.dock import CompareDock
from napari_gliocam.ui.demo import PLUGIN, dock_panel

FOUR = ("gradcam", "layercam", "exit", "guided")


def main(folder: Path) -> None:
    """Compare four methods on the sample, and take a picture of each stage."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer()
    viewer.theme = "dark"
    panel = dock_panel(viewer)
    viewer.window.resize(1280, 900)

    def picture(name: str) -> None:
        until(lambda: False, 1.0)
        viewer.screenshot(str(folder / f"{name}.png"), canvas_only=False, flash=False)

    viewer.open_sample(PLUGIN, "enhancing")
    opened = panel.state.current
    assert opened is not None
    assert opened.case.expert is not None
    panel.session.go_to(int(np.argmax((opened.case.expert.labels > 0).sum(axis=(1, 2)))))
    dock = CompareDock.show_in(viewer)
    choice = dock.choice_view

    def run(*methods: str, classes: tuple[str, ...]) -> None:
        choice.choose(*methods)
        for target, box in choice.classes.items():
            box.setChecked(target in classes)
        job = dock.run()
        until(lambda: job is None or job.ended)
        until(lambda: all(row.hd95 is not None for row in dock.figures_view.rows), 30.0)

    run(*FOUR, classes=("core",))
    picture("compare-methods")
    run(*FOUR, classes=("core", "edema"))
    dock.thresholds_view.sliders["LayerCAM 4"].setValue(0.1)
    until(lambda: False, 1.0)
    until(lambda: all(row.hd95 is not None for row in dock.figures_view.rows), 30.0)
    viewer.theme = "light"
    picture("compare-classes-light")
    viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
