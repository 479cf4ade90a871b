"""Results as NIfTI, on the case's own grid: any other viewer shows them in the right place."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

import napari_gliocam
from napari_gliocam.errors import SaveError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.naming import NIFTI_SUFFIXES, RESULT_WORD, map_name, safe_name
from napari_gliocam.io.schemes import OWN_SCHEMES
from napari_gliocam.io.sidecar import SOFTWARE, describe, is_foreign, sidecar_path, written_here
from napari_gliocam.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_gliocam.case import Case
    from napari_gliocam.maps.class_maps import ClassMaps
    from napari_gliocam.targets import Target
    from napari_gliocam.threshold import Segmentation

#: Labels and maps are mostly zeros: more effort makes the file hardly smaller, only slower.
COMPRESSION = 1
_LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL


def save_segmentation(
    segmentation: Segmentation, path: str | Path, *, case: Case, overwrite: bool = False
) -> list[Path]:
    """Write labels as NIfTI, and beside them a json that says what they are made from.

    The json of ``X_seg.nii.gz`` is ``X.json``.

    Parameters
    ----------
    segmentation : Segmentation
        Labels with the maps and thresholds that they come from.
    path : str or Path
        Ends in ``.nii.gz`` or ``.nii``; its folder is made where it is missing.
    case : Case
        The case that was segmented: its header, grid and sources.
    overwrite : bool
        Whether ``path`` may be replaced; the case's own files never are, nor is a json that was
        not written with these labels.

    Returns
    -------
    list of Path
        The files written: NIfTI (uint8: 1 core, 2 edema, 3 both where classes overlap; 4
        tumour where the networks know no classes), json.

    Raises
    ------
    SaveError
        The name or the case does not fit, a file exists, or it cannot be written; earlier
        files are kept.
    """
    path = Path(path).expanduser()
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        raise SaveError(f"{path.name} does not end in .nii.gz or .nii; choose a name that does.")
    json_path = sidecar_path(path)
    refuse_sources((path, json_path), case)
    if is_foreign(json_path, path):
        raise SaveError(
            f"{json_path} exists and was not saved with {path.name}; choose another name, or move "
            "it away."
        )
    image = _nifti(segmentation.labels.astype(np.uint8, copy=False), case, labels=True)
    packed = _packed(image, path)
    # The json comes last and holds the checksum of the labels: it is true of nothing else.
    described = describe(segmentation, case, path=path, packed=packed)
    contents = {path: packed, json_path: described.encode("utf-8")}
    write_files(contents, overwrite=overwrite)
    return list(contents)


def suggested_name(case: Case) -> str:
    """Return the file name to suggest for a result: unlike any that experts' labels have."""
    return f"{safe_name(case.name)}_{RESULT_WORD}_seg.nii.gz"


def save_maps(
    maps: ClassMaps, case: Case, folder: str | Path, overwrite: bool = False
) -> list[Path]:
    """Write the aggregated map of each target as ``<case>_{tumour,core,edema}_map.nii.gz``.

    Parameters
    ----------
    maps : ClassMaps
        Maps of tumour, core and edema, or of the tumour alone.
    case : Case
        The case they belong to.
    folder : str or Path
        Made where it is missing.
    overwrite : bool
        Whether earlier maps may be replaced; those of targets that these maps lack are removed.

    Returns
    -------
    list of Path
        The files written: float32 in [0, 1], higher = more lesion, not gated.

    Raises
    ------
    SaveError
        A file exists or cannot be written; earlier files are kept.
    """
    folder = Path(folder).expanduser()
    contents = {}
    for target in maps.targets:
        path = folder / map_name(case.name, target)
        unit = np.clip(maps.of(target), 0.0, 1.0, dtype=np.float32)
        contents[path] = _packed(_nifti(unit, case, labels=False), path)
    refuse_sources(contents, case)
    write_files(contents, overwrite=overwrite)
    if overwrite:
        remove_other_maps(folder, case.name, maps.targets)
    return list(contents)


def remove_other_maps(folder: Path, name: str, targets: Sequence[Target]) -> None:
    """Remove maps that an earlier result left of targets which the new one does not have.

    Parameters
    ----------
    folder : Path
        Where the maps lie.
    name : str
        Of the case, as in their names.
    targets : sequence of {"tumour", "core", "edema"}
        Those that were written.
    """
    for target in TARGETS:
        path = folder / map_name(name, target)
        if target not in targets and path.is_file() and written_here(path):
            path.unlink()


def pack_volume(values: NDArray[Any], case: Case, path: Path) -> bytes:
    """Return a map or a mask as the bytes of a NIfTI file on the case's grid.

    Parameters
    ----------
    values : ndarray, (S, P, L)
        Maps in [0, 1] become float32, masks uint8 labels.
    case : Case
        The case at hand: its volumes, grid and brain.
    path : Path
        Where they will be written; tells whether they are compressed.

    Raises
    ------
    SaveError
        If the path is one of the case's own files, or the shape is not the case's.
    """
    refuse_sources([path], case)
    labels = values.dtype.kind in "bui"
    return _packed(
        _nifti(values.astype(np.uint8 if labels else np.float32), case, labels=labels), path
    )


def pack_image(values: NDArray[Any], case: Case, path: Path) -> bytes:
    """Return an image, (S, P, L), as the bytes of a NIfTI file on the case's grid, float32.

    Raises
    ------
    SaveError
        If the path is one of the case's own files, or the shape is not the case's.
    """
    refuse_sources([path], case)
    image = _nifti(values.astype(np.float32), case, labels=False)
    image.header["cal_max"] = 0
    return _packed(image, path)


def refuse_sources(paths: Iterable[Path], case: Case) -> None:
    """Never write over files that were read; a result that was read again may be replaced.

    Parameters
    ----------
    paths : iterable of Path
        Files that are about to be written.
    case : Case
        The case whose images and expert labels are protected.

    Raises
    ------
    SaveError
        If a path is one of these files.
    """
    sources = list(case.sources.values())
    if case.expert and case.expert.source and case.expert.scheme not in OWN_SCHEMES:
        sources.append(case.expert.source)
    taken = {source.resolve() for source in sources}
    for path in paths:
        if path.resolve() in taken:
            raise SaveError(f"{path} is one of the case's own files; choose another name.")


def _nifti(values: NDArray[Any], case: Case, *, labels: bool) -> Any:
    """Put values into the file's own axes, with its header's affines and codes as they are."""
    if values.shape != case.grid.shape:
        raise SaveError(f"The result is not one of {case.name}; segment that case again.")
    array = case.grid.to_file(values)
    header = case.header.copy() if case.header is not None else _new_header(case)
    header.extensions.clear()  # may hold what a scanner wrote about the patient
    pixdim = header["pixdim"].copy()
    header.set_data_shape(array.shape)
    header["pixdim"] = pixdim  # nibabel sets those of the axes that are not there
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(None, None)
    header["vox_offset"] = 0  # nibabel fills it in
    header["cal_min"], header["cal_max"] = 0, (0 if labels else 1)
    header["intent_code"], header["intent_name"] = (_LABEL_INTENT if labels else 0), b""
    header["descrip"] = f"{SOFTWARE} {napari_gliocam.__version__}".encode()[:79]
    header["aux_file"] = b""
    for field in ("data_type", "db_name"):  # NIfTI-1 only
        if field in header:
            header[field] = b""
    kind: Any = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    # Without an affine nibabel leaves sform and qform alone, with their codes.
    return kind(array, None, header)


def _new_header(case: Case) -> Any:
    """For a case made by code: both forms say the same, in scanner space and mm."""
    header = nib.Nifti1Header()
    header.set_data_shape(case.grid.file_shape)
    header.set_sform(case.grid.affine, code="scanner")
    header.set_qform(case.grid.affine, code="scanner")
    header.set_xyzt_units("mm")
    return header


def _packed(image: Any, path: Path) -> bytes:
    raw: bytes = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        return gzip.compress(raw, COMPRESSION, mtime=0)  # the same voxels give the same bytes
    return raw
