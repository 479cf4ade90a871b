"""A method's maps as the result of a case, and the networks' own again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.layers import CaseLayers


def take_result(opened: OpenCase, maps: ClassMaps, threshold: float, layers: CaseLayers) -> None:
    """Make the maps of a method, cut at a threshold, the result of a case.

    What Segment found is kept, with its thresholds and its refinement.
    """
    own = opened.result
    if maps.is_mask:  # an ensemble goes on following its members
        copies: Any = {target: maps.of(target).copy() for target in maps.targets}
        maps = replace(maps, **copies)
    maps = maps.as_result()
    if own is not None:
        maps = replace(maps, probabilities=own.maps.probabilities, trace=own.maps.trace)
    settings = replace(
        opened.settings, tumour_threshold=threshold, class_threshold=threshold, gate=False
    )
    opened.use(maps, settings)
    layers.show_result(opened)


def undo_result(opened: OpenCase, layers: CaseLayers) -> str:
    """Bring back what Segment found; return a sentence that says so."""
    opened.undo_use()
    if opened.result is not None:
        layers.show_result(opened)
        return "The result is that of Segment again."
    layers.remove_result(opened)
    return "There is no result any more; Segment makes one."
