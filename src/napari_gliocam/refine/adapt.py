"""Adapt the maps to the patient: learn from these very images what the lesion looks like.

The networks know roughly where a lesion is; how bright it is beside this patient's healthy tissue
they can only guess.  Here the patient's intensities are modelled without any label, with the maps
as prior (expectation maximisation with a spatial prior, as in Van Leemput et al. 1999):

1. In the neighbourhood of the tumour map, one Gaussian for the lesion and a mixture for healthy
   tissue are fitted to voxels weighted by how sure the tumour map is of them.  The log-likelihood
   ratio of the two is added to the map's logit; the posterior weights the next round.
   A Markov field (mean field, Gaussian kernel) then draws neighbours to one class.
   Parts that lie apart and of which the maps are nowhere sure are taken back.
2. Inside the tumour found, one Gaussian for core and one for edema are fitted likewise.  A single
   wide Gaussian takes in enhancing core and necrosis, which lie on either side of edema.  The
   prior is the ratio of the class maps, the depth of a voxel in the tumour, and whether the
   networks see core in its slice.  It is fitted in half as many rounds: the Gaussians of core and
   edema overlap, and with each round they drift further from the maps.  The same field follows.

Both posteriors are scaled so that the bundle's own thresholds cut them at even odds.  Nothing is
drawn at random, and no slice falls from one rule into another: images that differ by little, such
as those of a series that was resampled, get nearly the same labels.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Modality, bounding_box
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finished
from napari_gliocam.refine.components import holes, kept_components
from napari_gliocam.refine.gaussians import fit_mixture, quadratic_features
from napari_gliocam.refine.parameters import AdaptParameters, ComponentParameters
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TUMOUR_ALONE

if TYPE_CHECKING:
    from napari_gliocam.case import Case
    from napari_gliocam.maps.class_maps import ClassMaps

#: Channels of the mixtures, where the case has them.
MODALITIES = (Modality.T1CE, Modality.T2, Modality.FLAIR, Modality.T1)
#: The neighbourhood: where the tumour map exceeds this, and so far around it in mm.
REGION_ABOVE, REGION_MM = 0.15, 4.0
#: With less tumour than this to learn from, in ml, a mixture is not fitted.
MIN_ML = 0.5
#: About so many voxels the mixtures are fitted to.
SAMPLES = 20_000
#: Steps along the axes that spread points evenly over a volume: the first three powers of the
#: inverse of the root of x^4 = x + 1 (the additive recurrence R3 of Roberts 2018).
SPREAD = (0.8191725, 0.6710436, 0.5497005)
#: Blur of the intensities, of the evidence and of the depth in mm (standard deviation).
IMAGE_MM, EVIDENCE_MM, DEPTH_MM = 0.7, 0.7, 1.0
#: The intensities of a voxel weigh no more than this, in units of log-likelihood.
MOST_EVIDENCE = 4.0
#: The maps are never surer than this, of a tumour and of one class.
FLOOR_TUMOUR, FLOOR_CLASS = 0.02, 0.05
#: Reach of the Markov field in mm (standard deviation), and its iterations of mean field.
FIELD_MM, FIELD_ITERATIONS = 3.0, 5
#: Values of the tumour map that 2 % of a part apart from the largest reach: below the first all of
#: it is taken back, from the second on it stays as it is.  The rims of ventricles and old
#: lesions of white matter have the intensities of edema, too.
SURE_TUMOUR = (0.85, 0.95)
#: Log-odds in favour of tumour: an outline takes in the blurred rim of a lesion, whose intensities
#: lesion and healthy tissue explain about equally well.
RIM = 0.4
#: Log-odds in favour of core where the core map is unsure of any: such tumours hardly enhance, and
#: core makes up more of them.
FAINT_CORE = 0.75
#: Every voxel weighs at least this much in a fit, so that no class is empty.
LEAST_WEIGHT = 1e-6
#: Highest values of the core map in the tumour: no core is sure below the first, all at the second.
SURE_CORE = (0.7, 1.0)
#: Neighbouring slices count in the networks' probabilities for a slice as far as this, in mm
#: (standard deviation).
SLICES_MM = 2.0
#: From the first share of the odds of ``denial`` for a slice, its core or edema loses the odds to
#: this power; the gate closes at the second.  Where it closed at once, a slice of BraTS2021_01480
#: had 240 voxels of core or none as its FLAIR was resampled or not (probability 0.118 and 0.098).
FADING, FADES_FROM, CLOSED = 4.0, 1.5, 0.25
#: Logit of what is ruled out.
NEVER = -30.0
#: The work in words, for progress.
STAGE = "adapting to this patient"


def adapting(
    maps: ClassMaps, case: Case, parameters: AdaptParameters | None = None
) -> Generator[Progress, None, ClassMaps]:
    """Return the posterior of tumour, core and edema in this patient.

    Parameters
    ----------
    maps : ClassMaps
        The networks' maps of the case.
    case : Case
        The case that they are of.
    parameters : AdaptParameters, optional
        The defaults of `AdaptParameters` if not given.

    Returns
    -------
    ClassMaps
        Other maps and slice probabilities, in [0, 1], to be cut like the networks' own by the
        bundle's thresholds and the gate.  The same maps where they show no tumour, or where the
        images have no contrast.
    """
    parameters = parameters or AdaptParameters()
    class_rounds = (parameters.rounds + 1) // 2
    total = parameters.rounds + class_rounds + 2
    yield Progress(0, total, STAGE)
    _check_finite(maps)
    maps, given = replace(maps, probabilities=_across_slices(maps, case)), maps
    near = _neighbourhood(maps, case)
    points = None if near is None else _points(near, case)
    if points is None:
        return given
    yield Progress(1, total, STAGE)

    even = Thresholds(**maps.provenance.get("thresholds", {}))
    sure = np.clip(points.take(maps.tumour), FLOOR_TUMOUR, 1 - FLOOR_TUMOUR)
    prior = _logit(sure) - _logit(even.tumour_threshold)
    fit = _Fit(points, np.ones(len(prior), dtype=np.bool_), prior, parameters.tissues, parameters)
    logit = yield from fit.rounds(parameters.rounds, 1, total)
    odds = points.field(logit, parameters.smoothness) + np.float32(RIM)
    odds = _doubtful_parts_lowered(odds, points, maps.tumour)
    found = _kept(points.put(odds, NEVER) > 0, case.grid.voxel_ml)
    if np.count_nonzero(found) * case.grid.voxel_ml < MIN_ML:
        return given

    adapted = replace(
        maps,
        tumour=points.written(maps.tumour, odds, even.tumour_threshold),
        probabilities=_shifted_gate(maps.probabilities, parameters.denial, even.gate_probability),
        provenance={**maps.provenance, "adapted": asdict(parameters)},
        name=f"{maps.name}, adapted to this patient",
        trace=None,
    )
    if maps.targets == TUMOUR_ALONE:
        return adapted
    prior = _class_prior(maps, points, found, parameters)
    fit = _Fit(points, found[points.inside], prior, 1, parameters)
    logit = yield from fit.rounds(class_rounds, 1 + parameters.rounds, total)
    logit = points.field(logit, parameters.smoothness, fit.among)
    yield Progress(total, total, STAGE)
    return replace(
        adapted,
        core=points.written(maps.core, logit, even.class_threshold),
        edema=points.written(maps.edema, -logit, even.class_threshold),
    )


adapt = finished(adapting, "adapt")


@dataclass(eq=False)
class AdaptedMaps:
    """The maps that were adapted last, kept while thresholds move.

    Parameters
    ----------
    source : ClassMaps or None
        The networks' maps.
    parameters : AdaptParameters or None
        The parameters it was made with.
    result : ClassMaps or None
        The posterior made of them.
    """

    source: ClassMaps | None = None
    parameters: AdaptParameters | None = None
    result: ClassMaps | None = None

    def of(
        self, maps: ClassMaps, case: Case, parameters: AdaptParameters
    ) -> Generator[Progress, None, ClassMaps]:
        """Return the posterior of these maps, made anew only where it is not the last one."""
        if self.result is None or self.source is not maps or self.parameters != parameters:
            made = yield from adapting(maps, case, parameters)
            self.source, self.parameters, self.result = maps, parameters, made
        return self.result


@dataclass(frozen=True, eq=False)
class _NearPoints:
    """The N voxels of the neighbourhood with their intensities.

    Parameters
    ----------
    box : tuple of slice
        Where the neighbourhood lies in the case.
    inside : ndarray of bool, shape of the box
        The neighbourhood, N voxels.
    intensities : ndarray of float32, shape (N, C)
        In units of the spread over the brain, around its median.
    features : ndarray of float32, shape (N, F)
        `quadratic_features` of them.
    spacing : (S, P, L)
        Voxel size in mm.
    """

    box: tuple[slice, ...]
    inside: NDArray[np.bool_]
    intensities: NDArray[np.float32]
    features: NDArray[np.float32]
    spacing: tuple[float, float, float]

    def take(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values of a volume of the case at the points, shape (N,)."""
        values: NDArray[np.float32] = volume[self.box][self.inside]
        return values

    def sample(self, among: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return about `SAMPLES` of some of the points: the same places whatever the others are."""
        start = [part.start for part in self.box]
        places = np.argwhere(self.inside) + start
        share = SAMPLES / max(int(np.count_nonzero(among)), 1)
        chosen: NDArray[np.intp] = np.flatnonzero(among & (places @ SPREAD % 1 < share))
        return chosen

    def put(self, values: NDArray[Any], outside: float = 0.0) -> NDArray[np.float32]:
        """Return the points in their box, shape of the box."""
        volume = np.full(self.inside.shape, outside, dtype=np.float32)
        volume[self.inside] = values
        return volume

    def blurred(
        self, values: NDArray[np.floating], among: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Average values over neighbours among some of the points; leave the others as they are."""
        from scipy.ndimage import gaussian_filter

        sigma = [EVIDENCE_MM / mm for mm in self.spacing]
        sums = gaussian_filter(self.put(values * among), sigma, truncate=3.0)[self.inside]
        counts = gaussian_filter(self.put(among), sigma, truncate=3.0)[self.inside]
        return np.where(among, sums / np.maximum(counts, 1e-3), values)

    def field(
        self,
        logit: NDArray[np.floating],
        weight: float,
        among: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.floating]:
        """Return the logit after mean field, each pair of points drawn to one class.

        Parameters
        ----------
        logit : ndarray, shape (N,)
            Logit of the first class.
        weight : float
            Weight of the field in log-odds; 0 leaves it out.
        among : ndarray of bool, shape (N,), optional
            Points that draw others.  If not given, all of them do, and what lies outside the
            neighbourhood draws to the second class.
        """
        from scipy.ndimage import gaussian_filter

        sigma = [FIELD_MM / mm for mm in self.spacing]
        drawn = logit
        if weight > 0:
            for _ in range(FIELD_ITERATIONS):
                sides = 2 * _sigmoid(drawn) - 1
                sides = self.put(sides, -1) if among is None else self.put(sides * among)
                near = gaussian_filter(sides, sigma, truncate=3.0)[self.inside]
                drawn = logit + np.float32(weight) * near
        return drawn

    def written(
        self, volume: NDArray[np.float32], logit: NDArray[np.floating], threshold: float
    ) -> NDArray[np.float32]:
        """Return a copy of a map with the points' odds in it, even where the threshold cuts."""
        written = volume.copy()
        written[self.box][self.inside] = _sigmoid(logit + _logit(threshold))
        return written


def _check_finite(maps: ClassMaps) -> None:
    """Raise if a map holds NaN or infinite voxels."""
    if not all(np.isfinite(maps.of(target)).all() for target in maps.targets):
        raise GliocamError(
            "The maps hold values that are NaN or infinite; compute the maps again or clear "
            "those voxels."
        )


def _across_slices(maps: ClassMaps, case: Case) -> NDArray[np.float32]:
    """Return the networks' probabilities with each slice's odds averaged over its neighbours'."""
    from scipy.ndimage import gaussian_filter1d

    seen = (maps.probabilities > 0).astype(np.float32)  # 0 where the networks saw no slice
    odds = _logit(np.clip(maps.probabilities, 1e-4, 1 - 1e-4)) * seen
    sigma = SLICES_MM / case.grid.spacing[0]
    sums, counts = (gaussian_filter1d(values, sigma, axis=0) for values in (odds, seen))
    averaged: NDArray[np.float32] = (_sigmoid(sums / np.maximum(counts, 1e-6)) * seen).astype("f4")
    return averaged


def _neighbourhood(maps: ClassMaps, case: Case) -> NDArray[np.bool_] | None:
    """Return the voxels around the tumour map, shape (S, P, L); None without any tumour."""
    from scipy.ndimage import maximum_filter1d

    near = maps.tumour > REGION_ABOVE
    if np.count_nonzero(near) * case.grid.voxel_ml < MIN_ML:
        return None
    for axis, mm in enumerate(case.grid.spacing):
        near = maximum_filter1d(near, 2 * round(REGION_MM / mm) + 1, axis=axis)
    inside: NDArray[np.bool_] = near & case.brain
    return inside


def _points(near: NDArray[np.bool_], case: Case) -> _NearPoints | None:
    """Return the voxels of a neighbourhood; None where no modality has any contrast."""
    from scipy.ndimage import gaussian_filter

    box = bounding_box(near)
    if box is None:
        return None
    sigma = [IMAGE_MM / mm for mm in case.grid.spacing]
    channels = []
    for modality in MODALITIES:
        volume = case.volumes.get(modality)
        if volume is None:
            continue
        low, middle, high = np.percentile(volume[case.brain], (25, 50, 75))
        if high > low:
            scaled = (volume[box].astype(np.float32) - middle) * np.float32(1.349 / (high - low))
            np.clip(scaled, -6, 10, out=scaled)
            channels.append(gaussian_filter(scaled, sigma, truncate=3.0)[near[box]])
    if not channels:
        return None
    intensities = np.stack(channels, axis=1)
    features = quadratic_features(intensities)
    return _NearPoints(box, near[box], intensities, features, case.grid.spacing)


@dataclass(frozen=True, eq=False)
class _Fit:
    """One Gaussian against a mixture, learned from some of the points.

    Parameters
    ----------
    points : _NearPoints
        The neighbourhood.
    among : ndarray of bool, shape (N,)
        The points to learn from, at least one.
    prior : ndarray, shape (N,)
        Logit of the first class, from the maps.
    others : int
        Gaussians of the second class.
    parameters : AdaptParameters
        Weights and counts of the fit.
    """

    points: _NearPoints
    among: NDArray[np.bool_]
    prior: NDArray[np.floating]
    others: int
    parameters: AdaptParameters

    def rounds(
        self, count: int, done: int, total: int
    ) -> Generator[Progress, None, NDArray[np.floating]]:
        """Fit and weigh anew in turns; return the logit of the first class, shape (N,)."""
        points, sample = self.points, self.points.sample(self.among)
        drawn = points.intensities[sample].astype(np.float64)
        logit, second = self.prior, None
        for step in range(1, count + 1):
            sure = _sigmoid(logit[sample]).astype(np.float64)
            first = fit_mixture(drawn, sure**2 + LEAST_WEIGHT, 1)
            second = fit_mixture(drawn, (1 - sure) ** 2 + LEAST_WEIGHT, self.others, second)
            evidence = first.log_density(points.features) - second.log_density(points.features)
            np.clip(evidence, -MOST_EVIDENCE, MOST_EVIDENCE, out=evidence)
            weight = np.float32(self.parameters.evidence)
            logit = self.prior + weight * points.blurred(evidence, self.among)
            yield Progress(done + step, total, STAGE)
        return logit


def _doubtful_parts_lowered(
    odds: NDArray[np.floating], points: _NearPoints, tumour: NDArray[np.float32]
) -> NDArray[np.floating]:
    """Lower the odds of parts that the maps doubt, and of what is around them.

    A part that is taken back as a whole lies within one unit of log-odds below even, and its
    surroundings further below, so that a lower tumour threshold brings the part back as it was,
    not a ring around it.
    """
    from scipy.ndimage import distance_transform_edt, label, labeled_comprehension

    found = points.put(odds, NEVER) > 0
    parts, count = label(found)
    if count < 2:
        return odds
    numbers = np.arange(1, count + 1)
    low, high = SURE_TUMOUR
    surest = labeled_comprehension(tumour[points.box], parts, numbers, _surest, float, 0.0)
    doubt = np.clip((high - surest) / (high - low), 0, 1)
    doubt[np.bincount(parts[found])[1:].argmax()] = 0
    if not doubt.any():
        return odds
    highest = labeled_comprehension(points.put(odds), parts, numbers, np.max, float, 0.0)
    nearest = distance_transform_edt(
        ~found, sampling=points.spacing, return_distances=False, return_indices=True
    )
    own = parts[tuple(nearest[:, points.inside])] - 1
    lowered: NDArray[np.floating] = odds - (doubt * highest)[own].astype("f4")
    below = np.maximum(1 + doubt * (highest - 1), 1)[own].astype("f4")
    return np.where(found[points.inside] & (lowered < 0), lowered / below, lowered)


def _surest(values: NDArray[np.float32]) -> float:
    """Return the value that 2 % of the voxels reach."""
    return float(np.percentile(values, 98))


def _class_prior(
    maps: ClassMaps, points: _NearPoints, found: NDArray[np.bool_], parameters: AdaptParameters
) -> NDArray[np.floating]:
    """Logit of core against edema before any intensity is looked at, shape (N,)."""
    core, edema = points.take(maps.core), points.take(maps.edema)
    share = core / np.maximum(core + edema, 1e-6)
    logit = _logit(np.clip(share, FLOOR_CLASS, 1 - FLOOR_CLASS))
    doubted = _doubt_of_core(core[found[points.inside]])
    logit -= np.float32(parameters.balance * doubted) * np.median(logit[found[points.inside]])
    deep = _depth(found, points.spacing)[points.inside] - 0.5
    logit += np.float32(doubted) * (np.float32(parameters.depth) * deep + np.float32(FAINT_CORE))
    slices = np.nonzero(points.inside)[0]
    probabilities = maps.probabilities[points.box[0]]
    there = found.any(axis=(1, 2))
    known = _logit(np.clip(probabilities[:, 1], 0.02, 0.98))
    doubt = np.minimum(known - np.percentile(known[there], 90), 0.0)
    logit += np.float32(parameters.slices) * doubt[slices]
    odds = _logit(np.clip(probabilities[:, 1:], 1e-4, 1 - 1e-4)) - _logit(parameters.denial)
    fading = FADING * np.minimum(odds - np.log(FADES_FROM), 0)
    logit += (fading[:, 0] - fading[:, 1]).astype(np.float32)[slices]
    return logit


def _doubt_of_core(core: NDArray[np.float32]) -> float:
    """Return 0 where the core map is sure of some core in the tumour, up to 1 where it is not.

    Core that enhances is mapped with values near 1; there the maps' own ratio and place of the core
    are better than what is known of cores in general, which would flood a small core in much edema.
    """
    surest = float(np.percentile(core, 95))
    low, high = SURE_CORE
    return float(np.clip((high - surest) / (high - low), 0.0, 1.0))


def _depth(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Measure the distance from the border of a mask; 0 outside, about 1 at its deepest."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    depth = distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    depth = gaussian_filter(depth.astype(np.float32), [DEPTH_MM / mm for mm in spacing])
    scaled: NDArray[np.float32] = depth / np.float32(np.percentile(depth[mask], 98))
    return scaled


def _kept(mask: NDArray[np.bool_], voxel_ml: float) -> NDArray[np.bool_]:
    """Return a tumour without its specks and holes, to learn from."""
    kept = kept_components(mask, ComponentParameters(min_fraction=0.1), voxel_ml=voxel_ml)
    filled: NDArray[np.bool_] = kept | holes(kept)
    return filled


def _shifted_gate(
    probabilities: NDArray[np.float32], denial: float, gate: float
) -> NDArray[np.float32]:
    """Return slice probabilities that reach the gate where the networks' own reach ``denial``.

    Core and edema fade below it (`_class_prior`) and reach it at a share `CLOSED` of its odds.
    """
    known = np.clip(probabilities, 1e-6, 1 - 1e-6)
    shift = np.array([0.0, -np.log(CLOSED), -np.log(CLOSED)][: probabilities.shape[1]])
    shifted = _sigmoid(_logit(known) - _logit(denial) + shift + _logit(gate))
    return np.where(probabilities > 0, shifted, 0.0).astype(np.float32)


def _logit(values: NDArray[np.floating] | float) -> NDArray[np.floating]:
    logit: NDArray[np.floating] = np.log(values) - np.log1p(-values)
    return logit


def _sigmoid(logit: NDArray[np.floating]) -> NDArray[np.floating]:
    probability: NDArray[np.floating] = 1 / (1 + np.exp(-np.clip(logit, NEVER, -NEVER)))
    return probability
