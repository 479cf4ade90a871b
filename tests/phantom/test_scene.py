from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_gliocam.phantom.acquisition import Faults
from napari_gliocam.phantom.anatomy import Tissue, procedural_anatomy
from napari_gliocam.phantom.contrast import T1CE
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.lookalikes import Lookalikes
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.phantom.tumour import Lesion


@pytest.fixture(scope="module")
def anatomy():
    return procedural_anatomy(0, spacing=4.0)


def fields_at(z, seed=0, shape=(64, 56), pixel=3.0):
    return Fields(
        SliceGrid(np.asarray(z, float), shape, (pixel, pixel)), np.random.default_rng(seed)
    )


def test_tissues_fill_the_brain(anatomy):
    inside = anatomy.depth > 1
    total = anatomy.tissues.float().sum(0)[inside]
    assert float(total.min()) > 0.9
    assert float(total.max()) < 1.1
    share = anatomy.tissues.float()[:, inside].sum(1)
    for tissue in (Tissue.CSF, Tissue.CORTEX, Tissue.WHITE, Tissue.VENTRICLE):
        assert float(share[tissue] / share.sum()) > 0.005
    low, high = anatomy.extent
    assert low < -40 < 40 < high


@pytest.mark.parametrize("seed", range(6))
def test_a_scene_is_finite_and_its_truth_lies_in_the_brain(anatomy, seed):
    fields = fields_at(np.linspace(-50, 55, 7), seed)
    lesions = draw_lesions(fields, anatomy, SceneSettings())
    scene = render_scene(fields, anatomy, lesions)
    assert torch.isfinite(scene.image).all()
    assert scene.image.min() >= 0
    assert not scene.image[:, ~scene.brain].any()
    assert not scene.labels[~scene.brain].any()
    if not lesions:
        assert not scene.labels.any()


@pytest.mark.parametrize(
    ("kind", "left_out", "shown"),
    [
        ("both", None, {0, 1, 2}),
        ("both", "core", {0, 2}),
        ("both", "edema", {0, 1}),
        ("core", None, {0, 1}),
        ("edema", None, {0, 2}),
    ],
)
def test_a_lesion_shows_what_it_says(anatomy, kind, left_out, shown):
    lesion = Lesion(kind, (15.0, 0.0, 30.0), 24.0, True, left_out)
    scene = render_scene(fields_at(np.arange(-5, 36, 4.0)), anatomy, (lesion,))
    assert set(scene.labels.unique().tolist()) == shown


def test_core_and_edema_occur_without_each_other_often_enough(anatomy):
    seen = []
    for seed in range(200):
        fields = fields_at([0.0], seed)
        seen += [(x.kind, x.left_out) for x in draw_lesions(fields, anatomy, SceneSettings())[:1]]
    core_only = sum(k == "core" or left == "edema" for k, left in seen)
    edema_only = sum(k == "edema" or left == "core" for k, left in seen)
    assert core_only > 0.1 * len(seen)
    assert edema_only > 0.1 * len(seen)


PLAIN = SceneSettings(deform=0.0, atrophy=0.0, distract=0.0, acquire=0.0)


@pytest.mark.parametrize(
    "switched",
    [
        {"deform": 1.0},
        {"atrophy": 1.0},
        {"distract": 1.0},
        {"acquire": 1.0},
        {"acquire": 1.0, "faults": Faults(cropped=1.0)},
        {"distract": 1.0, "lookalikes": Lookalikes(1.0, 1.0)},
    ],
)
def test_each_switch_changes_the_scene(anatomy, switched):
    def draw(settings):
        return render_scene(fields_at(np.arange(-20, 40, 10.0), 2), anatomy, (), settings)

    plain, switched_on = draw(PLAIN), draw(replace(PLAIN, **switched))
    assert (plain.image - switched_on.image).abs().mean() > 1e-3
    assert torch.equal(plain.image, draw(PLAIN).image)


def test_a_cropped_scene_has_no_brain_and_no_truth_beyond_its_field_of_view(anatomy):
    settings = replace(PLAIN, acquire=1.0, faults=Faults(cropped=1.0))
    lesion = Lesion("both", (60.0, 0.0, 20.0), 25.0)
    whole = render_scene(fields_at(np.arange(-60, 76, 6.0), 1), anatomy, (lesion,), PLAIN)
    ends = set()
    for seed in range(8):
        fields = fields_at(np.arange(-60, 76, 6.0), seed)
        cropped = render_scene(fields, anatomy, (lesion,), settings)
        empty = ~cropped.brain.any(dim=(1, 2)) & whole.brain.any(dim=(1, 2))
        ends |= {("low", "high")[int(i > 11)] for i in torch.nonzero(empty)[:, 0]}
        assert not cropped.labels[empty].any()
    assert ends == {"low", "high"}


def test_what_enhances_is_core_and_bright_after_contrast(anatomy):
    lesion = Lesion("both", (15.0, 0.0, 30.0), 26.0, True)
    shares = []
    for seed in range(4):
        fields = fields_at(np.arange(-5, 36, 4.0), seed)
        scene = render_scene(fields, anatomy, (lesion,), PLAIN)
        assert (scene.labels[scene.enhancing] == 1).all()
        core = scene.labels == 1
        quiet = core & ~scene.enhancing
        shares.append(float(scene.enhancing.sum() / core.sum()))
        if quiet.sum() > 20:
            t1ce = scene.image[T1CE]
            assert t1ce[scene.enhancing].median() > t1ce[quiet].median()
    assert max(shares) > 0.3
