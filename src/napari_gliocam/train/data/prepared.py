"""One case made ready for training: its slices packed, its outlines counted if there are any."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from napari_gliocam.case import Modality
from napari_gliocam.io.find import CaseFiles
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.io.read import read_case
from napari_gliocam.io.sidecar import PHANTOM, written_here
from napari_gliocam.nets.bundle import BundleInfo
from napari_gliocam.slices import Normalisation, cut_slices
from napari_gliocam.train.data.packed import pack_slices
from napari_gliocam.train.labels.slice_order import file_slices


@dataclass(frozen=True)
class Preparation:
    """How slices are made; that of the bundle that is trained.

    Parameters
    ----------
    modalities : tuple of Modality
        The networks' channels in order.
    optional : tuple of Modality
        Those a case may lack.
    pixel_mm : float
    normalisation : Normalisation
    """

    modalities: tuple[Modality, ...] = (Modality.T1CE, Modality.T2, Modality.FLAIR)
    optional: tuple[Modality, ...] = ()
    pixel_mm: float = 1.5
    normalisation: Normalisation = field(default_factory=Normalisation)

    @classmethod
    def of(cls, info: BundleInfo) -> Preparation:
        """As this bundle wants them."""
        optional = info.optional_modalities
        return cls(info.modalities, optional, info.pixel_mm, info.normalisation)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


@dataclass(frozen=True)
class PreparedCase:
    """What the index knows of a case.

    Parameters
    ----------
    depth : int
        Slices in the file.
    slices : list of int
        Numbers in the file of those with enough brain, in the order in which they are packed.
    shape : [H, W]
        Of a packed slice.
    packed : str
        The file's name in the cache.
    core, edema : list of int or None
        Pixels of each class by the slice's number where an expert outlined them, else None.
        Counts, no outline: image-level labels can be derived, nothing else.  A result that this
        program saved beside the case is no expert's.
    problem : str
        Why it cannot be learned from; the rest is empty then.
    """

    depth: int = 0
    slices: list[int] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)
    packed: str = ""
    core: list[int] | None = None
    edema: list[int] | None = None
    problem: str = ""


def prepare_case(files: CaseFiles, how: Preparation, cache: Path) -> PreparedCase:
    """Read a case, cut its slices and pack them.

    Raises
    ------
    CaseError
        If it cannot be read or shows no brain.
    SaveError
        If the cache cannot be written.
    """
    case = read_case(files)
    needed = [m for m in how.modalities if m not in how.optional and m not in case.volumes]
    if needed or not any(m in case.volumes for m in how.modalities):
        lacking = " and ".join(m.title for m in needed or how.modalities)
        return PreparedCase(
            problem=f"{case.name} has no {lacking}, which the networks need; add the file or "
            "take the case out of the folder."
        )
    stack = cut_slices(case, how.modalities, pixel_mm=how.pixel_mm, normalisation=how.normalisation)
    digest = sha256(str(files.paths).encode()).hexdigest()[:8]  # names may differ in case alone
    packed = f"{safe_name(files.name)}-{digest}.slices"
    pack_slices(stack.images, cache / packed)
    numbers = file_slices(case.grid)
    core = edema = None
    if case.expert is not None and not _is_a_result(case.expert.source):
        by_number = np.argsort(numbers)
        core, edema = (
            (case.expert.labels == value).sum(axis=(1, 2))[by_number].tolist() for value in (1, 2)
        )
    return PreparedCase(
        depth=len(numbers),
        slices=numbers[list(stack.frame.indices)].tolist(),
        shape=list(stack.images.shape[2:]),
        packed=packed,
        core=core,
        edema=edema,
    )


def _is_a_result(labels: Path | None) -> bool:
    if labels is None:
        return False
    header = load_nifti(labels).header
    synthetic = header["descrip"].item().startswith(PHANTOM.encode())
    return written_here(labels, header) and not synthetic
