"""Ingredients that refinements of one case share, so that a moved threshold needs no new ones."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_gliocam.progress import Progress
from napari_gliocam.refine.adapt import AdaptedMaps
from napari_gliocam.refine.parameters import ClusterParameters, Refinement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_gliocam.case import Case
    from napari_gliocam.threshold import Segmentation


@dataclass
class Ingredients:
    """Intermediate results from the images of one case; kept while thresholds move.

    Parameters
    ----------
    case : Case or None
        The case they belong to.
    image : ndarray of float32, shape (C, S, P, L), or None
        Its intensities (`refine.run.image_of`).
    clusters : dict of ClusterParameters to dict of int to Clustering
        Clusters by slice, for each set of parameters.
    adapted : AdaptedMaps
        The maps as they were last adapted to the patient.
    """

    case: Case | None = None
    image: NDArray[np.float32] | None = None
    clusters: dict[ClusterParameters, dict[int, Any]] = field(default_factory=dict)
    adapted: AdaptedMaps = field(default_factory=AdaptedMaps)

    def prepare(self, case: Case) -> Generator[Progress, None, NDArray[np.float32]]:
        """Return the intensities of a case; drop everything that belongs to another case."""
        from napari_gliocam.refine.run import image_of

        if self.case is not case:
            self.case, self.image, self.clusters = case, None, {}
        if self.image is None:
            yield Progress(0, 1, "reading intensities")
            self.image = image_of(case)
        return self.image

    def refining(
        self,
        segmentation: Segmentation,
        case: Case,
        refinement: Refinement,
        *,
        device: str,
        slices: Iterable[int] | None = None,
    ) -> Generator[Progress, None, Segmentation]:
        """Refine a segmentation as `refine.run.refine` does, with what is kept here.

        Parameters
        ----------
        segmentation : Segmentation
            Labels with the maps and thresholds that they come from.
        case : Case
            The case of the segmentation.
        refinement : Refinement
            Method and parameters.
        device : {"auto", "cpu", "cuda", "mps"}
            Where torch runs; the fastest there is by default.
        slices : iterable of int, optional
            Refine these slices only, for a preview.

        """
        from napari_gliocam.refine.run import refine

        needs_image = refinement.fits or refinement.smooths
        image = (yield from self.prepare(case)) if needs_image else None
        clusters = self.clusters.setdefault(refinement.clusters, {})
        refined = yield from refine(
            segmentation,
            case,
            refinement,
            slices=slices,
            clusters=clusters,
            image=image,
            adapted=self.adapted,
            device=device,
        )
        return refined
