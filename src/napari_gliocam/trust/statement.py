"""How far a result can be trusted, in words that a radiologist uses, with the figures behind it.

Everything here comes from the exits of the networks: no network runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.nets.bundle_info import TrustFigures
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.threshold import Segmentation
from napari_gliocam.trust.cavity import cavity_warning
from napari_gliocam.trust.doubt import LesionDoubt, VolumeRange, doubt_of_maps
from napari_gliocam.wording import counted

#: Slices to look at first lie at least so far apart, and are no more than this.
APART_MM = 10.0
MOST_SLICES = 10
#: As many are named in the sentence.
_NAMED = 3
#: A case with a tumour has slices of this extent together on which p(tumour) is as large as this.
#: Measured: 0.99 and more in nine patients, 0.28 to 0.96 in six healthy phantoms.
SURE_MM, SURE = 10.0, 0.97


def little_evidence(segmentation: Segmentation) -> str:
    """Return a sentence where the networks mark tissue and no slice is sure to show a tumour.

    Returns
    -------
    str
        Empty where a tumour is sure, where nothing is marked, and for maps without probabilities.
    """
    p = np.sort(segmentation.maps.probabilities[:, TARGETS.index("tumour")])
    count = max(1, round(SURE_MM / segmentation.maps.grid.spacing[0]))
    mean = float(p[-count:].mean())
    if mean >= SURE or not p.any() or not segmentation.labels.any():
        return ""
    # The figure is of the bundle that was measured; another one may be less sure of patients.
    usual = ", 0.99 and more in patients" if "measured" in segmentation.maps.provenance else ""
    return (
        f"No slice is sure to show a tumour (p = {mean:.2f} where it is most probable{usual}); "
        "the voxels that are marked may be healthy tissue."
    )


def outside_of_training(case: Case, segmentation: Segmentation) -> tuple[str, ...]:
    """Return warnings where a case is unlike those that the networks learned from.

    Returns
    -------
    tuple of str
        Those of `little_evidence` and of `napari_gliocam.trust.cavity.cavity_warning`.
    """
    return tuple(filter(None, (little_evidence(segmentation), cavity_warning(case))))


@dataclass(frozen=True, eq=False)
class TrustStatement:
    """How sure a result is, and where to look first.

    Parameters
    ----------
    ranges : mapping of Target to VolumeRange
        Range of each volume, see `napari_gliocam.trust.doubt.Doubt.ranges`; empty where no exit
        disagrees with another, as in a network that has one exit.
    areas : ndarray of float64, (S,)
        Area in doubt on each slice in cm².
    slices : tuple of int
        Slices to look at first, the most doubtful first, at least 10 mm apart.
    lesions : tuple of LesionDoubt
        The most doubtful first.
    denied : tuple of Target
        Classes that the networks find on no slice.
    measured : TrustFigures or None
        How well the doubt of the bundle finds errors; None where that was not measured.
    evidence : str
        See `little_evidence`.
    """

    ranges: Mapping[Target, VolumeRange]
    areas: NDArray[np.float64]
    slices: tuple[int, ...]
    lesions: tuple[LesionDoubt, ...] = ()
    denied: tuple[Target, ...] = ()
    measured: TrustFigures | None = None
    evidence: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The statement in words, one idea each."""
        volumes = ", ".join(
            f"{'whole tumour' if t == 'tumour' else t} {r.words}" for t, r in self.ranges.items()
        )
        said = [self.evidence] if self.evidence else []
        if volumes:
            said.append(f"Range that the disagreement of the networks' exits covers: {volumes}.")
        else:
            said.append("No two exits disagree, so there is no range of the volumes.")
        if self.slices:
            named = self.slices[:_NAMED]
            words = ", ".join(f"{i} ({self.areas[i]:.1f} cm² in doubt)" for i in named)
            said.append(f"Look first at slice {words}.")
        elif volumes:
            said.append("The exits agree on every slice.")
        if volumes and len(self.lesions) > 1:
            words = ", ".join(
                f"{one.number} ({one.doubt:.2f}, most on slice {one.slice})" for one in self.lesions
            )
            said.append(f"Lesions by mean doubt, the most doubtful first: {words}.")
        said += [f"The networks see {t} on no slice, so none is marked." for t in self.denied]
        said.append(_measured_words(self.measured))
        return tuple(said)

    def next_slice(self, current: int | None, step: int) -> int | None:
        """Return the slice to look at after, or before, one in the order of doubt.

        Parameters
        ----------
        current : int or None
            The slice in view; where it is none of them the most doubtful comes first.
        step : int
            1 for the next, less doubtful one, -1 for the one before.

        Returns
        -------
        int or None
            None at the end of the list.
        """
        if current not in self.slices:
            return self.slices[0] if self.slices else None
        place = self.slices.index(current) + step
        return self.slices[place] if 0 <= place < len(self.slices) else None

    def next_lesion(self, current: int | None) -> LesionDoubt | None:
        """Return the lesion after the one whose slice is in view; after the last the first."""
        places = [k for k, one in enumerate(self.lesions) if one.slice == current]
        after = self.lesions[places[-1] + 1 :] if places else ()
        return next(iter((*after, *self.lesions)), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "ranges_ml": {t: [r.low, r.volume, r.high] for t, r in self.ranges.items()},
            "doubtful_slices": [
                {"slice": i, "area_cm2": float(self.areas[i])} for i in self.slices
            ],
            "doubtful_lesions": [asdict(one) for one in self.lesions],
            "sentences": list(self.sentences),
        }


def state_trust(
    segmentation: Segmentation, volumes_ml: Mapping[str, float] | None = None
) -> TrustStatement | None:
    """Return how far a result can be trusted.

    Parameters
    ----------
    segmentation : Segmentation
        Refined or not.
    volumes_ml : mapping of target to float, optional
        Volumes as they are shown, where the labels were painted in.

    Returns
    -------
    TrustStatement or None
        None where the maps are not the networks' own, so that their doubt is not known.
    """
    if not segmentation.maps.from_exits:
        return None
    doubt = doubt_of_maps(segmentation.maps)
    areas, settings = doubt.by_slice(), segmentation.settings
    seen = segmentation.maps.probabilities >= settings.gate_probability
    denied = tuple(
        t for k, t in enumerate(segmentation.maps.targets) if settings.gate and not seen[:, k].any()
    )
    measured = segmentation.maps.provenance.get("measured")
    return TrustStatement(
        doubt.ranges(settings, volumes_ml or segmentation.volumes_ml) if areas.any() else {},
        areas,
        tuple(doubt.slices_in_order(APART_MM)[:MOST_SLICES]),
        tuple(doubt.by_lesion(segmentation.labels)),
        denied,
        None if measured is None else TrustFigures(**measured),
        little_evidence(segmentation),
    )


def _measured_words(measured: TrustFigures | None) -> str:
    """Return how well the doubt of the bundle finds errors."""
    if measured is None:
        return "How well the doubt of this bundle finds errors was not measured."
    least, mean, most = (f"{100 * part:.0f}" for part in measured.error_in_tenth)
    within = measured.volume_in_range
    return (
        f"On {counted(measured.patients, 'patient')} with outlines the tenth of the brain with the "
        f"most doubt held {mean} % of the wrong voxels ({least} to {most} %), and the outlined "
        f"volume lay in the range of the whole tumour in {within['tumour']} of them, of the core "
        f"in {within['core']} and of the edema in {within['edema']}."
    )
