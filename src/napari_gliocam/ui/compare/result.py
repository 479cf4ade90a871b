"""A method's maps as the result of a case, and the networks' own again."""

from __future__ import annotations

from dataclasses import replace

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.layers import CaseLayers


def can_be_result(maps: ClassMaps) -> bool:
    """Return True if labels can be cut from the maps of a method: they show core or edema."""
    return bool({"core", "edema"} & set(maps.targets))


def take_result(opened: OpenCase, maps: ClassMaps, threshold: float, layers: CaseLayers) -> None:
    """Make the core and edema of a method, cut at a threshold, the result of a case.

    What Segment found is kept, with its thresholds and its refinement.
    """
    own = opened.result
    if maps.is_mask:  # an ensemble goes on following its members
        maps = replace(maps, core=maps.core.copy(), edema=maps.edema.copy())
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
