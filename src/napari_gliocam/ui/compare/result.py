"""A method's maps as the result of a case, and the networks' own again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_gliocam.cams.volume import TARGETS, CamVolume
from napari_gliocam.settings import Settings
from napari_gliocam.ui.compare_work import Cell
from napari_gliocam.ui.layers import LayerDesk
from napari_gliocam.ui.state import Networks, Record


def can_be_result(cells: list[Cell]) -> bool:
    """Whether labels can be cut from the maps of a method: they say core or edema."""
    return any(cell.target != "tumour" for cell in cells)


def can_undo(record: Record) -> bool:
    """Whether the networks' own result was replaced."""
    return record.networks is not None


def take_result(record: Record, cells: list[Cell], threshold: float, desk: LayerDesk) -> None:
    """Make the core and edema of a method, cut at a threshold, the result of a case.

    What Segment found is kept, with its thresholds and its refinement.
    """
    own = record.maps
    volumes = {cell.target: cell.volume for cell in cells}
    empty = np.zeros(record.case.grid.shape, dtype=np.float32)
    core, edema = (volumes.get(target, empty).copy() for target in ("core", "edema"))
    if record.networks is None:
        refined = record.refined
        record.networks = Networks(record.settings, own, refined.applied, refined.change)
    maps = CamVolume(
        grid=record.case.grid,
        frame=cells[0].frame if own is None else own.frame,
        tumour=np.maximum(core, edema),
        core=core,
        edema=edema,
        probabilities=(
            np.zeros((len(core), len(TARGETS)), np.float32) if own is None else own.probabilities
        ),
        exits={} if own is None else own.exits,
        guided={} if own is None else own.guided,
        provenance=cells[0].provenance,
    )
    settings = replace(
        record.settings, tumour_threshold=threshold, class_threshold=threshold, gate=False
    )
    _show(record, maps, settings, desk)


def undo_result(record: Record, desk: LayerDesk) -> str:
    """Back to what Segment found; returns a sentence that says so."""
    own, record.networks = record.networks, None
    assert own is not None
    if own.maps is not None:
        _show(record, own.maps, own.settings, desk, own)
        return "The result is that of Segment again."
    desk.remove_result(record)
    record.refined.stop()
    record.settings, record.live = own.settings, None
    record.segmented = record.maps = record.shown = record.volumes_ml = None
    return "There is no result any more; Segment makes one."


def _show(
    record: Record,
    maps: CamVolume,
    settings: Settings,
    desk: LayerDesk,
    own: Networks | None = None,
) -> None:
    """A refinement was of other maps, unless it was kept with these."""
    if record.segmented is None:
        record.segmented = record.case
    record.settings = settings
    record.start(maps)
    if own is not None:
        record.refined.resume(own.applied, own.change)
    desk.show_result(record)
    record.count()
