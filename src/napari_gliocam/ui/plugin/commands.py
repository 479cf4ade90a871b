"""Commands and their keys; each works on the active viewer, with or without the panel.

napari 0.9 does not bind the keys that a manifest lists, so they are bound here, to every viewer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

from napari_gliocam.ui.viewer import navigate, planes
from napari_gliocam.ui.viewer.keys import bind_key

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_gliocam.ui.model.state import SideKind

NEXT_LESION = "N"
PREVIOUS_LESION = "Shift-N"
TOGGLE_OVERLAY = "T"
CYCLE_MODALITY = "Q"
TOGGLE_OUTLINE = "W"
FLIP_REFINEMENT = "R"
NEXT_CONFLICT = "D"
PREVIOUS_CONFLICT = "Shift-D"
NEXT_DOUBT = "U"
PREVIOUS_DOUBT = "Shift-U"
NEXT_DOUBTFUL_LESION = "Alt-U"


def _command(act: Callable[[ViewerModel], object]) -> Callable[[ViewerModel | None], None]:
    """Make a command of a function: without a viewer it works on the active one."""

    def command(viewer: ViewerModel | None = None) -> None:
        if viewer is None:
            from napari import current_viewer

            viewer = current_viewer()
        if viewer is not None:
            act(viewer)

    command.__name__ = command.__qualname__ = act.__name__
    command.__doc__, command.__module__ = act.__doc__, act.__module__
    return command


@_command
def next_lesion(viewer: ViewerModel) -> None:
    """Go to the next slice that shows tumour."""
    navigate.step_lesion(viewer, 1)


@_command
def previous_lesion(viewer: ViewerModel) -> None:
    """Go to the previous slice that shows tumour."""
    navigate.step_lesion(viewer, -1)


@_command
def next_conflict(viewer: ViewerModel) -> None:
    """Go to the next slice on which core and edema overlap."""
    navigate.step_conflict(viewer, 1)


@_command
def previous_conflict(viewer: ViewerModel) -> None:
    """Go to the previous slice on which core and edema overlap."""
    navigate.step_conflict(viewer, -1)


@_command
def next_doubt(viewer: ViewerModel) -> None:
    """Go to the slice with the most doubt, then to the next in that order."""
    navigate.step_doubt(viewer, 1)


@_command
def previous_doubt(viewer: ViewerModel) -> None:
    """Go back to the slice with more doubt."""
    navigate.step_doubt(viewer, -1)


@_command
def next_doubtful_lesion(viewer: ViewerModel) -> None:
    """Go to the lesion with the most doubt, then to the next in that order."""
    navigate.step_doubtful_lesion(viewer)


@_command
def toggle_overlay(viewer: ViewerModel) -> None:
    """Show or hide the segmentation."""
    navigate.toggle_overlay(viewer)


@_command
def cycle_modality(viewer: ViewerModel) -> None:
    """Show the next modality."""
    navigate.cycle_modality(viewer)


@_command
def flip_refinement(viewer: ViewerModel) -> None:
    """Show the labels before or after refinement."""
    navigate.flip_refinement(viewer)


@_command
def toggle_outline(viewer: ViewerModel) -> None:
    """Draw the segmentation as an outline, or filled."""
    navigate.toggle_outline(viewer)


@_command
def show_axial(viewer: ViewerModel) -> None:
    """Show the axial plane."""
    planes.show_plane(viewer, "axial")


@_command
def show_coronal(viewer: ViewerModel) -> None:
    """Show the coronal plane."""
    planes.show_plane(viewer, "coronal")


@_command
def show_sagittal(viewer: ViewerModel) -> None:
    """Show the sagittal plane."""
    planes.show_plane(viewer, "sagittal")


@_command
def show_three_planes(viewer: ViewerModel) -> None:
    """Show the two other planes below the canvas, or hide them."""
    _side_views(viewer, "planes")


@_command
def show_side_by_side(viewer: ViewerModel) -> None:
    """Show another modality beside the canvas, or hide it."""
    _side_views(viewer, "modality")


@_command
def close_case(viewer: ViewerModel) -> None:
    """Remove the case in work from the viewer."""
    _panel(viewer).ask_close()


@_command
def open_case(viewer: ViewerModel) -> None:
    """Ask for the folder of a case and open it in the panel."""
    _panel(viewer).ask_folder()


@_command
def save_labels(viewer: ViewerModel) -> None:
    """Ask for a file and save the result, or the labels layer that is selected."""
    _panel(viewer).ask_save()


def _side_views(viewer: ViewerModel, kind: SideKind) -> None:
    from napari_gliocam.ui.viewer.side_views import toggle_side_views

    toggle_side_views(viewer, kind)


class _Panel(Protocol):
    """The panel, which is built upon these commands."""

    def ask_close(self) -> None: ...
    def ask_folder(self) -> None: ...
    def ask_save(self) -> None: ...


def _panel(viewer: ViewerModel) -> _Panel:
    from napari_gliocam.ui.widgets.dock import Dock

    return cast(_Panel, Dock.show_in(viewer))


@lru_cache(maxsize=1)
def bind_keys() -> None:
    """Bind the keys to every viewer, once."""
    from napari import Viewer

    for key, command in (
        (NEXT_LESION, next_lesion),
        (PREVIOUS_LESION, previous_lesion),
        (NEXT_CONFLICT, next_conflict),
        (PREVIOUS_CONFLICT, previous_conflict),
        (NEXT_DOUBT, next_doubt),
        (PREVIOUS_DOUBT, previous_doubt),
        (NEXT_DOUBTFUL_LESION, next_doubtful_lesion),
        (TOGGLE_OVERLAY, toggle_overlay),
        (TOGGLE_OUTLINE, toggle_outline),
        (CYCLE_MODALITY, cycle_modality),
        (FLIP_REFINEMENT, flip_refinement),
    ):
        bind_key(Viewer, key, command, command.__name__)
