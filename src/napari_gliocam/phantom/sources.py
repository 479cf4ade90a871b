"""Anatomies from openly licensed files, for training: label maps and real contrasts.

The files are not part of the package; a folder that holds them is named when a bundle is
trained.  Expected below it: ``labels/*.nii.gz`` (FreeSurfer numbering, values of 500 and more
outside the brain; SynthSeg, Billot et al. 2023, Apache-2.0) and
``ms/*/{t1,t1ce,t2,flair,lesions}.nii.gz`` (skull-stripped; Lesjak et al. 2018, CC BY).
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_gliocam.case import Grid, bounding_box
from napari_gliocam.errors import CaseError
from napari_gliocam.phantom.anatomy import Anatomy, Tissue

#: FreeSurfer numbers of each tissue.
FREESURFER: dict[Tissue, tuple[int, ...]] = {
    Tissue.CSF: (24,),
    Tissue.VENTRICLE: (4, 43, 5, 44, 14, 15, 72),
    Tissue.CORTEX: (3, 42),
    Tissue.WHITE: (2, 41, 77, 25, 57),
    Tissue.THALAMUS: (10, 49),
    Tissue.STRIATUM: (11, 50, 12, 51, 26, 58),
    Tissue.PALLIDUM: (13, 52),
    Tissue.HIPPOCAMPUS: (17, 53, 18, 54),
    Tissue.CEREBELLAR_WHITE: (7, 46),
    Tissue.CEREBELLAR_CORTEX: (8, 47),
    Tissue.BRAIN_STEM: (16, 28, 60),
    Tissue.VESSEL: (30, 62, 85, 136, 137, 163, 164),
}

#: What a folder of real contrasts holds.
CONTRAST_FILES = ("t1.nii.gz", "t1ce.nii.gz", "t2.nii.gz", "flair.nii.gz", "lesions.nii.gz")


def load_anatomies(folder: Path, spacing: float = 1.5) -> dict[str, Anatomy]:
    """Load all anatomies of a folder by name; label maps first, then real contrasts."""
    return {
        path.name.split(".")[0]: load_anatomy(path, spacing)
        for paths in find_anatomies(folder).values()
        for path in paths
    }


def find_anatomies(folder: Path) -> dict[str, list[Path]]:
    """Find the paths below ``labels`` and ``ms``, sorted; kinds without any are left out.

    Raises
    ------
    CaseError
        The folder is none, or holds neither.
    """
    if not folder.is_dir():
        raise CaseError(f"{folder} is no folder of anatomies; check the path.")
    found = {
        "labels": sorted((folder / "labels").glob("*.nii.gz")),
        "ms": sorted(p for p in (folder / "ms").glob("*") if p.is_dir()),
    }
    if not any(found.values()):
        raise CaseError(
            f"{folder} holds no anatomy; it needs label maps (labels/*.nii.gz) or real contrasts "
            "(ms/NAME/t1.nii.gz and so on)."
        )
    return {kind: paths for kind, paths in found.items() if paths}


def load_anatomy(path: Path, spacing: float = 1.5) -> Anatomy:
    """Read a label map (a file) or real contrasts (a folder).

    Raises
    ------
    CaseError
        A file is missing, damaged, or shows no brain.
    """
    if path.is_dir():
        absent = [n for n in CONTRAST_FILES if not (path / n).is_file()]
        if absent:
            raise CaseError(f"The anatomy {path} lacks {', '.join(absent)}; add it.")
    try:
        read = anatomy_from_contrasts if path.is_dir() else anatomy_from_labels
        return read(path, spacing)
    except (OSError, EOFError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise CaseError(
            f"The anatomy {path} cannot be read ({type(error).__name__}); "
            "copy it again or take it out of the folder."
        ) from error
    except IndexError as error:
        raise CaseError(f"The anatomy {path} shows no brain; take it out of the folder.") from error


def anatomy_from_labels(path: Path, spacing: float = 1.5) -> Anatomy:
    """Make soft tissue maps of one label map."""
    labels, voxel = read_canonical(path, np.int16)
    labels = np.where(labels >= 500, 0, labels)
    tissue = np.full(600, -1, dtype=np.int8)
    for name, numbers in FREESURFER.items():
        tissue[list(numbers)] = name
    classes = np.where(labels > 0, tissue[labels], -1)
    solid = largest_component(ndi.binary_opening((classes >= 0) & (classes != Tissue.CSF)))
    solid = ndi.binary_dilation(solid, iterations=2) & (classes >= 0) & (classes != Tissue.CSF)
    box = _box(solid, 14)
    classes, solid = classes[box], solid[box]
    # The brain is what its own folds enclose: sulci belong to it, the skull does not.
    whole = ndi.binary_fill_holes(ndi.binary_closing(solid, iterations=4))
    classes = np.where(~solid, np.where(whole, int(Tissue.CSF), -1), classes)
    depth = _signed_distance(whole, voxel)
    fractions = np.stack(
        [ndi.gaussian_filter((classes == t).astype(np.float32), 0.6) for t in Tissue]
    )
    return _resample(fractions, depth, None, voxel, spacing)


def anatomy_from_contrasts(folder: Path, spacing: float = 1.5) -> Anatomy:
    """Estimate tissue maps from real contrasts, and keep the contrasts themselves."""
    names = ("t1", "t1ce", "t2", "flair")
    volumes = {}
    for name in names:
        volumes[name], voxel = read_canonical(folder / f"{name}.nii.gz", np.float32)
    lesions, _ = read_canonical(folder / "lesions.nii.gz", np.float32)
    t1, t2 = volumes["t1"], volumes["t2"]
    brain = (t1 > 0.5 * np.percentile(t1[t1 > 1], 1)) & (t2 > 1)
    brain = ndi.binary_fill_holes(largest_component(ndi.binary_opening(brain)))
    box = _box(brain, 10)
    brain, lesions = brain[box], lesions[box] > 0.5
    volumes = {k: v[box] for k, v in volumes.items()}
    scaled = {
        k: np.clip(v, 0, np.percentile(v[brain], 99.8)) * brain / np.percentile(v[brain], 98)
        for k, v in volumes.items()
    }
    z = {k: (v[brain] - v[brain].mean()) / v[brain].std() for k, v in scaled.items()}
    fluid = z["t2"] - z["flair"] - z["t1"]
    csf = _logistic((fluid - np.quantile(fluid, 0.84)) / 0.35)
    whiteness = np.zeros(brain.shape, dtype=np.float32)
    whiteness[brain] = z["t1"] - 0.3 * z["t2"] - 0.35 * z["flair"]
    whiteness = ndi.gaussian_filter(whiteness, 0.5)[brain]
    solid = csf < 0.5
    cut, spread = np.quantile(whiteness[solid], 0.52), whiteness[solid].std()
    white = _logistic((whiteness - cut) / (0.16 * spread))
    uptake = scaled["t1ce"][brain] / scaled["t1ce"][brain].mean()
    uptake = uptake - scaled["t1"][brain] / scaled["t1"][brain].mean()
    uptake = (uptake - np.median(uptake)) / (1.48 * np.median(np.abs(uptake - np.median(uptake))))
    vessel = _logistic((uptake - 4.5) * 1.5)
    vessel *= vessel > 0.2
    inside = lesions[brain]
    csf[inside], white[inside] = 0.0, 1.0
    fractions = np.zeros((len(Tissue), *brain.shape), dtype=np.float32)
    for tissue, share in (
        (Tissue.CSF, csf * (1 - vessel)),
        (Tissue.CORTEX, (1 - csf) * (1 - white) * (1 - vessel)),
        (Tissue.WHITE, (1 - csf) * white * (1 - vessel)),
        (Tissue.VESSEL, vessel),
    ):
        fractions[tissue][brain] = share
    # CSF well inside the brain is ventricle, so that caps and plexus find their place.
    depth = _signed_distance(brain, voxel)
    deep = (depth > 14) & (ndi.gaussian_filter(fractions[Tissue.CSF], 1.5) > 0.4)
    fractions[Tissue.VENTRICLE] = fractions[Tissue.CSF] * deep
    fractions[Tissue.CSF] *= ~deep
    contrasts = np.stack([scaled[n] for n in names])
    return _resample(fractions, depth, contrasts, voxel, spacing)


def read_canonical(path: Path, dtype: type) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """Return the volume of a NIfTI file in canonical axes, and its voxel size in mm."""
    image: Any = nib.load(path)
    grid = Grid(image.affine, image.shape[:3])
    return grid.from_file(np.asarray(image.dataobj).astype(dtype)), grid.spacing


def _resample(
    fractions: NDArray[np.float32],
    depth: NDArray[np.float32],
    contrasts: NDArray[np.float32] | None,
    voxel: tuple[float, float, float],
    spacing: float,
) -> Anatomy:
    zoom = [v / spacing for v in voxel]

    def scale(a: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(ndi.zoom(a, zoom, order=1, grid_mode=True, mode="nearest")).half()

    return Anatomy(
        torch.stack([scale(f) for f in fractions]).clamp(0, 1),
        scale(depth),
        spacing,
        None if contrasts is None else torch.stack([scale(c) for c in contrasts]),
    )


def _signed_distance(
    mask: NDArray[np.bool_], voxel: tuple[float, float, float]
) -> NDArray[np.float32]:
    inside = ndi.distance_transform_edt(mask, sampling=voxel)
    outside = ndi.distance_transform_edt(~mask, sampling=voxel)
    distance: NDArray[np.float32] = np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
    return distance


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected part of a mask."""
    labels, count = ndi.label(mask)
    if count < 2:
        return mask
    largest: NDArray[np.bool_] = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return largest


def _box(mask: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    box = bounding_box(mask, (margin,) * 3)
    if box is None:
        raise IndexError("no brain")
    return box


def _logistic(x: NDArray[Any]) -> NDArray[np.float32]:
    share: NDArray[np.float32] = (1 / (1 + np.exp(-np.clip(x, -30, 30)))).astype(np.float32)
    return share
