from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.errors import CaseError
from napari_gliocam.io.schemes import (
    BRATS,
    BRATS_2023,
    GLIOCAM,
    MSD,
    SCHEMES,
    Hints,
    apply_scheme,
    detect_scheme,
    doubt,
    get_scheme,
    label_values,
)

MSD_HINT, OWN_HINT, EDITED = Hints(msd=True), Hints(own=True), Hints(edited=True)


@pytest.mark.parametrize(
    ("values", "hints", "scheme"),
    [
        ({0, 1, 2, 4}, None, BRATS),
        ({0, 2, 4}, Hints("BraTS2021_00006"), BRATS),
        ({0, 1, 2}, None, BRATS),
        (set(), None, BRATS),
        ({0, 1, 2, 3}, None, BRATS_2023),
        ({0, 1, 2, 3}, Hints("BraTS-GLI-00000-000"), BRATS_2023),
        ({1, 2, 3, 4}, None, BRATS_2023),
        ({0, 1, 2, 3}, MSD_HINT, MSD),
        ({0, 1}, MSD_HINT, MSD),
        ({0, 1, 2}, OWN_HINT, GLIOCAM),
        ({0, 1, 2, 3}, OWN_HINT, GLIOCAM),
        ({0, 1, 2, 3}, EDITED, GLIOCAM),
        ({1.0, 2.0, 4.0}, None, BRATS),
    ],
)
def test_detect(values, hints, scheme):
    assert detect_scheme(values, hints=hints) is scheme


@pytest.mark.parametrize("values", [{0, 5}, {1, 2, 7}, {-1}, {1.5}, {float("nan")}, {255}])
def test_strange_values_are_listed(values):
    with pytest.raises(CaseError, match="choose the label scheme") as caught:
        detect_scheme(values)
    strange = max(values - {0, 1, 2})
    assert f"{strange:g}" in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "values", "hints", "said"),
    [
        (BRATS, {1, 2, 4}, Hints("P01"), False),
        (BRATS, {1, 2}, Hints("BraTS20_001"), False),
        (BRATS, {1, 2}, Hints("P01"), True),
        (BRATS_2023, {1, 2, 3}, Hints("P01"), True),
        (BRATS_2023, {1, 2, 3}, Hints("BraTS-GLI-00000-000"), False),
        (BRATS, {2, 4}, Hints("BraTS-GLI-00000-000"), True),
        (MSD, {1, 2, 3}, MSD_HINT, False),
        (BRATS, set(), None, False),
        (BRATS, {4}, Hints("P01"), True),
        (BRATS, {1, 2, 4}, OWN_HINT, True),
        (BRATS, {1, 4}, EDITED, True),
        (GLIOCAM, {1, 2, 3}, EDITED, True),
    ],
)
def test_doubt_is_said_where_values_fit_several_schemes(scheme, values, hints, said):
    assert (doubt(scheme, values, hints=hints) is not None) == said


def test_core_is_everything_but_edema():
    raw = np.array([0, 1, 2, 3, 4], dtype=np.uint8)
    assert apply_scheme(raw[[0, 1, 2, 4]], BRATS).tolist() == [0, 1, 2, 1]
    assert apply_scheme(raw, BRATS_2023).tolist() == [0, 1, 2, 1, 0]
    assert apply_scheme(raw[:4], MSD).tolist() == [0, 2, 1, 1]
    assert apply_scheme(raw[:4], GLIOCAM).tolist() == [0, 1, 2, 3]


def test_apply_names_scheme_and_values():
    with pytest.raises(CaseError, match=r"values 4, 9 .*'msd'"):
        apply_scheme(np.array([1, 9, 4]), MSD)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8", ">i2", ">f4"])
def test_any_dtype_and_shape(dtype):
    raw = np.array([[[0, 1], [2, 4]]], dtype=dtype)
    labels = apply_scheme(raw, BRATS)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[[0, 1], [2, 1]]]


def test_no_lesion():
    assert not apply_scheme(np.zeros((2, 3, 4), np.uint8), BRATS).any()
    assert label_values(np.zeros((2, 3, 4))).size == 0


@given(st.sampled_from(sorted(SCHEMES)), st.data())
def test_each_voxel_gets_the_class_of_its_value(name, data):
    scheme = get_scheme(name)
    values = data.draw(st.lists(st.sampled_from([0, *sorted(scheme.values)]), min_size=1))
    labels = apply_scheme(np.array(values), scheme)
    assert labels.tolist() == [scheme.class_of(value) for value in values]
    assert set(label_values(np.array(values)).tolist()) == set(values) - {0}
    for value, label in zip(values, labels.tolist(), strict=True):
        assert bool(label) == (value in scheme.core | scheme.edema | scheme.undivided)


@given(st.sets(st.integers(0, 6)))
def test_what_is_detected_can_be_applied(values):
    try:
        scheme = detect_scheme(values)
    except CaseError:
        return
    apply_scheme(np.array(sorted(values)), scheme)


def test_unknown_scheme_lists_those_there_are():
    with pytest.raises(CaseError, match="brats, brats-2023, msd, gliocam"):
        get_scheme("fets")
