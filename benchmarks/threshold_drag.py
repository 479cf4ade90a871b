"""A threshold drag to its painted frame, against a bare ``Labels.refresh()`` of the same volume.

Run with a screen, or under a virtual one: ``xvfb-run -a python benchmarks/threshold_drag.py``.
Every frame ends when the canvas has been drawn.  The drag changes the threshold of a whole
volume of 155 x 240 x 240; the bare refresh changes nothing and only draws the layer again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.maps.class_maps import ClassMaps, NetworkTrace
from napari_gliocam.settings import Thresholds
from napari_gliocam.slices import frame_slices
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.panel.dock import Workspace

SHAPE = (155, 240, 240)


def make_case() -> tuple[Case, ClassMaps]:
    """A brain full of smooth maps: every slice has voxels near the threshold."""
    slices, rows, columns = SHAPE
    grid = Grid(np.diag([-1.0, -1.0, 1.0, 1.0]), (columns, rows, slices))
    s, p, l = np.ogrid[:slices, :rows, :columns]
    distance = np.sqrt(((s - 77) / 70) ** 2 + ((p - 120) / 95) ** 2 + ((l - 120) / 75) ** 2)
    rng = np.random.default_rng(0)
    brain = distance < 1
    volumes = {m: (brain * rng.integers(100, 900, SHAPE)).astype(np.int16) for m in Modality}
    case = Case("benchmark", volumes, grid)
    frame = frame_slices(case, 1.5, 5.0, 6.0)
    height, width = frame.network_shape
    noise = (0.1 * rng.random(SHAPE)).astype(np.float32)
    tumour = np.clip(1.0 - distance, 0, 1).astype(np.float32) + noise
    return case, ClassMaps(
        grid=grid,
        tumour=tumour,
        core=np.clip(tumour * 1.1, 0, 1),
        edema=np.clip(1.2 - tumour, 0, 1),
        probabilities=np.ones((slices, 3), dtype=np.float32),
        trace=NetworkTrace(
            frame=frame,
            exits={t: (np.zeros((len(frame), height, width), np.float16),) * 4 for t in TARGETS},
            guided={t: np.zeros((len(frame), height, width), np.float16) for t in TARGETS[1:]},
        ),
    )


def frames(act: Callable[[int], None], count: int, drawn: list[int]) -> list[float]:
    """Milliseconds from each act to the end of the draw that follows."""
    app, times = QApplication.instance(), []
    for step in range(count):
        app.processEvents()
        before, start = len(drawn), time.perf_counter()
        act(step)
        while len(drawn) == before:
            app.processEvents()
        times.append(1000 * (time.perf_counter() - start))
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile and the worst."""
    median, p95, worst = np.percentile(times, (50, 95, 100))
    return {"median_ms": round(median, 1), "p95_ms": round(p95, 1), "worst_ms": round(worst, 1)}


def main() -> None:
    """Measure and print a table, or json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    panel = Workspace(viewer)
    viewer.window.add_dock_widget(panel, name="Gliocam")
    case, maps = make_case()
    opened = OpenCase(case)
    panel.session.layers.add_case(opened)
    opened.take(case, maps)
    panel.session.layers.show_result(opened)
    panel.session.go_to(77)
    labels = panel.session.layers.result(opened)
    drawn: list[int] = []
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(
        lambda event: drawn.append(1), position="last"
    )
    end = time.monotonic() + 3  # devices are listed and the first frames drawn
    while time.monotonic() < end:
        QApplication.processEvents()

    def drag(step: int) -> None:
        value = 0.2 + 0.5 * abs(((step / 40) % 2) - 1)
        panel.session.set_settings(Thresholds(tumour_threshold=round(value, 3)))

    bare: list[float] = []
    live: list[float] = []
    for _ in range(3):  # in turns: what else the machine does strikes both
        bare += frames(lambda step: labels.refresh(), arguments.frames // 3, drawn)
        live += frames(drag, arguments.frames // 3, drawn)
    panel.session.settle()
    rows = {"bare Labels.refresh()": summary(bare), "threshold drag": summary(live)}
    ratio = float(np.median(live) / np.median(bare))
    if arguments.json:
        print(json.dumps({**rows, "ratio": round(ratio, 3)}))
    else:
        for name, row in rows.items():
            print(f"{name:24}", *(f"{key} {value:6.1f}" for key, value in row.items()))
        print(f"ratio of the medians     {ratio:.2f} (to reach: at most 1.50)")
        print(f"worst frame of the drag  {max(live):.0f} ms (to reach: at most 100)")
    viewer.close()


if __name__ == "__main__":
    main()
