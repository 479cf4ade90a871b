"""Figures and captions of a comparison."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from napari_gliocam.cams.compare.ensemble import Ensemble, combine_methods
from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.ui.compare.ensemble import LiveEnsemble
from napari_gliocam.ui.compare.figures import Figures

from ...small_case import make_case


def maps_of(case: Case, name: str, seed: int = 0) -> ClassMaps:
    rng = np.random.default_rng(seed)
    core = rng.random(case.grid.shape).astype(np.float32) * case.brain
    return ClassMaps.of_targets(case.grid, {"core": core, "edema": 1 - core}, name=name)


def test_a_caption_is_of_the_slice_in_view() -> None:
    case = make_case()
    assert case.expert is not None
    figures = Figures(case, np.ones(case.grid.shape[0], dtype=bool))
    maps = maps_of(case, "A")
    figures.add(maps)
    index = int(np.argmax((case.expert.labels == 1).sum(axis=(1, 2))))
    found, truth = maps.core[index] > 0.5, case.expert.labels[index] == 1
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert figures.caption(("A", "core"), index) == f"slice Dice {dice:.2f}"
    whole = figures.tables()[0][0].dice
    assert figures.caption(("A", "core"), None) == f"Dice {whole:.2f}"
    half = replace(maps, spoken_for=(index,))
    figures.add(half)
    assert figures.caption(("A", "core"), index) == f"Dice {dice:.2f}"
    assert figures.caption(("A", "core"), index - 1) == "no map of this slice"
    assert figures.caption(("A", "core"), None) == f"axial slice {index}"
    without = Figures(replace(case, expert=None), np.ones(case.grid.shape[0], dtype=bool))
    without.add(maps)
    assert without.caption(("A", "core"), index).endswith(" ml")


def test_a_map_that_the_gate_hides_says_so() -> None:
    """The picture was blank, and its Dice that of nothing."""
    case = make_case()
    maps = maps_of(case, "A")
    probabilities = np.full((case.grid.shape[0], 3), 0.2, dtype=np.float32)
    gated = replace(maps, probabilities=probabilities, raw=cast("Any", SimpleNamespace(gate=True)))
    figures = Figures(case, np.ones(case.grid.shape[0], dtype=bool))
    figures.add(gated)
    assert figures.caption(("A", "core"), 3) == "hidden here, p = 0.20"
    probabilities[:] = 0.497  # less than the gate's 0.50, which two decimals would not show
    assert figures.caption(("A", "core"), 3) == "hidden here, p = 0.497"
    figures.add(replace(gated, raw=cast("Any", SimpleNamespace(gate=False))))
    assert "hidden" not in figures.caption(("A", "core"), 3)


def test_two_empty_masks_have_no_figure() -> None:
    case = make_case()
    figures = Figures(case, np.arange(case.grid.shape[0]) == 0)
    nothing = np.zeros(case.grid.shape, dtype=np.float32)
    for name in ("A", "B"):
        figures.add(
            ClassMaps.of_targets(
                case.grid, {"core": nothing, "edema": nothing}, name=name, spoken_for=(0,)
            )
        )
    rows, pairs = figures.tables()
    for row in rows:
        for value in (row.dice, row.iou_expert, row.overlap):
            assert value is not None
            assert isnan(value)
    assert all(isnan(pair.iou) for pair in pairs)
    assert figures.caption(("A", "core"), 0) == "Dice – (no core)"


def test_an_ensemble_in_place_is_the_ensemble_of_the_command() -> None:
    case = make_case()
    members = [maps_of(case, "A"), maps_of(case, "B", seed=1), maps_of(case, "C", seed=2)]
    thresholds = {"A": 0.4, "B": 0.5, "C": 0.6}
    for rule in (Ensemble("union"), Ensemble("vote", 2), Ensemble("smaller")):
        live = LiveEnsemble(rule, members)
        assert not live.maps.core.any()
        live.update(thresholds.__getitem__)
        whole = combine_methods(live.maps.name, members, rule, list(thresholds.values()))
        for target in ("core", "edema"):
            np.testing.assert_array_equal(live.maps.of(target), whole.of(target))
        assert live.maps.provenance == whole.provenance
        live.update(lambda _: 1.0, [3])
        assert not live.maps.core[3].any()
        assert live.maps.core.any()
