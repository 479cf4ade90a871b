"""Write a prepared case: its images as NIfTI, and how they were made as json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari_gliocam
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.sidecar import NOTICE, SOFTWARE, plain
from napari_gliocam.io.write import pack_image

if TYPE_CHECKING:
    from napari_gliocam.case import Case


def prepared_files(name: str, folder: Path, modalities: list[str]) -> list[Path]:
    """Return the files that a prepared case gets: an image for each modality, the json."""
    stem = safe_name(name)
    return [
        *(folder / stem / f"{stem}_{modality}.nii.gz" for modality in modalities),
        folder / stem / f"{stem}_prepare.json",
    ]


def save_prepared(case: Case, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a prepared case into a folder of its name: all files, or none.

    Parameters
    ----------
    case : Case
        Made by `napari_gliocam.prepare.prepare`.
    folder : Path
        The case gets a folder in it.
    overwrite : bool
        Whether earlier files may be replaced; those it was made from never are.

    Returns
    -------
    list of Path
        ``NAME_t1.nii.gz`` and so on, and ``NAME_prepare.json`` with the steps and the movement to
        each series, without a name, a date or a path of the source.

    Raises
    ------
    SaveError
        A file exists or cannot be written.
    """
    *images, described = prepared_files(case.name, folder, [str(m) for m in case.volumes])
    contents: dict[Path, bytes] = {}
    for path, volume in zip(images, case.volumes.values(), strict=True):
        contents[path] = pack_image(volume, case, path)
    contents[described] = (json.dumps(plain(_facts(case)), indent=2) + "\n").encode()
    write_files(contents, overwrite=overwrite)
    return list(contents)


def _facts(case: Case) -> dict[str, Any]:
    made = case.preparation
    return {
        "software": SOFTWARE,
        "version": napari_gliocam.__version__,
        "notice": NOTICE,
        "case": case.name,
        "spacing_mm": case.grid.spacing,
        "steps": made.steps if made else (),
        "series": {
            str(modality): {
                "shape": original.grid.file_shape,
                "affine_ras": original.grid.affine,
                "from_case": original.from_case,
                "dicom": original.is_dicom,
            }
            for modality, original in (made.originals.items() if made else ())
        },
    }
