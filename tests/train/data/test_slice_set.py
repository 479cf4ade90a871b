import numpy as np
import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.data.slice_set import SliceSet, check_labels, drop_blank
from napari_gliocam.train.data.split import split_cases
from napari_gliocam.train.labels.tags import image_labels

from ..conftest import blob_slices


def test_a_slice_set_has_no_room_for_a_mask():
    assert set(SliceSet.__dataclass_fields__) == {
        *("images", "labels", "case", "names", "position", "validated")
    }
    with pytest.raises(ValueError, match="labels"):  # one label a pixel is no image-level label
        SliceSet(np.zeros((2, 3, 8, 8), np.float16), np.zeros((2, 8, 8)), np.zeros(2, int))


def test_patients_are_in_one_part_and_in_proportion():
    slices = blob_slices(400, a_case=4)
    labels = slices.labels.copy()
    labels[:200] = 0  # half of the patients show nothing
    slices = SliceSet(slices.images, labels, slices.case)
    train, check = split_cases(slices, 0.2, seed=3)
    assert sorted([*train, *check]) == list(range(400))
    assert not set(slices.case[train]) & set(slices.case[check])
    assert len(set(slices.case[check])) == 20
    healthy = {c for c in slices.case[check] if c < 50}
    assert len(healthy) == 10
    again, other = split_cases(slices, 0.2, seed=3), split_cases(slices, 0.2, seed=4)
    np.testing.assert_array_equal(check, again[1])
    assert not np.array_equal(check, other[1])


def test_splitting_without_validation_and_with_too_few_patients():
    slices = blob_slices(8, a_case=4)
    train, check = split_cases(slices, 0.0, seed=0)
    assert len(train) == 8
    assert len(check) == 0
    one = blob_slices(8, a_case=8)
    with pytest.raises(TrainingError, match="too few"):
        split_cases(one, 0.1, seed=0)


def test_slices_that_cannot_teach_are_refused(slices):
    check_labels(slices.labels)
    for value, words in ((0, "None of .* shows edema"), (1, "All .* show edema")):
        labels = slices.labels.copy()
        labels[:, 2] = value
        with pytest.raises(TrainingError, match=words):
            check_labels(labels)


def test_blank_slices_are_dropped():
    slices = blob_slices(10)
    slices.images[[2, 7]] = 0
    assert drop_blank(slices, np.arange(10), batch=4).tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert len(drop_blank(slices, np.arange(0))) == 0


def test_the_fingerprint_is_of_the_labels_and_cases(slices):
    labels = slices.labels.copy()
    assert SliceSet(slices.images, labels, slices.case).fingerprint() == slices.fingerprint()
    labels[0, 0] = 1 - labels[0, 0]
    assert SliceSet(slices.images, labels, slices.case).fingerprint() != slices.fingerprint()


def test_slices_with_a_few_pixels_are_left_out_or_called_normal():
    core, edema = np.array([0, 3, 8, 9, 0]), np.array([0, 0, 0, 2, 8])
    labels, keep = image_labels(core, edema, min_pixels=8)
    assert keep.tolist() == [True, False, True, False, True]
    assert labels.tolist() == [
        [False, False, False],
        [False, False, False],
        [True, True, False],
        [True, True, False],
        [True, False, True],
    ]
    assert image_labels(core, edema, min_pixels=8, few_pixels="normal")[1].all()
