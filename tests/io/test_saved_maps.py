"""Maps beside saved labels: written, read again, missing, damaged."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gliocam.errors import CaseError
from napari_gliocam.io.saved_maps import read_maps_and_slices, write_maps_and_slices
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE

from ..small_case import make_case, make_maps, make_tumour_maps


def test_maps_and_probabilities_come_back(tmp_path):
    case = make_case()
    maps = make_maps(case)
    written = write_maps_and_slices(maps, case, tmp_path)
    assert sorted(written) == sorted(tmp_path.iterdir())
    read = read_maps_and_slices(tmp_path, case, {"made": "by hand"})
    assert read.provenance == {"made": "by hand"}
    for target in TARGETS:
        np.testing.assert_allclose(read.of(target), maps.of(target), atol=1e-6)
    np.testing.assert_allclose(read.probabilities, maps.probabilities, rtol=1e-6)


def test_maps_that_are_not_all_there_are_none(tmp_path):
    case = make_case()
    for lost in write_maps_and_slices(make_maps(case), case, tmp_path):
        content = lost.read_bytes()
        lost.unlink()
        assert read_maps_and_slices(tmp_path, case, {}) is None
        lost.write_bytes(content)
    assert read_maps_and_slices(tmp_path, case, {}) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"slice,tumour,core,edema\nno number\n",
        b"",
        b"\xff\xfe\x00",
        b"no table\n1,2\n",
        b"slice,tumour\n",
    ],
)
def test_a_damaged_table_is_named(tmp_path, content):
    case = make_case()
    *_, table = write_maps_and_slices(make_maps(case), case, tmp_path)
    table.write_bytes(content)
    with pytest.raises(CaseError, match=table.name):
        read_maps_and_slices(tmp_path, case, {})


def test_maps_of_the_tumour_alone_come_back_beside_older_ones_of_the_classes(tmp_path):
    case = make_case()
    write_maps_and_slices(make_maps(case), case, tmp_path)
    maps = make_tumour_maps(case)
    write_maps_and_slices(maps, case, tmp_path)
    read = read_maps_and_slices(tmp_path, case, {})
    assert read.targets == TUMOUR_ALONE
    np.testing.assert_allclose(read.tumour, maps.tumour, atol=1e-6)
    np.testing.assert_allclose(read.probabilities[:, 0], maps.probabilities[:, 0], rtol=1e-6)
    assert not read.probabilities[:, 1:].any()
