"""Search for the saved results of a case."""

from __future__ import annotations

from pathlib import Path

from napari_gliocam.errors import CaseError
from napari_gliocam.io.naming import RESULT_WORD, safe_name


def find_result(folder: Path, name: str) -> Path:
    """Find the labels of a case that were saved before.

    Parameters
    ----------
    folder : Path
        The folder to look in or write to.
    name : str
        Of the case: ``folder/CASE/CASE_seg.nii.gz`` as `segment` writes it,
        ``folder/CASE_seg.nii.gz``, ``folder/CASE_gliocam_seg.nii.gz`` as the panel suggests, or
        ``folder/CASE.nii.gz``; ``.nii`` too.

    Raises
    ------
    CaseError
        There are none.
    """
    stem = safe_name(name)
    candidates = [
        folder / f"{path}{suffix}"
        for path in (f"{stem}/{stem}_seg", f"{stem}_seg", f"{stem}_{RESULT_WORD}_seg", stem)
        for suffix in (".nii.gz", ".nii")
    ]
    for path in candidates:
        if path.is_file():
            return path
    raise CaseError(
        f'There is no result of "{name}" in {folder}; segment it into that folder '
        f"first, or name the file {candidates[0].relative_to(folder)}."
    )
