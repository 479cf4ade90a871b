"""Maps saved beside labels: their files, and the image-level probabilities as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.case import Case, Grid
from napari_gliocam.errors import CaseError
from napari_gliocam.io.naming import map_name, safe_name
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.io.tables import write_csv
from napari_gliocam.io.volume import difference
from napari_gliocam.io.write import save_maps
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.targets import TARGETS, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_maps_and_slices(maps: ClassMaps, case: Case, folder: Path) -> list[Path]:
    """Write maps and slice probabilities so that `read_maps_and_slices` finds them again.

    Parameters
    ----------
    maps : ClassMaps
        Maps of tumour, core and edema.
    case : Case
        The case they belong to.
    folder : Path
        Where they go; earlier files of these names are replaced.

    Raises
    ------
    SaveError
        A file cannot be written; the earlier one is kept.
    """
    written = save_maps(maps, case, folder, overwrite=True)
    table = _slice_table(folder, case)
    rows = enumerate(maps.probabilities.tolist())
    write_csv(
        table,
        ("slice", *maps.targets),
        ([index, *(f"{value:.7g}" for value in row[: len(maps.targets)])] for index, row in rows),
    )
    return [*written, table]


def read_maps_and_slices(
    folder: Path, case: Case, provenance: Mapping[str, Any]
) -> ClassMaps | None:
    """Read maps that were saved of a case; None where they are not all there, on its grid.

    Parameters
    ----------
    folder : Path
        Where they were saved.
    case : Case
        The case they belong to.
    provenance : mapping
        How they were made.

    Raises
    ------
    CaseError
        The table of the slices is damaged.
    """
    table = _slice_table(folder, case)
    if not table.exists():
        return None
    try:
        header, *rows = table.read_text(encoding="utf-8").splitlines() or [""]
        targets = TARGETS[: header.count(",")]
        if not targets or not rows or header != ",".join(("slice", *targets)):
            raise ValueError(header)
        found = np.loadtxt(rows, np.float32, delimiter=",", ndmin=2)[:, 1:]
    except (ValueError, IndexError) as error:
        raise CaseError(f"{table.name} is damaged; save the result and its maps anew.") from error
    files = {target: folder / map_name(case.name, target) for target in targets}
    if not all(file.exists() for file in files.values()):
        return None
    volumes: dict[Target, NDArray[np.float32]] = {}
    for target, file in files.items():
        loaded = load_nifti(file)
        grid = Grid(loaded.affine, loaded.array.shape)
        if difference(case.grid, grid):
            return None
        volumes[target] = grid.from_file(loaded.array).astype(np.float32)
    if found.shape != (case.grid.shape[0], len(files)):
        return None
    probabilities = np.zeros((len(found), len(TARGETS)), np.float32)
    probabilities[:, : len(files)] = found
    return ClassMaps.of_targets(
        case.grid, volumes, probabilities=probabilities, provenance=provenance
    )


def _slice_table(folder: Path, case: Case) -> Path:
    return folder / f"{safe_name(case.name)}_slices.csv"
