"""The whole main job on a synthetic case, in the real window: ``napari-gliocam demo``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gliocam.errors import GliocamError
from napari_gliocam.measure import score
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.panel.dock import Workspace
from napari_gliocam.ui.viewer.navigate import largest_lesion_slice

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from rich.console import Console

PLUGIN, PANEL = "napari-gliocam", "Gliocam"
_PATIENCE_S = 900.0
#: The range of the volumes follows the result; maps without exits have none.
_TRUST_PATIENCE_S = 20.0


def open_in_napari(paths: Sequence[str | Path] = ()) -> None:
    """Open napari with the panel and these cases; returns when the window is closed."""
    import napari

    viewer = napari.Viewer()
    panel = dock_panel(viewer)
    for path in paths:
        panel.open(path)
    napari.run()


def dock_panel(viewer: ViewerModel) -> Workspace:
    """Dock the panel at the right of a viewer, as the menu does."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    workspace: Workspace = getattr(panel, "__wrapped__", panel)
    return workspace


def run_demo(out: Path, keep_open: bool = False, size: tuple[int, int] = (1280, 900)) -> int:
    """Open the enhancing phantom, segment it, show and save the result.

    Parameters
    ----------
    out : Path
        Folder for the picture of the window, the labels, the maps, the report and the json; it is
        made.
    keep_open : bool
        True: leave the window to the user afterwards, and return when it is closed.
    size : (width, height)
        Of the window in pixels.

    Returns
    -------
    int
        0, the exit status.  ``demo.json`` holds volumes in ml, Dice against the phantom's truth,
        ranges in ml, seconds a stage, files.

    Raises
    ------
    GliocamError
        If a step failed; the message is its sentence.
    """
    import napari
    from rich.console import Console

    from napari_gliocam.io import save_maps
    from napari_gliocam.io.naming import safe_name
    from napari_gliocam.report import read_segmentation, save_reading

    console = Console(highlight=False, soft_wrap=True)
    out = Path(out).expanduser().resolve()
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage], clock = round(now - clock, 2), now

    viewer = napari.Viewer(title="Gliocam demo")
    viewer.window.resize(*size)
    panel = dock_panel(viewer)
    lap("open napari")
    viewer.open_sample(PLUGIN, "enhancing")
    lap("make the phantom")
    _wait(panel.segment(), panel)
    lap("segment")
    opened = panel.state.current
    if opened is None or opened.result is None:
        raise GliocamError("The demo's case was removed before it was segmented; run it again.")
    result = opened.result
    best = largest_lesion_slice(opened)
    if best is not None:
        panel.session.go_to(best)
    truth = None if opened.case.expert is None else opened.case.expert.labels
    report: dict[str, Any] = {
        "case": opened.case.name,
        "volumes_ml": {k: round(v, 2) for k, v in result.volumes_ml.items()},
        "dice": {}
        if truth is None
        else {k: round(v, 4) for k, v in score(result.segmentation.labels, truth).items()},
        "seconds": {**seconds, "of segment": result.maps.provenance.get("seconds", {})},
        "device": result.maps.provenance.get("device"),
    }
    out.mkdir(parents=True, exist_ok=True)
    name = safe_name(opened.case.name)
    saved = _wait(panel.save(out / f"{name}_seg.nii.gz"), panel)
    maps = save_maps(result.maps, opened.case, out, overwrite=True)
    pages = save_reading(read_segmentation(opened.case, result.segmentation), out, overwrite=True)
    panel.state.message = None
    _until(lambda: opened.trust is not None or not _alive(panel), _TRUST_PATIENCE_S)
    if opened.trust is not None:
        report["range_ml"] = {
            name: [round(found.low, 2), round(found.high, 2)]
            for name, found in opened.trust.ranges.items()
        }
    picture = out / "window.png"
    _settle(0.5)
    viewer.screenshot(str(picture), canvas_only=False, flash=False)
    lap("save")
    report["seconds"]["save"] = seconds["save"]
    report_path = out / "demo.json"
    report["files"] = [p.name for p in (*saved, *maps, *pages, picture, report_path)]
    report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(console, report)
    console.print(f"Picture, labels, maps and report are in {out}")
    if keep_open:
        napari.run()
    else:
        viewer.close()
    return 0


def _wait(job: Job | None, panel: Workspace) -> Any:
    """Return the result of a job, while the window stays alive."""
    if job is None:
        raise GliocamError("The panel is busy; run the demo again.")
    outcome: list[Any] = []
    job.succeeded.connect(outcome.append)
    _until(lambda: job.ended or not _alive(panel), _PATIENCE_S)
    if outcome:
        return outcome[0]
    message = panel.state.message if _alive(panel) else None
    raise GliocamError(message.text if message else "The demo's window was closed too early.")


def _alive(panel: Workspace) -> bool:
    try:
        panel.isVisible()
    except RuntimeError:
        return False
    return True


def _settle(seconds: float) -> None:
    """Let the canvas paint."""
    end = time.monotonic() + seconds
    _until(lambda: time.monotonic() > end, seconds + 1.0)


def _until(done: Callable[[], bool], patience_s: float) -> None:
    from qtpy.QtCore import QEventLoop
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + patience_s
    while not done() and time.monotonic() < end:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.005)


def _print(console: Console, report: dict[str, Any]) -> None:
    volumes, scores = report["volumes_ml"], report["dice"]
    for name in TARGETS:
        score = f", Dice {scores[name]:.2f}" if name in scores else ""
        console.print(f"{name:7} {volumes[name]:6.1f} ml{score}")
    stages = {k: v for k, v in report["seconds"].items() if not isinstance(v, dict)}
    stages |= {f"segment: {k}": v for k, v in report["seconds"]["of segment"].items()}
    for stage, value in stages.items():
        console.print(f"{stage:20} {value:6.2f} s")
