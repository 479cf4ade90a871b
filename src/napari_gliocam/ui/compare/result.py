"""A method's maps as the result of a case, and the networks' own again."""

from __future__ import annotations

from dataclasses import replace

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.model.state import Networks, OpenCase
from napari_gliocam.ui.viewer.layers import CaseLayers


def can_be_result(maps: ClassMaps) -> bool:
    """Return True if labels can be cut from the maps of a method: they show core or edema."""
    return bool({"core", "edema"} & set(maps.targets))


def can_undo(opened: OpenCase) -> bool:
    """Return True if a method's maps have replaced the networks' own result."""
    return opened.networks is not None


def take_result(opened: OpenCase, maps: ClassMaps, threshold: float, layers: CaseLayers) -> None:
    """Make the core and edema of a method, cut at a threshold, the result of a case.

    What Segment found is kept, with its thresholds and its refinement.
    """
    own = opened.maps
    if opened.networks is None:
        refined = opened.refined
        opened.networks = Networks(opened.settings, own, refined.applied, refined.change)
    if maps.is_mask:  # an ensemble goes on following its members
        maps = replace(maps, core=maps.core.copy(), edema=maps.edema.copy())
    maps = maps.as_result()
    if own is not None:
        maps = replace(maps, probabilities=own.probabilities, trace=own.trace)
    settings = replace(
        opened.settings, tumour_threshold=threshold, class_threshold=threshold, gate=False
    )
    _show(opened, maps, settings, layers)


def undo_result(opened: OpenCase, layers: CaseLayers) -> str:
    """Bring back what Segment found; return a sentence that says so."""
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
    """Show maps as the result; what was refined comes back where it was kept with them."""
    if opened.segmented is None:
        opened.segmented = opened.case
    opened.settings = settings
    opened.start(maps)
    if own is not None:
        opened.refined.resume(own.applied, own.change)
    layers.show_result(opened)
    opened.count()
