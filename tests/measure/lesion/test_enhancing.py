from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.measure.lesion.enhancing import enhancing_core


def test_bright_core_enhances_and_dark_core_does_not(make_case):
    case = make_case()
    labels = case.expert.labels.copy()
    labels[2:4, 6:8, 7] = 1  # as dark in T1ce as brain
    found = enhancing_core(case, labels)
    assert np.array_equal(found.mask, case.expert.labels == 1)
    voxel = case.grid.voxel_ml
    assert found.ml == pytest.approx(8 * voxel)
    assert found.rest_ml == pytest.approx(4 * voxel)
    assert found.diameters.long_mm > 0
    assert "rule of intensity" in found.rule


@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0])
def test_the_unit_of_the_scanner_does_not_matter(make_case, scale):
    case = make_case()
    scaled = {m: v.astype(np.float32) * np.float32(scale) for m, v in case.volumes.items()}
    once = enhancing_core(case, case.expert.labels).mask
    assert np.array_equal(
        enhancing_core(replace(case, volumes=scaled), case.expert.labels).mask, once
    )


def test_a_voxel_of_both_classes_is_core_and_nothing_enhances_without_core(make_case):
    case = make_case()
    both = np.where(case.expert.labels == 1, 3, 0).astype(np.uint8)
    assert enhancing_core(case, both).mask.sum() == 8
    nothing = enhancing_core(case, np.zeros_like(both))
    assert (nothing.ml, nothing.rest_ml, nothing.diameters.long_mm) == (0, 0, 0)


def test_what_it_needs_is_asked_for(make_case):
    case = make_case(modalities=(Modality.FLAIR,))
    with pytest.raises(CaseError, match="has no T1ce"):
        enhancing_core(case, case.expert.labels)
    case = make_case()
    with pytest.raises(CaseError, match="no brain outside the tumour"):
        enhancing_core(case, case.brain.astype(np.uint8))


def test_it_agrees_with_experts_where_they_say_what_enhances(shared_cases):
    """Dice with label 4 inside the expert's core; one case has none of it."""
    import nibabel as nib

    from napari_gliocam.io import read_case

    for name, least in (("BraTS2021_00006", 0.85), ("BraTS2021_01481", 0.8)):
        case = read_case(shared_cases / name)
        file = np.asarray(nib.load(case.expert.source).dataobj)
        wanted = case.grid.from_file(file) == 4
        found = enhancing_core(case, case.expert.labels).mask
        assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > least
    none = read_case(shared_cases / "BraTS2021_01480")
    assert enhancing_core(none, none.expert.labels).ml < 0.5


def test_a_tumour_that_is_not_divided_has_no_core_to_divide(make_case):
    case = make_case()
    with pytest.raises(CaseError, match="do not divide the tumour"):
        enhancing_core(case, 4 * (case.expert.labels > 0).astype(np.uint8))
