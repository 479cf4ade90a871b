"""Fluid where a surgeon took tissue out: the networks learned from no operated patient."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from napari_gliocam.case import Case, Modality, bounding_box
from napari_gliocam.io.volume import LARGEST_BRAIN_ML
from napari_gliocam.measure.lesion.depth import brain_depth

#: Fluid lies at least so many robust standard deviations (1.4826 times the median absolute
#: deviation) from the median of the brain, on the side of the sign.
FLUID = {Modality.FLAIR: -1.5, Modality.T2: 1.0, Modality.T1CE: -1.0}
#: A ball of this radius in mm fits into a cavity; sulci are narrower.
RADIUS_MM = 7.0
#: That ball comes so near to the brain's surface, in mm; those of the ventricles lie deeper.
REACH_MM = 5.0
#: Smaller ones are cisterns.
LEAST_ML = 3.0
#: Voxels are thinned out to about this size in mm, which is enough and quick.
_STEP_MM = 2.0


def cavity_warning(case: Case) -> str:
    """Return a warning where a case shows a cavity as after an operation, else nothing.

    Parameters
    ----------
    case : Case
        With FLAIR and at least one of T2 and T1ce, without skull; nothing is said of others.
    """
    if Modality.FLAIR not in case.volumes or len(FLUID.keys() & case.volumes.keys()) < 2:
        return ""
    if np.count_nonzero(case.brain) * case.grid.voxel_ml > LARGEST_BRAIN_ML:
        return ""  # the eyes of a head are fluid at the surface, too
    found = find_cavity(case)
    if found is None:
        return ""
    ml, index = found
    return (
        f"Fluid that opens to the brain's surface (about {ml:.0f} ml, most on slice {index}) looks "
        "like the cavity of an operation, which is outside of what the networks learned; check the "
        "labels beside it."
    )


def find_cavity(case: Case) -> tuple[float, int] | None:
    """Look for a block of fluid that opens to the brain's surface, away from the ventricles.

    Fluid is dark on FLAIR and T1ce and bright on T2.  It is a cavity where a ball of `RADIUS_MM`
    fits into it that comes to the surface within `REACH_MM`.

    Parameters
    ----------
    case : Case
        Modalities of `FLUID` that it lacks are left out.

    Returns
    -------
    (float, int) or None
        Volume in ml of all cavities, and the slice that shows most of them.
    """
    box = bounding_box(case.brain)
    if box is None:
        return None
    step = [max(1, round(_STEP_MM / mm)) for mm in case.grid.spacing]
    # With air on each side, where there is some: the brain's surface is found beside it.
    thin = tuple(
        slice(max(part.start - n, 0), part.stop + n, n) for part, n in zip(box, step, strict=True)
    )
    spacing = [mm * n for mm, n in zip(case.grid.spacing, step, strict=True)]
    brain = case.brain[thin]
    fluid = brain.copy()
    for modality, least in FLUID.items():
        if modality in case.volumes:
            volume = case.volumes[modality][thin].astype(np.float32)
            middle = np.median(volume[brain])
            spread = 1.4826 * np.median(np.abs(volume[brain] - middle))
            fluid &= np.sign(least) * (volume - middle) > abs(least) * spread
    fluid = ndi.uniform_filter(fluid.astype(np.float32), 3) > 0.5  # noise makes no holes in it
    if not ndi.binary_erosion(fluid, iterations=int((RADIUS_MM - 0.1) / max(spacing)) or 1).any():
        return None  # no ball can fit; the exact distances take four times as long
    room = ndi.distance_transform_edt(np.pad(fluid, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    balls = room >= RADIUS_MM
    depth = brain_depth(brain, spacing) if balls.any() else None
    if depth is None:
        return None
    blocks, _ = ndi.label(balls, np.ones((3, 3, 3)))
    at_surface = np.isin(blocks, np.unique(blocks[balls & (depth - room <= REACH_MM)]))
    if not at_surface.any():
        return None
    whole = fluid & (ndi.distance_transform_edt(~at_surface, sampling=spacing) <= RADIUS_MM)
    ml = float(np.count_nonzero(whole) * np.prod(spacing) / 1000)
    index = thin[0].start + int(np.count_nonzero(whole, axis=(1, 2)).argmax()) * step[0]
    return (ml, index) if ml >= LEAST_ML else None
