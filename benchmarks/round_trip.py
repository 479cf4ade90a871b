"""The whole way there and back: a case as four moved DICOM series, prepared, segmented, compared.

    python benchmarks/round_trip.py CASE --work DIR

The modalities of a BraTS case are written as DICOM series, each but the T1ce moved by up to 20 mm
and 15° and sampled anew, the T2 with other voxels.  The examination is found, prepared and
segmented, and its labels, brought back to the T1ce series, are compared with those of the
untouched case.  Needs the extras ``prepare`` and ``dicom``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from alignment import movement, volume

from napari_gliocam.case import Modality
from napari_gliocam.io import find_case, read_case
from napari_gliocam.prepare import find_examination, prepare
from napari_gliocam.prepare.resample import even_grid, resample
from napari_gliocam.prepare.way_back import labels_on_original
from napari_gliocam.segmentation import segment

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.prepare.dicom_files import write_series

TIMES = {Modality.T1: "t1", Modality.T1CE: "t1", Modality.T2: "t2", Modality.FLAIR: "flair"}
NAMES = {Modality.T1: "t1", Modality.T1CE: "t1 post gd", Modality.T2: "t2", Modality.FLAIR: "x"}


def main() -> None:
    """Write the series, go the whole way, print seconds and Dice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    asked = parser.parse_args()
    case = read_case(find_case(asked.case))
    folder = asked.work / "examination"
    shutil.rmtree(folder, ignore_errors=True)
    for number, modality in enumerate(case.volumes):
        series = volume(case, modality)
        data, grid = series.data, series.grid
        if modality is not Modality.T1CE:
            rng = np.random.default_rng(number)
            index = np.argwhere(case.brain).mean(axis=0)
            affine = case.grid.canonical_affine
            truth = movement(rng, affine[:3, :3] @ index + affine[:3, 3])
            grid = even_grid(case.grid, 1.25 if modality is Modality.T2 else 1.0)
            data = resample(series.data, case.grid, grid, np.linalg.inv(truth), order=3)
        stored = np.clip(np.round(grid.to_file(data)), 0, 32767)
        stored[stored < 0.01 * np.percentile(stored, 99)] = 0  # ringing of the resampling
        write_series(
            folder / str(number),
            stored.astype(np.int16),
            grid.affine,
            description=NAMES[modality],
            times=TIMES[modality],
            SeriesNumber=number + 1,
        )
    clock = time.perf_counter()
    found = find_examination(folder)
    print(f"found {len(found.series)} series in {time.perf_counter() - clock:.1f} s", flush=True)
    clock = time.perf_counter()
    prepared = prepare(found)
    print(f"prepared in {time.perf_counter() - clock:.1f} s", flush=True)
    assert prepared.preparation is not None
    for step in prepared.preparation.steps:
        print(" ", step)
    clock = time.perf_counter()
    labels = segment(prepared).labels
    print(f"segmented in {time.perf_counter() - clock:.1f} s", flush=True)
    back = labels_on_original(labels, prepared, Modality.T1CE)
    wanted = segment(case).labels
    for name, values in (("tumour", (1, 2)), ("core", (1,)), ("edema", (2,))):
        one, other = np.isin(back, values), np.isin(wanted, values)
        total = max(np.count_nonzero(one) + np.count_nonzero(other), 1)
        print(f"Dice of the {name}: {2 * np.count_nonzero(one & other) / total:.3f}", flush=True)


if __name__ == "__main__":
    main()
