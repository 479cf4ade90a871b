"""A method's maps as the result of a case, and the networks' own again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_gliocam.class_maps import ClassMaps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.compare.work import Cell
from napari_gliocam.ui.model.state import Networks, OpenCase
from napari_gliocam.ui.viewer.layers import CaseLayers


def can_be_result(cells: list[Cell]) -> bool:
    """Whether labels can be cut from the maps of a method: they say core or edema."""
    return any(cell.target != "tumour" for cell in cells)


def can_undo(opened: OpenCase) -> bool:
    """Whether the networks' own result was replaced."""
    return opened.networks is not None


def take_result(opened: OpenCase, cells: list[Cell], threshold: float, layers: CaseLayers) -> None:
    """Make the core and edema of a method, cut at a threshold, the result of a case.

    What Segment found is kept, with its thresholds and its refinement.
    """
    own = opened.maps
    volumes = {cell.target: cell.volume for cell in cells}
    empty = np.zeros(opened.case.grid.shape, dtype=np.float32)
    core, edema = (volumes.get(target, empty).copy() for target in ("core", "edema"))
    if opened.networks is None:
        refined = opened.refined
        opened.networks = Networks(opened.settings, own, refined.applied, refined.change)
    maps = ClassMaps(
        grid=opened.case.grid,
        tumour=np.maximum(core, edema),
        core=core,
        edema=edema,
        probabilities=(
            np.zeros((len(core), len(TARGETS)), np.float32) if own is None else own.probabilities
        ),
        provenance=cells[0].provenance,
        trace=None if own is None else own.trace,
    )
    settings = replace(
        opened.settings, tumour_threshold=threshold, class_threshold=threshold, gate=False
    )
    _show(opened, maps, settings, layers)


def undo_result(opened: OpenCase, layers: CaseLayers) -> str:
    """Back to what Segment found; returns a sentence that says so."""
    own, opened.networks = opened.networks, None
    assert own is not None
    if own.maps is not None:
        _show(opened, own.maps, own.settings, layers, own)
        return "The result is that of Segment again."
    layers.remove_result(opened)
    opened.refined.stop()
    opened.settings, opened.live = own.settings, None
    opened.segmented = opened.maps = opened.shown = opened.volumes_ml = None
    return "There is no result any more; Segment makes one."


def _show(
    opened: OpenCase,
    maps: ClassMaps,
    settings: Thresholds,
    layers: CaseLayers,
    own: Networks | None = None,
) -> None:
    """A refinement was of other maps, unless it was kept with these."""
    if opened.segmented is None:
        opened.segmented = opened.case
    opened.settings = settings
    opened.start(maps)
    if own is not None:
        opened.refined.resume(own.applied, own.change)
    layers.show_result(opened)
    opened.count()
