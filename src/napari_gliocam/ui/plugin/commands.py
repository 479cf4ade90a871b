"""Commands and their keys; each works on the active viewer, with or without the panel.

napari 0.9 does not bind the keys that a manifest lists, so they are bound here, to every viewer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from napari_gliocam.ui.viewer import navigate
from napari_gliocam.ui.viewer.keys import bind_key

NEXT_LESION = "N"
PREVIOUS_LESION = "Shift-N"
TOGGLE_OVERLAY = "T"
CYCLE_MODALITY = "Q"
FLIP_REFINEMENT = "R"
NEXT_CONFLICT = "D"
PREVIOUS_CONFLICT = "Shift-D"


def next_lesion(viewer: Any = None) -> None:
    """Go to the next slice that shows tumour."""
    _on(viewer, lambda v: navigate.step_lesion(v, 1))


def previous_lesion(viewer: Any = None) -> None:
    """Go to the previous slice that shows tumour."""
    _on(viewer, lambda v: navigate.step_lesion(v, -1))


def next_conflict(viewer: Any = None) -> None:
    """Go to the next slice on which both classes claim a voxel."""
    _on(viewer, lambda v: navigate.step_conflict(v, 1))


def previous_conflict(viewer: Any = None) -> None:
    """Go to the previous slice on which both classes claim a voxel."""
    _on(viewer, lambda v: navigate.step_conflict(v, -1))


def toggle_overlay(viewer: Any = None) -> None:
    """Show or hide the segmentation."""
    _on(viewer, navigate.toggle_overlay)


def cycle_modality(viewer: Any = None) -> None:
    """Show the next modality."""
    _on(viewer, navigate.cycle_modality)


def flip_refinement(viewer: Any = None) -> None:
    """Show the labels before or after refinement."""
    _on(viewer, navigate.flip_refinement)


def _on(viewer: Any, action: Callable[[Any], None]) -> None:
    if viewer is None:
        from napari import current_viewer

        viewer = current_viewer()
    if viewer is not None:
        action(viewer)


@lru_cache(maxsize=1)
def bind_keys() -> None:
    """Bind the keys to every viewer, once."""
    from napari import Viewer

    for key, command in (
        (NEXT_LESION, next_lesion),
        (PREVIOUS_LESION, previous_lesion),
        (NEXT_CONFLICT, next_conflict),
        (PREVIOUS_CONFLICT, previous_conflict),
        (TOGGLE_OVERLAY, toggle_overlay),
        (CYCLE_MODALITY, cycle_modality),
        (FLIP_REFINEMENT, flip_refinement),
    ):
        bind_key(Viewer, key, command, command.__name__)
