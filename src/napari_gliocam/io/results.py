"""Search for the saved results of a case, and whether labels are those of another."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from napari_gliocam.case import Case
from napari_gliocam.errors import CaseError
from napari_gliocam.io.find import look_up
from napari_gliocam.io.naming import RESULT_WORD, safe_name
from napari_gliocam.io.read import LabelFile, read_labels
from napari_gliocam.io.sidecar import read_sidecar


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


def read_labels_for(case: Case, path: Path, scheme: str | None = None) -> LabelFile:
    """Read labels onto the grid of a case; a doubt about whose they are is among the warnings."""
    read = read_labels(path, case.grid, scheme=scheme, case_name=case.name)
    doubt = doubt_of_case(path, case.name)
    return replace(read, warnings=(*read.warnings, doubt)) if doubt else read


def doubt_of_case(path: Path, name: str) -> str:
    """Return in a sentence why labels seem to be those of another case; empty where they do not.

    Their case is the one that the json beside them names, else the one that files and folders tell.
    Its name counts where it differs from that of the case in nothing but numbers: labels may be
    called anything, such as ``rater.nii.gz``.

    Parameters
    ----------
    path : Path
        The label file.
    name : str
        Of the case that the labels are meant for.
    """
    own = read_sidecar(path).get("case")
    if not isinstance(own, str):
        with suppress(CaseError):
            own = look_up(path).name
    if not isinstance(own, str):
        return ""
    own, name = (unicodedata.normalize("NFC", text) for text in (own, name))
    alike = re.sub(r"\d+", "0", own) == re.sub(r"\d+", "0", name)
    if own == name or not alike:
        return ""
    return f"{path.name} seems to belong to {own}, not to {name}; check whose labels they are."
