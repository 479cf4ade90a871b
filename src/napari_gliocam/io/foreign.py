"""Images of other formats in a folder without NIfTI, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gliocam.case import NEEDED
from napari_gliocam.io.naming import is_nifti, parse_names

if TYPE_CHECKING:
    from pathlib import Path

_PREPARE = 'make a case of them with "napari-gliocam prepare", or convert them'
_BY_SUFFIX = {
    ".mha": ("MetaImage", f"{_PREPARE} with SimpleITK"),
    ".mhd": ("MetaImage", f"{_PREPARE} with SimpleITK"),
    ".nrrd": ("NRRD", f"{_PREPARE} with SimpleITK"),
    ".nhdr": ("NRRD", f"{_PREPARE} with SimpleITK"),
    ".hdr": ("Analyze or two-part NIfTI", f"{_PREPARE} with nib-convert"),
    ".mgz": ("FreeSurfer", f"{_PREPARE} with mri_convert"),
    ".mgh": ("FreeSurfer", f"{_PREPARE} with mri_convert"),
    ".mnc": ("MINC", "convert them with mnc2nii"),
    ".dcm": ("DICOM", f"{_PREPARE} with dcm2niix"),
    ".ima": ("DICOM", f"{_PREPARE} with dcm2niix"),
    ".zip": ("zip", "unpack them"),
    ".tar": ("tar", "unpack them"),
    ".7z": ("7z", "unpack them"),
}
_LOOKED_AT = 400
#: What `napari_gliocam.prepare` reads with SimpleITK, with nibabel, and in all.
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
NIBABEL_SUFFIXES = (".mgz", ".mgh", ".hdr")
_DICOM_SUFFIXES = (".dcm", ".ima")
READABLE_SUFFIXES = (*ITK_SUFFIXES, *NIBABEL_SUFFIXES, *_DICOM_SUFFIXES)


def is_foreign_image(path: Path) -> bool:
    """Return True if a file's ending is that of another image format."""
    return path.suffix.lower() in _BY_SUFFIX


def is_readable(path: Path) -> bool:
    """Return True if a file's ending is that of a format which `napari_gliocam.prepare` reads."""
    return path.name.lower().endswith(ITK_SUFFIXES + NIBABEL_SUFFIXES)


def what_else(folder: Path) -> str:
    """Say what a folder holds instead of NIfTI files and what to do, as the end of a sentence.

    Parameters
    ----------
    folder : Path
        Its own files and those one level below are looked at.
    """
    found: dict[str, int] = {}
    for path in _some_files(folder):
        suffix = path.suffix.lower()
        if suffix not in _BY_SUFFIX and _is_dicom(path):
            suffix = ".dcm"
        if suffix in _BY_SUFFIX:
            found[suffix] = found.get(suffix, 0) + 1
    if not found:
        return "; choose the folder that holds the files of a case"
    suffix, count = max(found.items(), key=lambda item: item[1])
    title, remedy = _BY_SUFFIX[suffix]
    files = f"{count} {title} file{'s' if count > 1 else ''}"
    return f", but {files} ({suffix}); {remedy} to .nii.gz"


def holds_other_images(path: Path) -> bool:
    """Return True if a folder is a study to prepare, or a file is an image of another format.

    Parameters
    ----------
    path : Path
        A folder without NIfTI but with images of another format, or with DICOM beside the NIfTI
        of one case that lacks a modality.  Its files and those one level below are looked at.
    """
    if not path.is_dir():
        return path.is_file() and (_is_dicom(path) or is_readable(path))
    files = _some_files(path.expanduser())
    told = [n for n in parse_names(f.name for f in files if is_nifti(f.name)) if n.modality]
    if not any(is_nifti(file.name) for file in files):
        return any(is_readable(file) or _is_dicom(file) for file in files)
    lacking = set(NEEDED) - {name.modality for name in told}
    one = len({name.case for name in told}) < 2
    return one and bool(lacking) and any(_is_dicom(file) for file in files)


def _some_files(folder: Path) -> list[Path]:
    """Return files of the folder and of the folders in it, not more than are needed."""
    found: list[Path] = []
    try:
        children = sorted(folder.iterdir())
        below = [child for child in children if child.is_dir() and not child.name.startswith(".")]
        for place in [children, *(sorted(child.iterdir()) for child in below[:20])]:
            found += [path for path in place[:_LOOKED_AT] if path.is_file()]
    except OSError:  # a hint is no reason to fail
        pass
    return found[: 4 * _LOOKED_AT]


def _is_dicom(path: Path) -> bool:
    """Return True if a file has DICOM's ending, or none and begins as a DICOM file does."""
    if path.suffix.lower() in _DICOM_SUFFIXES:
        return True
    return may_be_dicom(path) and looks_like_dicom(path)


def may_be_dicom(path: Path) -> bool:
    """Return True if a file has no ending, a number for one, or that of DICOM."""
    end = path.suffix.lower()
    return not end or end[1:].isdigit() or end in _DICOM_SUFFIXES


def looks_like_dicom(path: Path) -> bool:
    """Return True if a file begins as DICOM does, with the preamble or without."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or head[:4] in (b"\x08\x00\x00\x00", b"\x08\x00\x05\x00")
