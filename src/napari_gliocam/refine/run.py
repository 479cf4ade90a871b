"""Refine a segmentation: only where there is a lesion, slice by slice on all cores."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Modality, bounding_box
from napari_gliocam.device import choose_device
from napari_gliocam.progress import Progress
from napari_gliocam.refine.adapt import AdaptedMaps
from napari_gliocam.refine.boundary_fit import fit_labels
from napari_gliocam.refine.clusters import Clustering, clustering_slice
from napari_gliocam.refine.components import clean_components
from napari_gliocam.refine.crf import running_crf, to_bytes
from napari_gliocam.refine.parameters import ClusterParameters, Refinement
from napari_gliocam.refine.threads import in_threads
from napari_gliocam.refine.unaries import MASK_PROBABILITY, core_share, tumour_probability
from napari_gliocam.targets import BACKGROUND, BOTH, CORE, EDEMA, TUMOUR, TUMOUR_ALONE
from napari_gliocam.threshold import apply_thresholds

if TYPE_CHECKING:
    from napari_gliocam.case import Case
    from napari_gliocam.threshold import Segmentation

#: What the refinements look at, where the case has it.
MODALITIES = (Modality.FLAIR, Modality.T1CE, Modality.T2)

#: Kept around the lesion for the CRF, in mm: what lies further away is background for certain.
MARGIN_MM = 20.0

#: Clusters of slices, by slice; they depend on the case and `ClusterParameters` alone.
Clusters = MutableMapping[int, Clustering]

Box = tuple[slice, slice, slice]


def slices_with_lesion(segmentation: Segmentation) -> list[int]:
    """Return the indices of slices that show tumour, in order."""
    found: list[int] = np.flatnonzero((segmentation.labels > 0).any(axis=(1, 2))).tolist()
    return found


def lesion_box(segmentation: Segmentation, index: int) -> Box:
    """Return the lesion of a slice with `MARGIN_MM` around it, clipped to the case, (S, P, L).

    Raises
    ------
    ValueError
        The slice shows no lesion.
    """
    margins = [math.ceil(MARGIN_MM / mm) for mm in segmentation.grid.spacing[1:]]
    box = bounding_box(segmentation.labels[index], margins)
    if box is None:
        raise ValueError(f"Slice {index} shows no lesion.")
    rows, columns = box
    return slice(index, index + 1), rows, columns


def refine(
    segmentation: Segmentation,
    case: Case,
    refinement: Refinement,
    *,
    slices: Iterable[int] | None = None,
    clusters: Clusters | None = None,
    image: NDArray[np.float32] | None = None,
    adapted: AdaptedMaps | None = None,
    device: str = "cpu",
) -> Generator[Progress, None, Segmentation]:
    """Refine a segmentation; to all but the adaptation, slices without lesion cost nothing.

    Parameters
    ----------
    segmentation : Segmentation
        As cut by `apply_thresholds`; of a refined one, the unrefined one is taken.
    case : Case
        The case it is of.
    refinement : Refinement
        Method and parameters.
    slices : iterable of int, optional
        Refine these alone, for a preview.  A CRF in 3-D sees what lies within `MARGIN_MM` of
        them; components and holes need the whole case and are left as they are.
    clusters : mapping of int to Clustering, optional
        Filled with the clusters of each slice and looked up in, so that they are made once
        while thresholds move.  Empty it when the `ClusterParameters` change.
    image : ndarray, shape (C, S, P, L), optional
        What `image_of` made of the case, if it is at hand.
    adapted : AdaptedMaps, optional
        Keeps the posterior of the adaptation, so that it is made once while thresholds move:
        it depends on the maps and `AdaptParameters` alone.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the CRF runs.

    Returns
    -------
    Segmentation
        With new labels, ``refinement`` and ``unrefined``.
    """
    before = segmentation.unrefined or segmentation
    chosen = None if slices is None else sorted({int(index) for index in slices})
    labels = before.labels.copy()
    if refinement.adapts:
        kept = adapted or AdaptedMaps()
        posterior = yield from kept.of(before.maps, case, refinement.adapt)
        for part in [slice(None)] if chosen is None else [slice(i, i + 1) for i in chosen]:
            apply_thresholds(posterior, before.settings, out=labels, where=part)
    if refinement.fits or refinement.smooths:
        there = slices_with_lesion(before)
        there = there if chosen is None else sorted(set(there) & set(chosen))
        if there:
            yield Progress(0, len(there), "reading intensities")
            image = image_of(case) if image is None else image
            job = _Job(before, case, refinement, image, labels)
            if refinement.fits:
                yield from job.fit(there, {} if clusters is None else clusters)
            if refinement.smooths:
                yield from job.smooth(there, device)
    if refinement.components is not None and slices is None:
        yield Progress(0, 1, "components")
        labels = clean_components(labels, refinement.components, voxel_ml=case.grid.voxel_ml)
    return replace(before, labels=labels, refinement=refinement, unrefined=before)


def image_of(case: Case) -> NDArray[np.float32]:
    """Return the modalities for a refinement in intensities of 0 to 255, (C, S, P, L)."""
    there = [m for m in MODALITIES if m in case.volumes] or list(case.volumes)
    return np.stack([to_bytes(case.volumes[m], case.brain) for m in there])


def clustering(
    case: Case,
    index: int,
    parameters: ClusterParameters,
    image: NDArray[np.float32],
    clusters: Clusters,
) -> Generator[Progress, None, Clustering]:
    """Return the pieces of one slice: from ``clusters``, or made and kept there."""
    if index not in clusters:
        clusters[index] = yield from clustering_slice(
            image[:, index], case.brain[index], parameters, spacing=case.grid.spacing[1:]
        )
    return clusters[index]


@dataclass(frozen=True, eq=False)
class _Job:
    """One refinement under way; ``labels`` change in place, each part from one thread."""

    before: Segmentation
    case: Case
    refinement: Refinement
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]

    def fit(self, slices: list[int], clusters: Clusters) -> Generator[Progress, None, None]:
        """BoundaryFit; clusters that are not there yet are made on the way."""

        def fit_slice(index: int) -> Generator[Progress, None, None]:
            parameters = self.refinement.clusters
            pieces = yield from clustering(self.case, index, parameters, self.image, clusters)
            self.labels[index] = fit_labels(
                self.labels[index], pieces.clusters, self.refinement.fit
            )

        yield from in_threads(fit_slice, slices, "BoundaryFit")

    def smooth(self, slices: list[int], device: str) -> Generator[Progress, None, None]:
        """Dense CRF: slice by slice in threads, or at once in 3-D and on a GPU."""
        if choose_device(device).type == "cpu" and not self.refinement.crf.volume:
            yield from in_threads(self._smooth, self._boxes(slices), "dense CRF")
        else:
            yield from self.smooth_at_once(slices, device)

    def smooth_at_once(self, slices: list[int], device: str) -> Generator[Progress, None, None]:
        """Dense CRF of the box around all boxes, in one call; other slices stay as they were."""
        depth, rows, columns = (
            slice(min(part.start for part in parts), max(part.stop for part in parts))
            for parts in zip(*self._boxes(slices), strict=True)
        )
        if self.refinement.crf.volume:
            lesion = slices_with_lesion(self.before)
            margin = math.ceil(MARGIN_MM / self.case.grid.spacing[0])
            depth = slice(
                max(depth.start - margin, lesion[0]), min(depth.stop + margin, lesion[-1] + 1)
            )
        others = np.setdiff1d(np.arange(depth.start, depth.stop), slices)
        before = self.labels[others]
        yield from self._smooth((depth, rows, columns), device)
        self.labels[others] = before

    def _boxes(self, slices: list[int]) -> list[Box]:
        return [lesion_box(self.before, index) for index in slices]

    def _smooth(self, index: Box, device: str = "cpu") -> Generator[Progress, None, None]:
        """First where the tumour ends, then, inside it, where the core does."""
        labels, brain = self.labels[index], self.case.brain[index]
        tumour = tumour_probability(self.before, index)
        if self.refinement.fits:  # the fitted mask has the last word
            tumour = _towards(labels > 0, tumour)
        is_tumour = yield from self._cut(tumour, index, brain, device)
        if self.before.maps.targets == TUMOUR_ALONE:
            labels[...] = np.where(is_tumour, TUMOUR, BACKGROUND)
            return
        core = core_share(self.before, index)
        if self.refinement.fits:
            core = np.where(labels > 0, _towards(labels == CORE, core), core)
        is_core = yield from self._cut(core, index, is_tumour, device)
        both = self.before.labels[index] == BOTH
        labels[...] = np.where(is_tumour, np.where(is_core, CORE, EDEMA), BACKGROUND)
        labels[is_tumour & both] = BOTH

    def _cut(
        self,
        probability: NDArray[np.float32],
        index: Box,
        mask: NDArray[np.bool_],
        device: str,
    ) -> Generator[Progress, None, NDArray[np.bool_]]:
        """Return the voxels of a mask where the CRF finds the first of two classes."""
        marginals = yield from running_crf(
            np.stack([probability, 1 - probability]),
            self.image[(slice(None), *index)],
            self.refinement.crf,
            spacing=self.case.grid.spacing,
            mask=mask,
            slicewise=not self.refinement.crf.volume,
            device=device,
        )
        first: NDArray[np.bool_] = (marginals[0] > 0.5) & mask
        return first


def _towards(mask: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move values to the mask's side of one half, at least as far as a mask alone is trusted."""
    high = np.maximum(values, MASK_PROBABILITY)
    low = np.minimum(values, 1 - MASK_PROBABILITY)
    return np.where(mask, high, low)
