import pytest

from napari_gliocam.errors import GliocamError
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.targets import TUMOUR_ALONE


def test_a_class_that_no_network_knows_is_named():
    net = GliocamNet.of(3, Design(width=4, targets=TUMOUR_ALONE))
    assert net.network_of("tumour") is net.networks[0]
    with pytest.raises(GliocamError, match="tumour alone, not core"):
        net.network_of("core")
