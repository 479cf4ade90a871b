"""The segmentation network of a bundle as one more method."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from napari_gliocam.cams.methods.registry import METHODS, SEGMENTER, make_method
from napari_gliocam.cams.run.explain import Explaining, explain
from napari_gliocam.cams.run.prepare import prepare, with_probabilities
from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError, GliocamError
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.nets.segmenters.unet import UNet
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.targets import TARGETS
from napari_gliocam.trust.run import Assessing, TrustRequest


@pytest.fixture(scope="module", params=[0, 1])
def taught(request, bundle):
    """A bundle with a segmentation network that sees so many neighbours."""
    torch.manual_seed(5)
    design = SegmenterDesign(
        neighbours=request.param, neighbour_mm=4.0, tumour_share=0.5, mirror=True
    )
    network = UNet(design.channels(3), widths=(4, 8)).eval()
    return Bundle(replace(bundle.info, segmenter=design), bundle.net, network)


def maps_of(case, bundle):
    return finish(compute_maps(case, bundle=bundle, device="cpu"))


def test_it_shows_the_maps_that_segment_cuts(case, taught):
    alone = maps_of(case, taught.using("segmenter"))
    found = explain(case, SEGMENTER, TARGETS, bundle=taught, device="cpu")
    for target in TARGETS:
        np.testing.assert_allclose(found.of(target), alone.of(target), atol=1e-4)
    some = explain(case, SEGMENTER, "core", bundle=taught, scope=[9, 4], device="cpu")
    np.testing.assert_allclose(some.core[[4, 9]], alone.core[[4, 9]], atol=1e-4)


def test_the_networks_that_segment_can_be_chosen(case, bundle, taught):
    mixed, maps = maps_of(case, taught), maps_of(case, taught.using("maps"))
    plain = maps_of(case, bundle)
    np.testing.assert_array_equal(maps.tumour, plain.tumour)
    assert maps.name == plain.name
    assert taught.using("bundle") is taught
    assert bundle.using("maps") is bundle
    assert not np.allclose(mixed.tumour, plain.tumour)
    assert maps_of(case, taught.using("segmenter")).provenance["segmenter"] == {
        **asdict(taught.info.segmenter),
        "tumour_share": 1.0,
    }
    with pytest.raises(BundleError, match="no segmentation network"):
        bundle.using("segmenter")


def test_bundles_and_scales_without_it_are_refused(case, bundle):
    assert SEGMENTER not in METHODS
    with pytest.raises(GliocamError, match="no segmentation network"):
        explain(case, SEGMENTER, bundle=bundle, device="cpu")
    with pytest.raises(GliocamError, match="one scale"):
        make_method(f"multiscale:{SEGMENTER}")


def test_tests_that_draw_its_map_again_leave_it_out(case, taught):
    work = Explaining(prepare(case, taught, "cpu"), SEGMENTER, "core", scope=[4])
    maps = finish(work.run())
    assert not work.remade
    tests = ("randomisation", "sequence", "faithfulness")
    assessing = Assessing(work.prepared, {work.name: (maps, None)}, TrustRequest(tests, 4))
    finish(assessing.run())
    (tested,) = assessing.tested.values()
    assert tested.results["faithfulness"].figures()
    assert tested.results["randomisation"].reason() == "the map cannot be made again"


def test_its_scores_do_not_gate_the_other_methods(case, taught):
    prepared = prepare(case, taught, "cpu")
    alone = maps_of(case, taught.using("segmenter"))
    assert with_probabilities(prepared, alone).probabilities is None
    assert with_probabilities(prepared, maps_of(case, taught)).probabilities is not None


def test_where_a_sequence_is_missing_the_maps_segment_without_the_mixture(case, taught):
    info = replace(taught.info, optional_modalities=(Modality.T2,))
    partial = replace(case, volumes={m: v for m, v in case.volumes.items() if m != Modality.T2})
    mixed = maps_of(partial, replace(taught, info=info))
    assert "segmenter" not in mixed.provenance
    maps = maps_of(partial, replace(taught, info=info).using("maps"))
    np.testing.assert_array_equal(mixed.core, maps.core)
    alone = maps_of(partial, replace(taught, info=info).using("segmenter"))
    assert "segmenter" in alone.provenance
