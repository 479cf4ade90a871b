"""Make the pictures of the dock "Reading" in the user guide, dark and light, small and large.

Run with a screen, or under a virtual one:
``xvfb-run -a -s "-screen 0 1920x1080x24" python docs/make_reading_pictures.py [FOLDER] [CASE]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari
import numpy as np
from make_pictures import until

from napari_gliocam.ui.demo import PLUGIN, dock_panel
from napari_gliocam.ui.reading.dock import ReadingDock


def main(folder: Path, case: str = "") -> None:
    """Segment a case, the sample by default, and take a picture of each tab."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer()
    viewer.theme = "dark"
    panel = dock_panel(viewer)
    viewer.window.resize(1280, 900)

    def picture(name: str) -> None:
        until(lambda: False, 1.0)
        viewer.screenshot(str(folder / f"reading-{name}.png"), canvas_only=False, flash=False)

    if case:
        panel.open(case)
    else:
        viewer.open_sample(PLUGIN, "enhancing")
    until(lambda: panel.state.current is not None)
    job = panel.segment()
    assert job is not None
    until(lambda: job.ended)
    opened = panel.state.current
    assert opened is not None
    assert opened.result is not None
    dock = ReadingDock.show_in(viewer)
    session = dock.session
    until(lambda: session.last is not None and session.last.measures.case.core_depth_mm is not None)
    dock.measures_view.diameters_button.click()
    dock.measures_view.go_button.click()
    until(lambda: not dock.status.text(), 60.0)
    picture("measures")
    dock.tabs.setCurrentWidget(dock.overlap_view)
    until(lambda: dock.overlap_view.table.rowCount() > 0)
    dock.overlap_view.show_button.click()
    picture("overlap")
    dock.tabs.setCurrentWidget(dock.agreement_view)
    until(lambda: dock.agreement_view.table.rowCount() > 0)
    dock.agreement_view.show_button.click()
    viewer.theme = "light"
    viewer.window.resize(1280, 800)
    picture("agreement-light")
    dock.agreement_view.show_button.click()
    viewer.theme = "dark"
    viewer.window.resize(1920, 1080)
    dock.tabs.setCurrentWidget(dock.voxel_view)
    middle = np.argwhere(opened.result.painted.labels == 1)
    layer = viewer.layers["segmentation"]
    session.voxel_changed.emit(session.read(layer.data_to_world(middle[len(middle) // 2])))
    picture("voxel")
    viewer.close()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures",
        *sys.argv[2:],
    )
