"""npe2 reader: a case's folder, or any of its files, becomes the layers of the whole case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.find import look_up
from napari_gliocam.io.naming import is_nifti
from napari_gliocam.ui.layer_data import LayerData

Paths = str | Sequence[str]
_NOTHING: list[Any] = [(None,)]  # napari's word for "read, but nothing to add"


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """The reader where this is a case or one of its files, else None; cheap, never raises."""
    try:
        first = Path(_as_list(path)[0])
        if first.is_dir():
            there = any(is_nifti(child.name) for child in first.iterdir())
            return read if there else None
        if not is_nifti(first.name):
            return None
        files = look_up(first)
        told = files.modalities or files.labels or files.problem
        return read if told else None
    except (GliocamError, OSError, ValueError, IndexError):
        return None


def read(path: Paths) -> list[LayerData]:
    """Layers of a case, or of labels alone.

    The four files of a case dropped at once give one case: what is already in the viewer is
    not opened again, only what is missing of it.

    Raises
    ------
    GliocamError
        In one sentence with the file and the remedy.
    """
    from napari_gliocam.ui.commands import bind_keys
    from napari_gliocam.ui.layer_data import case_data, labels_alone_data
    from napari_gliocam.ui.reading import LabelsAlone, read_path

    bind_keys()
    layers: list[LayerData] = []
    taken: set[Path] = set()
    for one in (Path(p) for p in _as_list(path)):
        if one.resolve() in taken:
            continue
        missing = _missing_of_open_case(one)
        if missing is not None:
            layers += missing
            continue
        found = read_path(one)
        if isinstance(found, LabelsAlone):
            layers.append(labels_alone_data(found))
        else:
            taken |= {p.resolve() for p in found.case.sources.values()}
            layers += case_data(found)
            _warn(found.case.warnings)
    return layers or _NOTHING


def _as_list(path: Paths) -> list[str]:
    return [str(path)] if isinstance(path, str | Path) else [str(p) for p in path]


def _missing_of_open_case(path: Path) -> list[LayerData] | None:
    """The layers that a user removed from the case this belongs to; None if it is not open."""
    from napari import current_viewer

    from napari_gliocam.ui.layer_data import image_data
    from napari_gliocam.ui.layers import LayerDesk
    from napari_gliocam.ui.state import state_of

    viewer = current_viewer()
    if viewer is None:
        return None
    path = path.resolve()
    desk = LayerDesk(viewer)
    for record in desk.records():
        sources = {m: source.resolve() for m, source in record.case.sources.items()}
        folders = {source.parent for source in sources.values()}
        if path in sources.values() or (path.is_dir() and folders == {path}):
            state_of(viewer).say(f"{record.case.name} is open already.")
            return [
                image_data(record, modality, visible=True)
                for modality, source in sources.items()
                if path in (source, source.parent)
                and desk.find(record, "modality", modality) is None
            ]
    return None


def _warn(warnings: Sequence[str]) -> None:
    """In the panel where there is one, as napari's notification where there is none."""
    if not warnings:
        return
    from napari import current_viewer
    from napari.utils.notifications import show_warning

    from napari_gliocam.ui.state import state_of

    viewer = current_viewer()
    text = " ".join(warnings)
    if viewer is not None and state_of(viewer).panels:
        state_of(viewer).say(text, "warning")
    else:
        show_warning(text)
