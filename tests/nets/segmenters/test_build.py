import pytest
import torch

from napari_gliocam.nets.segmenters.build import build_segmenter
from napari_gliocam.nets.segmenters.design import ARCHITECTURES, SegmenterDesign

#: Paper 3, Table 4 counts each at three channels and one output; Mixed-UNet's channels are not
#: given, its published 10,303,105 is met within 0.6 %.
COUNTS = {
    "mixed-unet": 10_240_705,
    "unet": 31_043_521,
    "fcn": 18_643_713,
    "deeplabv3": 39_633_729,
    "small-unet": 1_944_049,
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_those_of_the_paper(architecture):
    net = build_segmenter(SegmenterDesign(architecture=architecture), modalities=3, outputs=1)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[architecture]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_network_takes_neighbours_and_gives_three_maps(architecture):
    design = SegmenterDesign(architecture=architecture, neighbours=1)
    net = build_segmenter(design).eval()
    with torch.inference_mode():
        logits = net(torch.randn(1, design.channels(3), 64, 32))
    assert logits.shape == (1, 3, 64, 32)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"architecture": "resnet"}, "architecture"),
        ({"neighbours": 4}, "neighbours"),
        ({"neighbour_mm": 0.1}, "neighbour_mm"),
        ({"tumour_share": -0.1}, "tumour_share"),
        ({"class_share": 1.5}, "class_share"),
        ({"tumour_share": 0.0, "class_share": 0.0}, "both 0"),
    ],
)
def test_a_design_out_of_range_is_refused(choice, words):
    with pytest.raises(ValueError, match=words):
        SegmenterDesign(**choice)
