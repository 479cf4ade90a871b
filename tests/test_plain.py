"""Tests of plain values read into the fields of dataclasses."""

from typing import Literal

import pytest

from napari_gliocam.case import Modality
from napari_gliocam.plain import is_of, value_of
from napari_gliocam.refine.parameters import ComponentParameters


@pytest.mark.parametrize(
    ("hint", "value", "read"),
    [
        (bool, True, True),
        (int, 3, 3),
        (float, 3, 3.0),
        (float | None, 0.5, 0.5),
        (str, "a", "a"),
        (Literal["a", "b"], "b", "b"),
        (tuple[float, float], [1, 2], (1.0, 2.0)),
        (tuple[str, ...], [], ()),
        (ComponentParameters, {}, ComponentParameters()),
    ],
)
def test_values_are_read_as_their_fields_hold_them(hint, value, read):
    found = value_of(hint, value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("hint", "value", "said"),
    [
        (bool, 1, "true or false"),
        (int, True, "a whole number"),
        (int, 0.5, "a whole number"),
        (float, False, "a number"),
        (float, float("nan"), "a number"),
        (float, 10**400, "a number"),
        (str, 1, "a text"),
        (Literal[1, 2], True, "one of 1, 2"),
        (tuple[Modality, ...], ["pet"], "one of t1, t1ce, t2, flair"),
        (Modality, ["t1"], "one of t1, t1ce, t2, flair"),
        (tuple[float, float], [1], "a list of 2 entries"),
        (ComponentParameters, {"unknown": 1}, "a table of"),
    ],
)
def test_other_values_are_refused_with_what_the_field_takes(hint, value, said):
    with pytest.raises(ValueError, match=said):
        value_of(hint, value)


def test_true_is_no_number_and_a_whole_number_is_a_float():
    assert is_of(float, 1)
    assert not is_of(int, True)
    assert not is_of(Literal[1], True)
