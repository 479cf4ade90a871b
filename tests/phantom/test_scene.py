import numpy as np
import pytest
import torch

from napari_gliocam.phantom.anatomy import Tissue, procedural_anatomy
from napari_gliocam.phantom.fields import Fields, SliceGrid
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
