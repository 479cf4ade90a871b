"""Shapley values of the sequences."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from napari_gliocam.cams.methods.registry import METHODS
from napari_gliocam.cams.run.prepare import prepare
from napari_gliocam.case import Modality
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.targets import TARGETS
from napari_gliocam.trust.scoring import ImageScore, choose_slices
from napari_gliocam.trust.sequences import (
    CaseSequences,
    Shares,
    attribute,
    attributing,
    lesion_weights,
    sequence_shares,
    shapley_values,
    sharing_case,
    subsets_of,
)

from .conftest import SLICES

THREE = (Modality.T1CE, Modality.T2, Modality.FLAIR)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_values_are_the_mean_over_all_orders(count):
    sequences = tuple(Modality)[:count]
    rng = np.random.default_rng(count)
    worth = {subset: rng.normal(size=(2, 3)) for subset in subsets_of(sequences)}
    found = shapley_values(worth)
    for one in sequences:
        gains = []
        for order in permutations(sequences):
            before = set(order[: order.index(one)])
            with_, without = (
                tuple(m for m in sequences if m in s) for s in (before | {one}, before)
            )
            gains.append(worth[with_] - worth[without])
        np.testing.assert_allclose(found[one], np.mean(gains, axis=0), atol=1e-12)
    np.testing.assert_allclose(sum(found.values()), worth[sequences] - worth[()], atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_values_add_up_to_the_difference(asked, recipe_of, unchanged, name):
    recipe = recipe_of(name)
    for target in TARGETS:
        found = attribute(asked, recipe, target, SLICES[:1])
        score = ImageScore(asked.bundle.net, target, logit=True)
        for index in SLICES[:1]:
            batch = asked.batch([asked.stack.frame.indices.index(index)])
            nothing = batch.images * 0
            expected = score(batch.images, batch.brain) - score(nothing, batch.brain)
            assert sum(found.logits[index].values()) == pytest.approx(float(expected), abs=1e-4)
            maps = recipe.method.maps(batch, (target,), recipe.explained)[0, 0].detach().numpy()
            batch.images, batch._features = nothing, {}
            none = recipe.method.maps(batch, (target,), recipe.explained)[0, 0].detach().numpy()
            scale = max(1.0, float(np.abs(maps).max()))
            total = sum(found.maps[index].values())
            np.testing.assert_allclose(total, maps - none, atol=1e-4 * scale)
        shares = found.of_logit().shares
        assert sum(abs(s) for s in shares.values()) == pytest.approx(1)


def test_a_constant_sequence_gets_0(case, bundle, recipe_of):
    volumes = dict(case.volumes)
    volumes[Modality.T2] = np.where(case.brain, np.float32(250), np.float32(0))
    flat = prepare(replace(case, volumes=volumes), bundle, "cpu")
    found = attribute(flat, recipe_of("guided"), "core", SLICES)
    assert found.of_logit().values[Modality.T2] == pytest.approx(0, abs=1e-9)
    assert found.of_map().values[Modality.T2] == pytest.approx(0, abs=1e-9)
    assert found.figures()["sequence-t2"] == pytest.approx(0, abs=1e-9)


def test_a_missing_sequence_takes_no_part(case, bundle, recipe_of):
    info = replace(bundle.info, optional_modalities=THREE[:2])
    volumes = {Modality.FLAIR: case.volumes[Modality.FLAIR]}
    one = prepare(replace(case, volumes=volumes), Bundle(info, bundle.net), "cpu")
    found = attribute(one, recipe_of("guided"), "core", SLICES)
    assert found.sequences == (Modality.FLAIR,)
    assert "only sequence" in found.caution
    assert abs(found.of_logit().shares[Modality.FLAIR]) == 1
    every = sequence_shares(prepare(case, Bundle(info, bundle.net), "cpu"), "core")
    assert every.never_missing == (Modality.FLAIR,)
    assert "without FLAIR; read its share with more caution" in every.caution
    two = replace(every, never_missing=every.sequences[:2])
    assert "without T1ce or T2; read their shares with more caution" in two.caution
    assert "others" not in replace(every, never_missing=every.sequences).caution
    info = replace(info, optional_modalities=THREE)
    assert not sequence_shares(prepare(case, Bundle(info, bundle.net), "cpu"), "core").caution


def test_shares_in_words_and_without_anything_to_share():
    shares = Shares({Modality.FLAIR: 3.0, Modality.T2: -1.0})
    assert shares.words == "FLAIR 75 %, T2 −25 %"
    assert Shares({Modality.FLAIR: 400.0, Modality.T2: -1.0}).words == "FLAIR 100 %, T2 0 %"
    nothing = Shares(dict.fromkeys(THREE, 0.0))
    assert set(nothing.shares.values()) == {0.0}
    assert nothing.words == "no sequence contributes"


def test_shares_of_a_part_of_the_case(asked, recipe_of):
    found = attribute(asked, recipe_of("exit"), "core", SLICES)
    lesion = np.zeros(asked.case.grid.shape, bool)
    lesion[5, 20:30, 20:30] = True
    where = lesion_weights(lesion, found, asked.stack.frame)
    assert list(where) == [5]
    some = found.of_map(where=where)
    for modality in THREE:
        expected = (found.maps[5][modality] * where[5]).sum()
        assert some.values[modality] == pytest.approx(expected)
    assert found.of_map(where={}) is None
    assert found.of_logit([5]).values == pytest.approx(found.logits[5])
    assert lesion_weights(np.zeros_like(lesion), found, asked.stack.frame) == {}


def test_closing_keeps_the_slices_that_are_finished(asked, recipe_of, unchanged):
    found = sequence_shares(asked, "core")
    assert found.reason()
    assert found.figures() == {}
    work = attributing(asked, recipe_of("gradcam"), "core", SLICES, into=found)
    for _ in work:
        if found.logits:
            work.close()
    assert list(found.logits) == [SLICES[0]]
    assert not found.reason()


def test_a_case_is_shared_out_by_voxel_and_by_lesion(case, bundle):
    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    maps = replace(maps, probabilities=np.ones_like(maps.probabilities))  # no class is denied
    prepared = prepare(case, bundle, "cpu")
    asked = {target: choose_slices(prepared, maps, target) for target in ("core", "edema")}
    found = CaseSequences.of(prepared, asked)
    assert found.is_empty
    for _ in (work := sharing_case(prepared, into=found)):
        if len(found.classes["core"].logits) == 1:
            work.close()
    assert f"core from 1 of {len(asked['core'])}, edema from 0 of" in found.caution
    assert not found.is_empty
    found = CaseSequences.of(prepared, asked)
    finish(sharing_case(prepared, into=found))
    index = found.frame.indices[len(found.frame) // 2]
    voxel = (index, case.grid.shape[1] // 2, case.grid.shape[2] // 2)
    at = found.at(voxel)
    assert set(at) == {"core", "edema"}
    assert set(at["core"].values) == set(found.classes["core"].sequences)
    assert found.caution == found.classes["core"].caution
    assert found.caution
    assert found.at((index, -50, 0)) == {}
    labels = np.zeros(case.grid.shape, np.uint8)
    assert found.by_lesion(labels) == []
    labels[index, 15:25, 15:25] = 2
    assert [line[:2] for line in found.by_lesion(labels)] == [(1, "edema")], "it has no core"
    labels[index, 18:22, 18:22] = 1
    lines = found.by_lesion(labels)
    assert [line[:2] for line in lines] == [(1, "core"), (1, "edema")]
    for _, _, one in lines:
        assert sum(map(abs, one.shares.values())) == pytest.approx(1)
    nothing = CaseSequences.of(prepared, {"core": [], "edema": []})  # both are denied
    finish(sharing_case(prepared, into=nothing))
    assert nothing.is_empty
    assert "Stopped" not in nothing.caution
    assert nothing.at(voxel) == {}
    assert nothing.by_lesion(labels) == []
