"""Deletion, insertion, ROAD, drop and increase."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.cams.methods.registry import METHODS
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import finish
from napari_gliocam.targets import TARGETS
from napari_gliocam.trust.faithfulness import (
    Faithfulness,
    FaithfulnessSettings,
    altered_slice,
    interval_counts,
    measure_faithfulness,
    measuring_faithfulness,
    measuring_slice,
    road_count,
)
from napari_gliocam.trust.fills import FILLS, fill_of
from napari_gliocam.trust.scoring import choose_slices

from .conftest import SLICES

QUICK = FaithfulnessSettings(steps=6)


def brightness(images, brain):
    """A score that is easy to follow: the mean of the first sequence over the brain."""
    return (images[:, 0] * brain[:, 0]).sum(dim=(1, 2)) / brain.sum(dim=(1, 2, 3))


@pytest.mark.parametrize("fill", FILLS)
def test_curves_are_those_of_a_loop_over_pixels(mapped, fill):
    settings = FaithfulnessSettings(steps=7, fill=fill, road=False)
    found = finish(measuring_slice(mapped, brightness, settings))
    inside = np.flatnonzero(mapped.inside)
    order = sorted(inside, key=lambda pixel: -mapped.map_.flat[pixel])
    other = fill_of(mapped, fill)
    for direction in ("deletion", "insertion"):
        curve = getattr(found, direction)
        start, end = (mapped.image, other) if direction == "deletion" else (other, mapped.image)
        for fraction, score in zip(curve.fractions, curve.scores, strict=True):
            image = start.clone()
            for pixel in order[: round(fraction * len(order))]:
                y, x = divmod(int(pixel), mapped.map_.shape[1])
                image[:, y, x] = end[:, y, x]
            expected = brightness(image[None], mapped.brain[None])
            assert score == pytest.approx(float(expected), abs=1e-6)
            assert torch.equal(altered_slice(mapped, fraction, direction, fill), image)
        height = (curve.scores[1:] + curve.scores[:-1]) / 2
        assert curve.area == pytest.approx(float((height * np.diff(curve.fractions)).sum()))
    masked = mapped.image * torch.from_numpy(mapped.map_)
    masked += other * (1 - torch.from_numpy(mapped.map_))
    assert found.masked == pytest.approx(float(brightness(masked[None], mapped.brain[None])[0]))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_every_figure(asked, maps_of, unchanged, name):
    maps = maps_of(name)
    for target in TARGETS:
        slices = choose_slices(asked, maps, target)
        assert slices == list(SLICES)
        found = measure_faithfulness(asked, maps, target, slices, QUICK)
        figures = found.figures()
        assert np.isfinite(list(figures.values())).all()
        assert set(found.slices) | set(found.flat) == set(SLICES)
        if found.slices:
            assert {"deletion", "insertion", "road-most", "road-least"} <= set(figures)
            assert 0 <= figures["deletion"] <= 1
            assert 0 <= figures["average-drop"] <= 1
            curve = found.curve("deletion")
            assert curve.scores[0] == pytest.approx(
                np.mean([one.probability for one in found.slices.values()])
            )
        else:
            assert found.reason()


def test_the_probability_is_that_of_the_networks(asked, maps_of):
    found = measure_faithfulness(asked, maps_of("guided"), "edema", [5], QUICK)
    row = asked.stack.frame.indices.index(5)
    expected = float(asked.batch([row]).probabilities("edema"))
    assert found.slices[5].probability == pytest.approx(expected, abs=1e-6)


def test_a_map_that_ranks_no_pixel_is_said_to(asked, maps_of):
    maps = maps_of("guided")
    flat = replace(maps, core=np.zeros_like(maps.core))
    found = measure_faithfulness(asked, flat, "core", SLICES, QUICK)
    assert found.figures() == {}
    assert found.curve("deletion") is None
    assert found.flat == list(SLICES)
    assert "ranks no pixel" in found.reason()
    assert "see no core" in measure_faithfulness(asked, maps, "core", []).reason()


def test_closing_keeps_the_slices_that_are_finished(asked, maps_of, unchanged):
    found = Faithfulness("core")
    work = measuring_faithfulness(asked, maps_of("guided"), "core", SLICES, QUICK, into=found)
    for _ in work:
        if found.slices:
            work.close()
    assert list(found.slices) == [SLICES[0]]
    assert found.figures()


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_nothing_divides_by_a_probability_of_0(mapped, probability):
    def score(images, brain):
        return torch.full((len(images),), probability)

    found = finish(measuring_slice(mapped, score, QUICK))
    assert found.figures()["average-drop"] == 0
    assert found.figures()["road-most"] == 0


@given(st.integers(1, 5000), st.integers(1, 200))
def test_intervals_begin_at_0_end_at_all_and_are_no_more_than_asked_for(pixels, steps):
    counts = interval_counts(pixels, steps)
    assert (counts[0], counts[-1]) == (0, pixels)
    assert counts == sorted(set(counts))
    assert len(counts) <= steps + 1


@given(st.integers(10, 3000), st.integers(1, 9), st.integers(0, 99))
def test_road_removes_what_lies_above_the_percentile(pixels, tenths, seed):
    values = np.random.default_rng(seed).permutation(pixels)
    above = values >= np.percentile(values, 100 - 10 * tenths)
    assert road_count(pixels, tenths / 10) == above.sum()


def test_wrong_settings_are_refused():
    with pytest.raises(GliocamError, match="steps"):
        FaithfulnessSettings(steps=0)
    with pytest.raises(GliocamError, match="baseline"):
        FaithfulnessSettings(fill="black")


def test_slices_are_chosen_at_even_distances(asked, maps_of):
    maps = replace(maps_of("guided"), spoken_for=None)
    every = choose_slices(asked, maps, "core", scope="case", most=None)
    assert every == list(asked.stack.frame.indices)
    some = choose_slices(asked, maps, "core", scope="case", most=3)
    assert some == [every[0], every[4], every[8]]
    assert choose_slices(asked, maps, "core", scope=5) == [5]
    assert choose_slices(asked, maps, "core", scope=0) == []
    denied = replace(asked, probabilities=np.zeros((9, 3), np.float32))
    assert choose_slices(denied, maps, "core") == []
