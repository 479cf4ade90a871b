"""Small cases as files: an ellipsoid of a brain, bright balls in some slices, truth beside them."""

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (16, 40, 36)


def write_case(folder: Path, name: str, seed: int = 0, *, head_first=False, without=(), seg=True):
    """A case whose lower half shows a lesion: core bright in T1ce, edema around it in FLAIR."""
    rng = np.random.default_rng(seed)
    slices, rows, columns = SHAPE
    s, p, l = np.ogrid[:slices, :rows, :columns]
    brain = ((s - 7.5) / 9) ** 2 + ((p - 19.5) / 17) ** 2 + ((l - 17.5) / 15) ** 2 < 1
    row, column = rng.integers(14, 24), rng.integers(12, 22)
    distance = np.sqrt(((s - 4) / 4) ** 2 + ((p - row) / 7) ** 2 + ((l - column) / 7) ** 2)
    truth = np.where(distance < 0.5, 4, np.where(distance < 1, 2, 0)) * brain
    affine = np.diag([-3.0, -3.0, 5.0, 1.0])
    if head_first:
        affine = np.diag([-3.0, -3.0, -5.0, 1.0])

    def save(volume, what):
        array = volume.transpose(2, 1, 0)
        array = array[:, :, ::-1] if head_first else array
        path = folder / name / f"{name}_{what}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ascontiguousarray(array), affine), path)

    for modality in ("t1", "t1ce", "t2", "flair"):
        volume = rng.normal(500, 40, SHAPE)
        if modality in ("flair", "t2"):
            volume[truth > 0] += 400
        if modality == "t1ce":
            volume[truth == 4] += 400
        if modality not in without:
            save((np.clip(volume, 1, None) * brain).astype(np.int16), modality)
    if seg:
        save(truth.astype(np.uint8), "seg")
    return folder / name


def write_cases(folder: Path, count: int) -> Path:
    for number in range(count):
        write_case(folder, f"case{number}", seed=number)
    return folder
