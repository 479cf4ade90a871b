"""Tiny NIfTI files and cases; no patient data."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import read_case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.threshold import apply_thresholds

if TYPE_CHECKING:
    from napari_gliocam.settings import Thresholds

#: The axes of a BraTS file: left, posterior, superior.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
LPS[:3, 3] = 20, 30, -40
CASES = Path(__file__).parents[3] / "shared" / "cases"


def blob(shape=(18, 17, 16), *, seed=0, dtype=np.int16):
    """A brain on a background of 0: random positive values in a box."""
    rng = np.random.default_rng(seed)
    volume = np.zeros(shape, dtype=dtype)
    inside = tuple(slice(n // 4, max(n - n // 4, n // 4 + 1)) for n in shape[:3])
    values = rng.integers(1, 200, size=volume[inside].shape)
    values.flat[0] = 201  # never constant
    volume[inside] = values
    return volume


def write(path: Path, array: Any = None, affine: Any = LPS, edit: Any = None) -> Path:
    """Write one NIfTI; ``edit(header)`` may spoil the header, as it is in the file."""
    array = blob() if array is None else array
    raw = nib.Nifti1Image(array, affine, dtype=array.dtype).to_bytes()
    if edit is not None:
        header = nib.Nifti1Header(raw[:348], check=False)
        edit(header)
        raw = header.binaryblock + raw[348:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw, 1) if path.name.endswith(".gz") else raw)
    return path


@pytest.fixture
def lps():
    return LPS.copy()


@pytest.fixture
def make_blob():
    return blob


@pytest.fixture
def write_nifti():
    return write


@pytest.fixture
def write_case():
    """Write a folder of modalities and labels; returns the folder."""

    def make(folder, *, name="BraTS2021_00001", parts=("flair", "t1", "t1ce", "t2"), **options):
        for index, part in enumerate(parts):
            if part == "seg":
                seg = np.zeros(blob().shape, dtype=np.uint8)
                seg[6, 6, 4:8] = 1, 2, 4, 2
                write(folder / f"{name}_seg.nii.gz", seg, **options)
            else:
                write(folder / f"{name}_{part}.nii.gz", blob(seed=index), **options)
        return folder

    return make


@pytest.fixture
def make_segmentation():
    """Maps and labels for a case, with known values."""

    def make(case: Case, settings: Thresholds | None = None):
        rng = np.random.default_rng(1)
        shape = case.grid.shape
        tumour, core, edema = rng.random((3, *shape), dtype=np.float32)
        maps = ClassMaps(
            grid=case.grid,
            tumour=tumour,
            core=core,
            edema=edema,
            probabilities=np.ones((shape[0], 3), np.float32),
            provenance={
                "bundle": Path("/home/patient/bundle"),
                "seconds": {"tumour": np.float32(1.5)},
                "lost": float("nan"),
                "shape": np.array([1, 2]),
            },
        )
        return apply_thresholds(maps, settings)

    return make


@pytest.fixture
def make_case():
    """A case made by code, on any affine."""

    def make(affine=LPS, file_shape=(6, 7, 5), name="Fall 7 Müller"):
        grid = Grid(np.asarray(affine, dtype=float), file_shape)
        rng = np.random.default_rng(0)
        return Case(name, {Modality.FLAIR: rng.random(grid.shape, dtype=np.float32)}, grid)

    return make


@pytest.fixture(params=["BraTS2021_00006", "BraTS2021_01478", "BraTS2021_01480", "BraTS2021_01481"])
def real_case(request):
    folder = CASES / request.param
    if not folder.is_dir():
        pytest.skip(f"the real case {request.param} is not at ../shared/cases")
    return folder


@pytest.fixture
def one(tmp_path, write_nifti):
    """Write one FLAIR and read it; returns volume and case."""

    def read(array=None, **options):
        path = write_nifti(tmp_path / "P1_flair.nii.gz", array, **options)
        case = read_case(path)
        return case.volumes[Modality.FLAIR], case

    return read


@pytest.fixture
def fails(tmp_path, write_nifti):
    """Write one FLAIR, expect one sentence that names it; returns the sentence."""

    def read(array=None, **options):
        path = write_nifti(tmp_path / "P1_flair.nii.gz", array, **options)
        return sentence(path)

    return read


def sentence(path, names=None):
    with pytest.raises(CaseError) as caught:
        read_case(path)
    message = str(caught.value)
    for name in names or ["P1_flair.nii.gz"]:
        assert name in message
    assert message.endswith(".")
    assert "\n" not in message
    return message
