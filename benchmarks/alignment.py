"""Error of the alignment: real series, moved by known movements and given other voxels.

    python benchmarks/alignment.py CASES [--draws 20]

``CASES`` holds BraTS cases, whose series are aligned already.  Each draw takes a case and a
modality, moves it by up to 20 mm and 15° about the brain's centre, samples it at another voxel
size and aligns it to the T1ce.  The error is the mean distance of brain voxels from where they
belong.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.prepare.align import Brain, align
from napari_gliocam.prepare.resample import even_grid, resample
from napari_gliocam.prepare.series import SeriesVolume


def main() -> None:
    """Print a line for each draw, then the mean and the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    asked = parser.parse_args()
    cases = [read_case(files) for files in find_cases(asked.cases)]
    errors, seconds = [], []
    for draw in range(asked.draws):
        rng = np.random.default_rng(draw)
        case = cases[draw % len(cases)]
        modality = (Modality.T2, Modality.FLAIR, Modality.T1)[draw % 3]
        t1ce = volume(case, Modality.T1CE)
        fixed = Brain(t1ce, t1ce.data != 0, t1ce.grid)
        truth = movement(rng, fixed.centre)
        moved = move(volume(case, modality), truth, rng)
        started = time.perf_counter()
        found = align(fixed, Brain(moved, moved.data > 1, moved.grid))
        seconds.append(time.perf_counter() - started)
        errors.append(target_error(fixed, truth, found.movement))
        print(
            f"{case.name} {modality.title}: shift {found.shift:.1f} mm, turn {found.turn:.1f}°, "
            f"error {errors[-1]:.2f} mm, overlap {found.overlap:.2f}, {seconds[-1]:.1f} s",
            flush=True,
        )
    print(
        f"mean {np.mean(errors):.2f} mm, worst {max(errors):.2f} mm; "
        f"{np.mean(seconds):.1f} s a pair, slowest {max(seconds):.1f} s"
    )


def volume(case: Case, modality: Modality) -> SeriesVolume:
    """Return a modality of a case as a series."""
    return SeriesVolume(modality.title, case.volumes[modality].astype(np.float32), case.grid)


def movement(
    rng: np.random.Generator, centre: np.ndarray, shift_mm: float = 20.0, degrees: float = 15.0
) -> np.ndarray:
    """Draw a rigid movement about a centre, shape (4, 4), RAS+ mm."""
    axis, way = rng.standard_normal(3), rng.standard_normal(3)
    turn = Rotation.from_rotvec(
        axis / np.linalg.norm(axis) * rng.uniform(0, degrees), degrees=True
    ).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    shift = way / np.linalg.norm(way) * rng.uniform(0, shift_mm)
    matrix[:3, 3] = centre + shift - turn @ centre
    return matrix


def move(series: SeriesVolume, truth: np.ndarray, rng: np.random.Generator) -> SeriesVolume:
    """Return a series as if the head had moved, with other voxels."""
    spacing = float(rng.uniform(0.9, 1.4))
    target: Grid = even_grid(series.grid, spacing)
    data = resample(series.data, series.grid, target, np.linalg.inv(truth), order=3)
    return SeriesVolume(series.name, np.maximum(data, 0), target)


def target_error(fixed: Brain, truth: np.ndarray, found: np.ndarray) -> float:
    """Return the mean distance in mm between where brain voxels go and where they belong."""
    index = np.argwhere(fixed.brain)[::97]
    affine = fixed.grid.canonical_affine
    places = np.c_[index @ affine[:3, :3].T + affine[:3, 3], np.ones(len(index))]
    return float(np.linalg.norm(((found - truth) @ places.T)[:3], axis=0).mean())


if __name__ == "__main__":
    main()
