"""Running work in napari's task manager, so that closing the window asks first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_gliocam.ui.model.state import unwrap

if TYPE_CHECKING:
    from napari.components import ViewerModel


def begin_task(
    viewer: ViewerModel, description: str, cancel: Callable[[], object] | None = None
) -> Callable[[], None]:
    """Register work that is under way.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or napari.components.ViewerModel
        Without a window nothing is registered.
    description : str
        Shown when the window is to be closed; no text from files, napari may read it as html.
    cancel : callable, optional
        Called when the window is closed all the same.

    Returns
    -------
    callable
        To be called once, when the work has ended.
    """
    window = getattr(unwrap(viewer), "window", None)
    register = getattr(window, "_register_task_status", None)  # since napari 0.6.5
    if register is None:
        return lambda: None
    from napari.utils.task_status import Status

    number = register("Gliocam", Status.BUSY, description, cancel_callback=cancel)
    return partial(window._update_task_status, number, Status.COMPLETED)  # type: ignore[union-attr]
