"""Whatever lies outside the brain in a file, the networks see the same."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import read_case
from napari_gliocam.io.background import clear_background
from napari_gliocam.slices import cut_slices

SEEN = (Modality.T1CE, Modality.T2, Modality.FLAIR)
AFFINE = np.diag([-3.0, -3.0, 4.0, 1.0])


def brain(seed):
    """A skull-stripped brain of 1.1 litres in 48 × 58 × 36 voxels, its values 5 to 900."""
    shape = (48, 58, 36)
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"), -1)
    distance = ((place / (0.85, 0.88, 0.88)) ** 2).sum(-1)
    values = 200 + 150 * np.cos(3 * distance) + rng.normal(0, 20, shape)
    values[((place - (0.3, 0.2, 0)) ** 2).sum(-1) < 0.04] += 400
    return np.where(distance < 1, np.clip(values, 5, 900).round(), 0)


def z_scored(volume, rng):
    return ((volume - volume.mean()) / volume.std()).astype(np.float32)


def shifted(volume, rng):
    return (volume + 37).astype(np.int16)


def hounsfield(volume, rng):
    return (volume - 1024).astype(np.int16)


def scaled(volume, rng):
    return (volume / 900 * 2 - 1).astype(np.float32)


def padded(volume, rng):
    out = (volume - 1024).astype(np.int16)
    out[:4] = out[-4:] = 0
    out[:, :4] = out[:, -4:] = 0
    return out


def tiny(volume, rng):
    return np.where(volume == 0, rng.normal(0, 1e-6, volume.shape), volume).astype(np.float32)


def residue(volume, rng):
    out = tiny(volume, rng)
    out[:3] = out[-3:] = 0
    return out


def noise(volume, rng):
    return np.where(volume == 0, abs(rng.normal(0, 1, volume.shape)), volume).astype(np.float32)


def whole_noise(volume, rng):
    return np.where(volume == 0, rng.integers(0, 4, volume.shape), volume).astype(np.int16)


def not_a_number(volume, rng):
    return np.where(volume == 0, np.nan, volume).astype(np.float32)


CHANGES = [
    z_scored,
    shifted,
    hounsfield,
    scaled,
    padded,
    tiny,
    residue,
    noise,
    whole_noise,
    not_a_number,
]


@pytest.fixture
def cases(tmp_path, write_nifti):
    """Read a case as it is, and with some of its modalities changed."""

    def read(change, changed):
        rng = np.random.default_rng(5)
        for index, modality in enumerate(SEEN):
            volume = brain(index)
            write_nifti(tmp_path / "a" / f"a_{modality}.nii", volume.astype(np.int16), AFFINE)
            other = change(volume, rng) if modality in changed else volume.astype(np.int16)
            write_nifti(tmp_path / "b" / f"b_{modality}.nii", other, AFFINE)
        return read_case(tmp_path / "a"), read_case(tmp_path / "b")

    return read


@pytest.mark.parametrize("changed", [SEEN, (Modality.T2,)], ids=["all", "one"])
@pytest.mark.parametrize("change", CHANGES)
def test_the_networks_see_the_same(cases, change, changed):
    clean, other = cases(change, changed)
    assert clean.warnings == ()
    assert other.warnings  # it is said
    # A voxel of noise that touches the brain may rise above all noise at the border.
    assert np.count_nonzero(other.brain != clean.brain) <= (1 if change is noise else 0)
    one, two = (cut_slices(case, SEEN) for case in (clean, other))
    assert one.frame == two.frame
    differ = np.mean(abs(two.images - one.images) > 2e-4)
    assert differ <= (1e-4 if change is noise else 0)


def test_a_clean_volume_is_left_alone(make_blob):
    for dtype in (np.int16, np.uint8, np.float32):
        volume = make_blob(dtype=dtype)
        cleared, note = clear_background(volume)
        assert cleared is volume
        assert note is None


def test_a_brain_that_touches_the_border(make_blob):
    volume = brain(0)[8:40, 8:50].astype(np.int16)
    volume[volume == 0] = -1024
    cleared, _ = clear_background(volume)
    np.testing.assert_array_equal(cleared != 0, volume != -1024)


def test_integers_do_not_wrap_when_they_are_shifted():
    volume = np.full((20, 20, 20), -32768, np.int16)
    volume[5:15, 5:15, 5:15] = 32767
    volume[9, 9, 9] = 0
    cleared, _ = clear_background(volume)
    assert cleared.min() == 0
    assert cleared.max() == 65535


def test_no_background_at_all_is_refused(tmp_path, write_nifti):
    array = np.random.default_rng(0).integers(1, 999, (18, 17, 16), dtype=np.int16)
    path = write_nifti(tmp_path / "P1_flair.nii.gz", array)
    with pytest.raises(CaseError, match=r"P1_flair.nii.gz has no even background.*skull-strip"):
        read_case(path)
