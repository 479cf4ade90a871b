import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.nets.segmenters.blend import blend, share_of_core, shared_out

unit = st.floats(0, 1, width=32)
seen = st.floats(0.015625, 1, width=32)


def maps(tumour, share):
    return shared_out(np.float32([[tumour]]), np.float32([[share]]))


@given(tumour=unit, share=unit)
def test_the_larger_class_is_the_root_of_the_tumour_map(tumour, share):
    found = maps(tumour, share)
    np.testing.assert_allclose(found[1:].max(), np.sqrt(np.float32(tumour)), rtol=1e-5)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6


@given(share=unit)
def test_the_share_of_the_core_can_be_read_back(share):
    np.testing.assert_allclose(share_of_core(maps(0.7, share)), share, atol=1e-5)


@given(a=seen, b=st.just(0.0) | seen, share_a=unit, share_b=unit, in_tumour=unit, in_classes=unit)
def test_a_blend_lies_between_the_two_and_keeps_air(a, b, share_a, share_b, in_tumour, in_classes):
    found = blend(maps(a, share_a), maps(b, share_b), in_tumour, in_classes)
    if b == 0:
        assert not found.any()
        return
    low, high = sorted((a, b))
    assert min(low, 0.999) - 1e-3 <= found[0] <= max(high, 0.001) + 1e-3
    low, high = sorted((share_a, share_b))
    assert min(low, 0.99) - 1e-2 <= share_of_core(found) <= max(high, 0.01) + 1e-2


def test_all_weight_on_the_network_is_the_network():
    first, second = maps(0.2, 0.9), maps(0.8, 0.3)
    np.testing.assert_allclose(blend(first, second, 1.0, 1.0), second, rtol=1e-4)


def test_the_tumour_and_its_classes_are_mixed_by_themselves():
    first, second = maps(0.2, 0.9), maps(0.8, 0.3)
    tumour, classes = blend(first, second, 1.0, 0.0), blend(first, second, 0.0, 1.0)
    np.testing.assert_allclose(tumour, maps(0.8, 0.9), rtol=1e-4)
    np.testing.assert_allclose(classes, maps(0.2, 0.3), rtol=1e-4)
