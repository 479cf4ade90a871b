"""What runs on the engine's thread: the only functions here that import torch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_gliocam.case import Case
from napari_gliocam.class_maps import ClassMaps
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import ClusterParameters, Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import Segmentation, apply_thresholds
from napari_gliocam.ui.jobs.triton_guard import keep_triton_out
from napari_gliocam.ui.model.refined import acts


def segment(case: Case, bundle: Path | None, device: str) -> Generator[Progress, None, ClassMaps]:
    """The maps of a case; the bundle stays loaded for the next."""
    keep_triton_out()
    from napari_gliocam.segmentation import compute_maps

    yield Progress(0, 1, "loading the bundle")
    maps = yield from compute_maps(case, bundle=loaded(bundle), device=device)
    return maps


def loaded(bundle: Path | None) -> Any:
    """The bundle of a folder, None for the one that ships; loaded until another is asked for."""
    from napari_gliocam.nets.bundle import INFO_FILE, bundled_path

    file = (bundle or bundled_path()) / INFO_FILE
    return _bundle(bundle, file.stat().st_mtime_ns if file.exists() else 0)


@lru_cache(maxsize=1)
def _bundle(path: Path | None, written: int) -> Any:
    """The bundle of a folder, loaded once until it is written anew."""
    from napari_gliocam.nets.bundle import load_bundle

    return load_bundle(path)


@dataclass
class Ingredients:
    """What refinements of one case share; made on the way, kept while thresholds move.

    Parameters
    ----------
    case : Case or None
        The case they are of.
    image : ndarray or None
        Its intensities.
    clusters : dict
        Clusters by slice, for each set of parameters.
    """

    case: Case | None = None
    image: Any = None
    clusters: dict[ClusterParameters, dict[int, Any]] = field(default_factory=dict)

    def prepare(self, case: Case) -> Generator[Progress, None, None]:
        """Make the image of a case, and forget what was made of another."""
        from napari_gliocam.refine.run import image_of

        if self.case is not case:
            self.case, self.image, self.clusters = case, None, {}
        if self.image is None:
            yield Progress(0, 1, "reading intensities")
            self.image = image_of(case)


def cluster(
    case: Case, index: int, parameters: ClusterParameters, kept: Ingredients
) -> Generator[Progress, None, Any]:
    """The superpixels and clusters of one slice (`refine.clusters.Clustering`)."""
    keep_triton_out()
    from napari_gliocam.refine.run import clustering

    yield from kept.prepare(case)
    made = kept.clusters.setdefault(parameters, {})
    pieces = yield from clustering(case, index, parameters, kept.image, made)
    return pieces


def refine(
    segmentation: Segmentation,
    case: Case,
    refinement: Refinement,
    device: str,
    slices: Sequence[int] | None = None,
    ingredients: Ingredients | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Refine the whole case, or some slices of it."""
    keep_triton_out()
    from napari_gliocam.refine.run import refine as refine_

    kept = ingredients or Ingredients()
    if refinement.method != "none":
        yield from kept.prepare(case)
    clusters = kept.clusters.setdefault(refinement.clusters, {})
    refined = yield from refine_(
        segmentation,
        case,
        refinement,
        slices=slices,
        clusters=clusters,
        image=kept.image,
        device=device,
    )
    return refined


@dataclass(frozen=True)
class Segmented:
    """What Segment made.

    Parameters
    ----------
    maps : ClassMaps
    refined : Segmentation or None
    failure : str
        Why there is no refined result, in one sentence.
    """

    maps: ClassMaps
    refined: Segmentation | None = None
    failure: str = ""


def segment_and_refine(
    case: Case,
    bundle: Path | None,
    device: str,
    settings: Thresholds,
    refinement: Refinement,
    ingredients: Ingredients,
) -> Generator[Progress, None, Segmented]:
    """The maps, and the refined result where a refinement is chosen."""
    maps = yield from segment(case, bundle, device)
    if not acts(refinement):
        return Segmented(maps)
    cut = apply_thresholds(maps, settings)
    try:
        refined = yield from refine(cut, case, refinement, device, ingredients=ingredients)
    except GliocamError as error:
        return Segmented(maps, failure=str(error))
    return Segmented(maps, refined)


def devices() -> tuple[tuple[str, str], ...]:
    """Name and title of each device there is; "auto" first."""
    keep_triton_out()
    from napari_gliocam.device import describe, list_devices

    return tuple(
        (name, f"Automatic: {describe(name)}" if name == "auto" else describe(name))
        for name in list_devices()
    )


def phantom(kind: str, seed: int = 11) -> Case:
    """A synthetic case."""
    keep_triton_out()
    from napari_gliocam.phantom import make_phantom

    case: Case = make_phantom(kind, seed=seed)  # type: ignore[arg-type]
    return case
