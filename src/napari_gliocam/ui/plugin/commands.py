"""Commands and their keys; each works on the active viewer, with or without the panel.

napari 0.9 does not bind the keys that a manifest lists, so they are bound here, to every viewer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from napari_gliocam.ui.viewer import navigate, planes
from napari_gliocam.ui.viewer.keys import bind_key

NEXT_LESION = "N"
PREVIOUS_LESION = "Shift-N"
TOGGLE_OVERLAY = "T"
CYCLE_MODALITY = "Q"
TOGGLE_OUTLINE = "W"
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
    """Go to the next slice on which core and edema overlap."""
    _on(viewer, lambda v: navigate.step_conflict(v, 1))


def previous_conflict(viewer: Any = None) -> None:
    """Go to the previous slice on which core and edema overlap."""
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


def toggle_outline(viewer: Any = None) -> None:
    """Draw the segmentation as an outline, or filled."""
    _on(viewer, navigate.toggle_outline)


def show_axial(viewer: Any = None) -> None:
    """Show the axial plane."""
    _on(viewer, lambda v: planes.show_plane(v, "axial"))


def show_coronal(viewer: Any = None) -> None:
    """Show the coronal plane."""
    _on(viewer, lambda v: planes.show_plane(v, "coronal"))


def show_sagittal(viewer: Any = None) -> None:
    """Show the sagittal plane."""
    _on(viewer, lambda v: planes.show_plane(v, "sagittal"))


def show_three_planes(viewer: Any = None) -> None:
    """Show the two other planes below the canvas, or hide them."""
    _on(viewer, lambda v: _side_views(v, planes=True))


def show_side_by_side(viewer: Any = None) -> None:
    """Show another modality beside the canvas, or hide it."""
    _on(viewer, lambda v: _side_views(v, planes=False))


def close_case(viewer: Any = None) -> None:
    """Remove the case in work from the viewer."""
    _on(viewer, lambda v: _panel(v).ask_close())


def open_case(viewer: Any = None) -> None:
    """Ask for the folder of a case and open it in the panel."""
    _on(viewer, lambda v: _panel(v).ask_folder())


def save_labels(viewer: Any = None) -> None:
    """Ask for a file and save the result, or the labels layer that is selected."""
    _on(viewer, lambda v: _panel(v).ask_save())


def _side_views(viewer: Any, *, planes: bool) -> None:
    from napari_gliocam.ui.viewer.side_views import toggle_side_views

    toggle_side_views(viewer, planes)


def _panel(viewer: Any) -> Any:
    from napari_gliocam.ui.widgets.dock import open_dock

    return open_dock(viewer, "Gliocam")


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
        (TOGGLE_OUTLINE, toggle_outline),
        (CYCLE_MODALITY, cycle_modality),
        (FLIP_REFINEMENT, flip_refinement),
    ):
        bind_key(Viewer, key, command, command.__name__)
