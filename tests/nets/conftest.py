import pytest
import torch

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet

from ..small_case import on_disk


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    net = GliocamNet(width=8).eval()
    info = BundleInfo(
        "tiny", "random numbers", "CC0-1.0", width=8, optional_modalities=(Modality.T2,)
    )
    save_bundle(net, info, tmp_path / on_disk("tiny bündle"))
    return net, tmp_path / on_disk("tiny bündle")


@pytest.fixture
def refused():
    """Check that a bundle is refused in one sentence that names the file."""

    def check(folder, file=INFO_FILE):
        with pytest.raises(BundleError) as caught:
            load_bundle(folder)
        assert str(folder / file) in str(caught.value)
        assert "choose another" in str(caught.value)
        assert "\n" not in str(caught.value)

    return check
