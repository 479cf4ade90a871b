"""Everything that is known of one voxel, and why its label is what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.settings import Thresholds
from napari_gliocam.slices import bilinear_matrix
from napari_gliocam.targets import BACKGROUND, CLASS_NAMES, TARGETS, TUMOUR_ALONE, Target
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.wording import digits_apart


@dataclass(frozen=True)
class ExitReading:
    """The value of one exit at a voxel, and its share of the aggregate.

    Parameters
    ----------
    number : int
        From 1.
    value : float
        Its map, in [0, 1].
    weight : float or None
        Its attention weight, in [0, 1], which add up to 1; None where they are not known.
    share : float or None
        Its part of the aggregate: weight times guided map, over the sum of all exits; in [0, 1].
    """

    number: int
    value: float
    weight: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class VoxelReading:
    """One voxel.

    Parameters
    ----------
    voxel : (S, P, L)
        Index of the voxel.
    in_brain : bool
        Whether the voxel lies in the brain.
    intensities : mapping of Modality to float
        In the units of the files.
    label : int
        As shown: 0 background, 1 core, 2 edema, 3 both.
    rule_label : int or None
        What the thresholds say; None without maps.
    reason : str
        Why the label is what it is, such as "tumour 0.62 > 0.40; core 0.71 > 0.50, edema 0.33 ≤
        0.50".
    maps : mapping of target to float
        Aggregates, in [0, 1]; empty without maps, as are the following.
    probabilities : mapping of target to float
        Image-level, of the slice, in [0, 1].
    exits : mapping of target to tuple of ExitReading
        Of this slice, before the maps are averaged over neighbouring slices; empty for a slice
        or a place that the networks did not see.
    """

    voxel: tuple[int, int, int]
    in_brain: bool
    intensities: Mapping[Modality, float]
    label: int
    rule_label: int | None
    reason: str
    maps: Mapping[Target, float] = field(default_factory=dict)
    probabilities: Mapping[Target, float] = field(default_factory=dict)
    exits: Mapping[Target, tuple[ExitReading, ...]] = field(default_factory=dict)

    @property
    def label_name(self) -> str:
        """The label in words."""
        return _name(self.label)


def read_voxel(
    case: Case,
    voxel: Sequence[int],
    *,
    labels: NDArray[Any] | None = None,
    maps: ClassMaps | None = None,
    settings: Thresholds | None = None,
    refined: NDArray[Any] | None = None,
) -> VoxelReading | None:
    """Read a voxel; quick enough to follow the pointer.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    voxel : (S, P, L)
        Whole numbers.
    labels : ndarray of an integer type, shape (S, P, L), optional
        As shown; what the thresholds say by default.
    maps : ClassMaps, optional
        Maps of the case, where it was segmented.
    settings : Thresholds, optional
        The thresholds in use; paper 1's by default.
    refined : ndarray of an integer type, shape (S, P, L), optional
        The labels after refinement and before any painting; None where nothing was refined.

    Returns
    -------
    VoxelReading or None
        None outside the case.
    """
    s, p, l = (int(i) for i in voxel)
    shape = case.grid.shape
    if not all(0 <= i < n for i, n in zip((s, p, l), shape, strict=True)):
        return None
    here = (s, p, l)
    intensities = {modality: float(volume[here]) for modality, volume in case.volumes.items()}
    in_brain = any(value != 0 for value in intensities.values())
    if maps is None:
        label = BACKGROUND if labels is None else int(labels[here])
        reason = f"{_name(label)}; there are no maps to tell why"
        return VoxelReading(here, in_brain, intensities, label, None, reason)
    settings = settings or Thresholds()
    part = (slice(s, s + 1), slice(p, p + 1), slice(l, l + 1))
    rule = int(apply_thresholds(maps, settings, where=part).labels[here])
    before = rule if refined is None else int(refined[here])
    label = before if labels is None else int(labels[here])
    reason = _rule_in_words(maps, settings, part)
    if label != before:
        reason = f"painted by hand as {_name(label)}; the maps: {reason}"
    elif before != rule:
        change = f"from {_name(rule)} to {_name(before)}"
        reason = f"changed by refinement {change}; the maps alone: {reason}"
    return VoxelReading(
        here,
        in_brain,
        intensities,
        label,
        rule,
        reason,
        {target: float(maps.of(target)[here]) for target in maps.targets},
        {t: float(maps.probabilities[s, TARGETS.index(t)]) for t in maps.targets},
        {t: found for t in maps.targets if (found := _exits(maps, t, here))},
    )


def _exits(maps: ClassMaps, target: Target, voxel: tuple[int, int, int]) -> tuple[ExitReading, ...]:
    """Return exit maps and weights at a voxel, enlarged as `ClassMaps.volume` enlarges them."""
    s, p, l = voxel
    trace = maps.trace
    if trace is None:
        return ()
    frame = trace.frame
    row, column = p - frame.rows[0], l - frame.columns[0]
    height, width = frame.rows[1] - frame.rows[0], frame.columns[1] - frame.columns[0]
    if s not in frame.indices or not (0 <= row < height and 0 <= column < width):
        return ()
    n = frame.indices.index(s)

    def at(plane: NDArray[Any]) -> float:
        down = bilinear_matrix(plane.shape[0], height)[row]
        across = bilinear_matrix(plane.shape[1], width)[column]
        return float(down @ plane.astype(np.float32) @ across)

    values = [at(exit_[n]) if maps.tumour[voxel] else 0.0 for exit_ in trace.exits[target]]
    if target not in trace.attention:
        return tuple(ExitReading(i, value) for i, value in enumerate(values, start=1))
    weights = np.array([at(plane) for plane in trace.attention[target][n]])
    weights /= max(float(weights.sum()), 1e-6)
    parts = _parts(maps, target, np.array(values), weights)
    total = float(parts.sum())
    shares = parts / total if total > 0 else np.zeros(len(values))
    return tuple(
        ExitReading(i, value, float(weight), float(share))
        for i, (value, weight, share) in enumerate(zip(values, weights, shares, strict=True), 1)
    )


def _parts(
    maps: ClassMaps, target: Target, values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return each exit's part of the aggregate, up to a factor that all have in common.

    The tumour map that guides a class is such a factor (`napari_gliocam.nets.aggregator.guide`),
    and so is what shares the tumour map out to the classes.
    """
    if target == "tumour":
        mean = maps.provenance.get("final_map") == "mean"
        return (weights + 1) * values if mean else weights * values
    product = maps.provenance.get("guidance") == "product"
    return weights * (values if product else np.sqrt(values))


def _rule_in_words(maps: ClassMaps, settings: Thresholds, part: tuple[slice, ...]) -> str:
    """Follow `apply_thresholds` step by step."""
    tumour, core, edema = (getattr(maps, target)[part] for target in TARGETS)
    if not _above(tumour, settings.tumour_threshold):
        return _compared("tumour", tumour, "≤", settings.tumour_threshold)
    said = [_compared("tumour", tumour, ">", settings.tumour_threshold)]
    threshold = settings.class_threshold
    if maps.targets == TUMOUR_ALONE:
        claims = {"tumour": True}
    else:
        claims = {"core": _above(core, threshold), "edema": _above(edema, threshold)}
        said.append(
            ", ".join(
                _compared(name, value, ">" if claims[name] else "≤", threshold)
                for name, value in (("core", core), ("edema", edema))
            )
        )
    if settings.gate and any(claims.values()):
        closed = [
            (target, probability)
            for target, probability in zip(TARGETS, maps.probabilities[part[0]].T, strict=True)
            if target in maps.targets and not (probability >= settings.gate_probability).any()
        ]
        for target, probability in closed:
            if target == "tumour" or claims[target]:
                gate = _compared(target, probability, "<", settings.gate_probability)
                said.append(f"the gate is closed, this slice shows {gate}")
            claims = (
                dict.fromkeys(claims, False) if target == "tumour" else {**claims, target: False}
            )
    if claims.get("core") and claims.get("edema"):
        if settings.exclusive:
            sign = "≥" if (core >= edema).all() else "<"
            said.append(_compared("core", core, sign, edema.item(), "edema "))
        else:
            said.append("both claim it")
    return "; ".join(said)


def _above(value: NDArray[Any], threshold: float) -> bool:
    """Compare in the arrays' own precision, as the thresholds do."""
    return bool((value > threshold).all())


def _compared(name: str, value: NDArray[Any], sign: str, limit: float, limit_name: str = "") -> str:
    """Two numbers with as many decimals as it takes to tell them apart."""
    number = float(value.item())
    digits = digits_apart(number, limit)
    return f"{name} {number:.{digits}f} {sign} {limit_name}{limit:.{digits}f}"


def _name(label: int) -> str:
    return "background" if label == BACKGROUND else CLASS_NAMES.get(label, f"{label}, no class")
