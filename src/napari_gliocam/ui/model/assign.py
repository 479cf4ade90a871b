"""Assignment of volumes to modalities: the sources to choose from, and the case of a choice.

Names tell it in most cases.  What they leave open is asked for, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.errors import CaseError


@dataclass(frozen=True, eq=False)
class Source:
    """A volume that may be a modality.

    Parameters
    ----------
    title : str
        What the panel calls it: the file's or the layer's name.
    volume : ndarray of shape (S, P, L) or None
        None for a file that was not read yet.
    path : Path or None
        The file it came from.
    """

    title: str
    volume: NDArray[np.generic] | None
    path: Path | None = None


def sources_of(case: Case) -> tuple[Source, ...]:
    """Return the volumes that a case was read with."""
    return tuple(
        Source(_title(case, modality), volume, case.sources.get(modality))
        for modality, volume in case.volumes.items()
    )


def _title(case: Case, modality: Modality) -> str:
    path = case.sources.get(modality)
    several = path is not None and list(case.sources.values()).count(path) > 1
    if path is None:
        return modality.title
    return f"{path.name}, {modality.title}" if several else path.name


def assign(case: Case, pool: Mapping[Modality, Source | None]) -> Case:
    """Return the case with other volumes as its modalities.

    Raises
    ------
    CaseError
        If no modality is left, or a volume lies on another grid.
    """
    chosen = {modality: source for modality, source in pool.items() if source is not None}
    if not chosen:
        raise CaseError(f'Case "{case.name}" needs at least one modality; choose one.')
    for modality, source in chosen.items():
        assert source.volume is not None
        if source.volume.shape != case.grid.shape:
            raise CaseError(
                f"{source.title} has {_size(source.volume.shape)} voxels and case "
                f'"{case.name}" {_size(case.grid.shape)}; choose another volume as '
                f"{modality.title}."
            )
    return replace(
        case,
        volumes={m: source.volume for m, source in chosen.items() if source.volume is not None},
        sources={m: source.path for m, source in chosen.items() if source.path is not None},
    )


def swapped(
    current: Mapping[Modality, Source | None], modality: Modality, source: Source | None
) -> dict[Modality, Source | None]:
    """Choose a volume for a modality; the one that had it takes what is given up."""
    chosen = dict(current)
    if source is not None:
        for other, held in current.items():
            if held is source and other is not modality:
                chosen[other] = current.get(modality)
    chosen[modality] = source
    return chosen


def case_on_layers(
    name: str,
    layer_spacing: Iterable[float],
    layer_origin: Iterable[float],
    sources: Mapping[Modality, Source],
) -> Case:
    """Make a case of image layers that another reader opened.

    Their axes are taken as slices from feet to head, rows to the back, columns to the left.
    """
    first = next(iter(sources.values())).volume
    assert first is not None
    shape = first.shape
    s, p, l = (float(v) for v in layer_spacing)
    z, y, x = (float(v) for v in layer_origin)
    affine = np.array(
        [[0.0, 0.0, -l, -x], [0.0, -p, 0.0, -y], [s, 0.0, 0.0, z], [0.0, 0.0, 0.0, 1.0]]
    )
    empty = Case(name=name, volumes={}, grid=Grid(affine, (shape[0], shape[1], shape[2])))
    return assign(empty, dict(sources))


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape)
