"""npe2 reader: a case's folder, or any of its files, becomes the layers of the whole case."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.io.find import look_up
from napari_gliocam.io.foreign import holds_other_images
from napari_gliocam.io.naming import is_nifti
from napari_gliocam.ui.viewer.layer_data import LayerData, data_of, expert_data, image_data

if TYPE_CHECKING:
    from napari_gliocam.prepare import Examination
    from napari_gliocam.ui.jobs.open_path import LabelsAlone
    from napari_gliocam.ui.model.state import OpenCase

Paths = str | Sequence[str]
_ONE_DROP_S = 5.0
_NOTHING: list[LayerData] = [(None,)]  # napari's word for "read, but nothing to add"


def get_reader(path: Paths | None = None) -> Callable[[Paths], list[LayerData]] | None:
    """Return the reader where this is a case or one of its files, else None.

    It is cheap and never raises.  Without a path, as the command palette calls it, it asks for a
    case and opens it.
    """
    if path is None:
        from napari_gliocam.ui.plugin.commands import open_case

        open_case(None)
        return None
    try:
        first = Path(_as_list(path)[0])
        if first.is_dir():
            there = any(is_nifti(child.name) for child in first.iterdir())
            return read if there or holds_other_images(first) else None
        if not is_nifti(first.name):
            return None
        files = look_up(first)
        told = files.modalities or files.labels or files.problem
        return read if told else None
    except (GliocamError, OSError, ValueError, IndexError):
        return None


def read(path: Paths) -> list[LayerData]:
    """Return the layers of a case, or of labels alone.

    The four files of a case dropped at once give one case: what is already in the viewer is
    not opened again, only what is missing of it.

    Raises
    ------
    GliocamError
        In one sentence with the file and the remedy; inside napari's window it is shown
        instead, for napari would hide it behind a page about plugins.
    """
    from napari_gliocam.ui.plugin.commands import bind_keys

    bind_keys()
    try:
        layers = _read([Path(p) for p in _as_list(path)])
    except GliocamError as error:
        if not _show(str(error), "error"):
            raise
        layers = []
    return layers or _NOTHING


def _read(paths: Sequence[Path]) -> list[LayerData]:
    from napari_gliocam.prepare import Examination
    from napari_gliocam.ui.jobs.open_path import LabelsAlone

    layers: list[LayerData] = []
    taken: set[Path] = set()
    for path in paths:
        if path.resolve() in taken:
            continue
        missing = _missing_of_open_case(path)
        if missing is not None:
            layers += missing
            continue
        found = _read_alive(path)
        if isinstance(found, Examination):
            _offer(found)
            continue
        layers += data_of(found)
        if isinstance(found, LabelsAlone):
            continue
        taken |= {p.resolve() for p in found.paths}
        if found.case.warnings:
            _show(" ".join(found.case.warnings), "warning")
    return layers


def _offer(examination: Examination) -> None:
    """Offer series that make no case as they are in the panel, to be prepared."""
    from napari import current_viewer

    from napari_gliocam.ui.model.state import state_of
    from napari_gliocam.ui.widgets.dock import Dock

    viewer = current_viewer()
    if viewer is None:
        raise CaseError(f"{examination.name} has to be prepared; open it in napari's window.")
    Dock.show_in(viewer)
    state_of(viewer).examination = examination


def _read_alive(path: Path) -> OpenCase | LabelsAlone | Examination:
    """Read in the background, for the window is to stay alive; say so where a panel is open."""
    from napari import current_viewer

    from napari_gliocam.ui.jobs.engine import files
    from napari_gliocam.ui.jobs.open_path import read_path
    from napari_gliocam.ui.model.state import state_of

    viewer = current_viewer()
    state = None if viewer is None else state_of(viewer)
    opening = None if state is None else state.announce(f"Opening {path.name}…")
    try:
        return files().run_alive(lambda: read_path(path), "Open")
    finally:
        if state is not None and opening is not None:
            state.withdraw(opening)


def _as_list(path: Paths) -> list[str]:
    return [str(path)] if isinstance(path, str | Path) else [str(p) for p in path]


def _missing_of_open_case(path: Path) -> list[LayerData] | None:
    """Return layers that a user removed from an open case; None if it is not open."""
    from napari import current_viewer

    from napari_gliocam.ui.model.state import state_of
    from napari_gliocam.ui.viewer.layers import CaseLayers

    viewer = current_viewer()
    if viewer is None:
        return None
    path = path.resolve()
    layers = CaseLayers(viewer)
    for opened in layers.open_cases():
        case = opened.case
        sources = {m: source.resolve() for m, source in case.sources.items()}
        outline = case.expert.source if case.expert is not None else None
        others = [p.resolve() for p in opened.paths]
        folders = {source.parent for source in sources.values()}
        if path not in (*sources.values(), *others) and folders != {path}:
            continue
        missing = [
            image_data(opened, modality, visible=True)
            for modality, source in sources.items()
            if path in (source, source.parent) and layers.find(opened, "modality", modality) is None
        ]
        if (
            outline is not None
            and path in (outline.resolve(), outline.resolve().parent)
            and layers.find(opened, "expert") is None
        ):
            missing.append(expert_data(opened))
        if not missing and time.monotonic() - opened.opened > _ONE_DROP_S:
            state_of(viewer).say(f"{case.name} is open already.")
        return missing
    return None


def _show(text: str, level: Literal["error", "warning"]) -> bool:
    """Show a sentence in the panel, else as napari's notification; False without a window."""
    from napari import current_viewer
    from napari.utils.notifications import show_error, show_warning

    from napari_gliocam.ui.model.state import state_of

    viewer = current_viewer()
    if viewer is None:
        return False
    if state_of(viewer).panels:
        state_of(viewer).say(text, level)
    else:
        (show_error if level == "error" else show_warning)(text)
    return True
