"""Work of the engine's thread: the only functions of this room that import torch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.refine.ingredients import Ingredients as Ingredients
from napari_gliocam.refine.parameters import ClusterParameters, Refinement
from napari_gliocam.settings import SegmentRequest
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.jobs.triton_guard import keep_triton_out

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.prepare import Examination, Steps
    from napari_gliocam.refine.clusters import Clustering


def loaded(bundle: Path | None) -> Bundle:
    """Load the bundle of a folder (None: the one that ships); the last two are kept."""
    from napari_gliocam.nets.bundle_info import INFO_FILE, bundled_path

    file = (bundle or bundled_path()) / INFO_FILE
    return _bundle(bundle, file.stat().st_mtime_ns if file.exists() else 0)


@lru_cache(maxsize=2)  # the one in use, and another that a test compares it with
def _bundle(path: Path | None, written: int) -> Bundle:
    """Load the bundle of a folder, once until it is written anew."""
    from napari_gliocam.nets.bundle import load_bundle

    return load_bundle(path)


class Ready:
    """A case made ready for the networks; made once, used by every run on the same case.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    bundle : Path or None
        The folder of the bundle; None for the one that ships.
    device : str
        Name of the device.
    """

    def __init__(self, case: Case, bundle: Path | None, device: str) -> None:
        self.key = (case, bundle, device)
        self.name = f"Preparing {case.name}"
        self.prepared: Prepared | None = None

    @classmethod
    def again(cls, earlier: Ready | None, case: Case, bundle: Path | None, device: str) -> Ready:
        """Return the earlier one where it is of the same case, bundle and device, else a new one.

        Parameters
        ----------
        earlier : Ready or None
            The one of the run before.
        case, bundle, device
            As in `Ready`.
        """
        ready = cls(case, bundle, device)
        return earlier if earlier is not None and earlier.key == ready.key else ready

    def getting(self) -> Generator[Progress, None, Prepared]:
        """Load the bundle and cut the case into slices, unless both is done."""
        keep_triton_out()
        yield Progress(0, 1, "loading the bundle")
        from napari_gliocam.cams.run.prepare import preparing

        case, path, device = self.key
        bundle = loaded(path)
        if self.prepared is None or self.prepared.bundle is not bundle:
            self.prepared = yield from preparing(case, bundle, device)
        return self.prepared


def cluster(
    case: Case, index: int, parameters: ClusterParameters, kept: Ingredients
) -> Generator[Progress, None, Clustering]:
    """Make the superpixels and clusters of one slice (`refine.clusters.Clustering`)."""
    keep_triton_out()
    from napari_gliocam.refine.run import clustering

    image = yield from kept.prepare(case)
    made = kept.clusters.setdefault(parameters, {})
    pieces = yield from clustering(case, index, parameters, image, made)
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
    kept = ingredients or Ingredients()
    refined = yield from kept.refining(segmentation, case, refinement, device=device, slices=slices)
    return refined


@dataclass(frozen=True)
class SegmentOutcome:
    """The outcome of Segment.

    Parameters
    ----------
    maps : ClassMaps
        Maps of tumour, core and edema.
    refined : Segmentation or None
        The refined result; None where it failed.
    failure : str
        Why there is no refined result, in one sentence.
    """

    maps: ClassMaps
    refined: Segmentation | None = None
    failure: str = ""


def segment(
    case: Case, request: SegmentRequest, ingredients: Ingredients | None = None
) -> Generator[Progress, None, SegmentOutcome]:
    """Compute the maps, and the refined result where a refinement is chosen.

    The bundle stays loaded for the next case.
    """
    keep_triton_out()
    from napari_gliocam.segmentation import RefinementError, segmenting

    yield Progress(0, 1, "loading the bundle")
    try:
        bundle = loaded(request.bundle).using(request.networks)
        result = yield from segmenting(
            case, bundle=bundle, ingredients=ingredients, **request.options
        )
    except RefinementError as error:
        return SegmentOutcome(error.unrefined.maps, failure=str(error))
    return SegmentOutcome(result.maps, None if result.refinement is None else result)


def prepare(examination: Examination, steps: Steps) -> Generator[Progress, None, Case]:
    """Make a case of the series of an examination."""
    keep_triton_out()
    from napari_gliocam.prepare import preparing

    case = yield from preparing(examination, steps=steps)
    return case


def devices() -> tuple[tuple[str, str], ...]:
    """Return name and title of each device there is; "auto" comes first."""
    keep_triton_out()
    from napari_gliocam.device import describe, list_devices

    return tuple(
        (name, f"Automatic: {describe(name)}" if name == "auto" else describe(name))
        for name in list_devices()
    )


def warm_up() -> None:
    """Import what Segment needs while nobody waits for it."""
    keep_triton_out()
    import napari_gliocam.nets.bundle
    import napari_gliocam.nets.gliocam
    import napari_gliocam.refine.run  # noqa: F401


def phantom(kind: str, seed: int = 11) -> Case:
    """Draw a synthetic case."""
    keep_triton_out()
    from napari_gliocam.phantom import make_phantom

    case: Case = make_phantom(kind, seed=seed)
    return case
