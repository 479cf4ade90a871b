"""Longest gaps of the window's event loop: opening cases, Segment, and napari's own layers.

    scripts/with-screen python benchmarks/window_gaps.py CASE [CASE ...]

A timer beats every 2 ms; printed are the longest times between two beats in ms, and the processor
time of the window's thread in them, which other work of the computer does not change.  First come
the rows of napari alone in a process of its own, with images and labels of the first case's size:
what one layer costs there is the floor of what it can cost here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer

from napari_gliocam.io import find_case, read_case

BEAT_MS = 2


class Gaps:
    """Times between two turns of the event loop."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []
        self._last = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT_MS)

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.found.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def measure(self, name: str, act: Callable[[], Any], done: Callable[[], bool] | None) -> None:
        """Print the longest gaps from an action until it is done, and a second after."""
        self.found.clear()
        act()
        turn_until(done or (lambda: True))
        turn_until(lambda: False, seconds=1.0)
        longest = sorted(self.found, key=lambda gap: gap[1], reverse=True)[:3]
        row = "  ".join(f"{1e3 * wall:5.0f} ms ({1e3 * own:.0f})" for wall, own in longest)
        print(f"{name:24}", row, flush=True)


def turn_until(done: Callable[[], bool], seconds: float = 600.0) -> None:
    """Run the event loop until something is done, or for some seconds."""
    loop, timer, end = QEventLoop(), QTimer(), time.monotonic() + seconds
    timer.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    timer.start(20)
    loop.exec()


def main() -> None:
    """Print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="+", type=Path)
    parser.add_argument("--bare", action="store_true", help="napari alone and nothing else")
    asked = parser.parse_args()
    if not asked.bare:
        subprocess.run([sys.executable, __file__, *map(str, asked.cases), "--bare"], check=True)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    gaps = Gaps()
    turn_until(lambda: False, seconds=1.0)
    if asked.bare:
        time_napari(viewer, gaps, asked.cases[0])
    else:
        time_panel(viewer, gaps, asked.cases)
    sys.stdout.flush()
    os._exit(0)  # a viewer that is closed without napari.run waits for its threads


def time_napari(viewer: napari.Viewer, gaps: Gaps, case: Path) -> None:
    """Add images and labels of a case's size, one at a time."""
    volume = next(iter(read_case(find_case(case)).volumes.values()))
    labels = (volume > volume.mean()).astype(np.uint8)
    add = {
        "image": lambda: viewer.add_image(volume, contrast_limits=(0, float(volume.max()))),
        "labels": lambda: viewer.add_labels(labels),
    }
    for kind, act in add.items():
        for number in (1, 2, 3):
            gaps.measure(f"napari: {kind} {number}", act, None)


def time_panel(viewer: napari.Viewer, gaps: Gaps, cases: list[Path]) -> None:
    """Open cases in the panel and segment them."""
    from napari_gliocam.ui.demo import dock_panel
    from napari_gliocam.ui.jobs.engine import engine

    panel = dock_panel(viewer)
    turn_until(lambda: False, seconds=3.0)
    turn_until(lambda: engine().idle)
    turns = panel.session.turns
    for number, path in enumerate(cases, start=1):
        gaps.measure(
            f"open case {number}",
            lambda path=path: panel.open(path),
            lambda number=number: len(panel.state.open_cases) == number and turns.idle,
        )
        gaps.measure(f"segment case {number}", panel.segment, lambda: panel.state.running is None)


if __name__ == "__main__":
    main()
