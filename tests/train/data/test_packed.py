import numpy as np
import pytest

from napari_gliocam.errors import SaveError, TrainingError
from napari_gliocam.train.data.packed import PackedSlices, is_whole, open_slices, pack_slices


def images(count, height, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, height, width)).astype(np.float16)


def test_slices_come_back_as_they_were_from_any_file_in_any_order(tmp_path):
    first, second = images(5, 32, 16), images(4, 32, 16, seed=1)
    pack_slices(first, tmp_path / "a")
    pack_slices(second.astype(np.float32), tmp_path / "b")
    packed = PackedSlices(
        [tmp_path / "a", tmp_path / "b"], np.array([0, 1, 0]), np.array([4, 3, 0]), (3, 32, 16)
    )
    assert packed.shape == (3, 3, 32, 16)
    assert len(packed) == 3
    got = packed[np.array([2, 1, 0, 1])]
    np.testing.assert_array_equal(got, np.stack([first[0], second[3], first[4], second[3]]))


@pytest.mark.parametrize("shape", [(48, 32), (16, 16), (48, 8)])
def test_slices_of_other_shapes_are_centred(tmp_path, shape):
    pack_slices(images(1, 32, 16), tmp_path / "a")
    one = np.zeros(1, dtype=int)
    (got,) = PackedSlices([tmp_path / "a"], one, one, (3, *shape))[one]
    assert got.shape == (3, *shape)
    height, width = (min(a, b) for a, b in zip(shape, (32, 16), strict=True))
    assert np.count_nonzero(got) <= 3 * height * width
    middle = got[:, shape[0] // 2 - 4 : shape[0] // 2 + 4, shape[1] // 2 - 4 : shape[1] // 2 + 4]
    np.testing.assert_array_equal(middle, images(1, 32, 16)[0][:, 12:20, 4:12])


def test_damage_is_a_sentence(tmp_path):
    file = tmp_path / "a"
    pack_slices(images(3, 16, 16), file)
    rows = np.arange(3)
    packed = PackedSlices([file], np.zeros(3, dtype=int), rows, (3, 16, 16))
    raw = file.read_bytes()
    assert is_whole(file)
    huge = raw[:8] + b"\xff" * 16 + raw[24:]
    cut, zeros = raw[: len(raw) // 2], raw[:70] + bytes(len(raw))
    for damaged in (cut, b"GARBAGE!" + raw[8:], b"", zeros, huge):
        file.write_bytes(damaged)
        assert not is_whole(file)
        with pytest.raises(TrainingError, match="damaged"):
            packed[rows]
        assert not file.exists()  # so that it is made anew
    with pytest.raises(TrainingError, match="prepared anew"):
        packed[rows]


def test_the_digest_knows_other_rows_and_other_files(tmp_path):
    file = tmp_path / "a"
    pack_slices(images(3, 16, 16), file)

    def digest(places):
        return PackedSlices([file], np.zeros(2, int), np.array(places), (3, 16, 16)).digest()

    before = digest([0, 1])
    assert before == digest([0, 1])
    assert before != digest([0, 2])
    pack_slices(np.zeros((3, 3, 16, 16)), file)
    assert before != digest([0, 1])


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError):
        pack_slices(images(1, 16, 16), tmp_path / "file" / "a")


def test_labels_are_kept_with_the_slices(tmp_path):
    labels = np.array([[1, 0, 1], [0, 0, 0]], dtype=np.float32)
    with pytest.raises(TrainingError, match="cannot be read"):
        open_slices([tmp_path / "a"], [0])
    pack_slices(images(2, 16, 16), tmp_path / "a", labels=labels)
    np.testing.assert_array_equal(open_slices([tmp_path / "a"], [0]).labels, labels)
