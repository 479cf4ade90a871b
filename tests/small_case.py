"""A small case with a bright ball, its maps without a network, and its files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.maps.class_maps import ClassMaps, NetworkTrace
from napari_gliocam.slices import frame_slices
from napari_gliocam.targets import TARGETS

SHAPE = (20, 48, 40)
SPACING = (5.0, 3.0, 3.0)


def on_disk(name: str) -> str:
    """Return a name as Python spells it on this disk: an ASCII locale escapes other letters."""
    return os.fsdecode(name.encode())


def make_case(name: str = "small", seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Case:
    """An ellipsoid of a brain with a bright ball, its centre core, its rim edema."""
    slices, rows, columns = shape
    affine = np.array(
        [
            [-SPACING[2], 0, 0, 60.0],
            [0, -SPACING[1], 0, 70.0],
            [0, 0, SPACING[0], -50.0],
            [0, 0, 0, 1],
        ]
    )
    grid = Grid(affine, (columns, rows, slices))
    rng = np.random.default_rng(seed)
    s, p, l = np.ogrid[:slices, :rows, :columns]
    brain = _ball(s, p, l, shape, (0.5, 0.5, 0.5), 0.42) < 1
    lesion = _ball(s, p, l, shape, (0.6, 0.4, 0.6), 0.18)
    volumes = {}
    for modality in Modality:
        volume = rng.normal(500, 40, shape)
        volume[lesion < 1] += 400
        volumes[modality] = np.where(brain, np.clip(volume, 1, None), 0).astype(np.int16)
    truth = np.where(lesion < 0.5, 1, np.where(lesion < 1, 2, 0)).astype(np.uint8) * brain
    return Case(name, volumes, grid, expert=ExpertLabels(truth.astype(np.uint8), "gliocam"))


def _ball(s: Any, p: Any, l: Any, shape: Any, centre: Any, radius: float) -> Any:
    parts = [
        ((axis - n * c) / (n * radius)) ** 2
        for axis, n, c in zip((s, p, l), shape, centre, strict=True)
    ]
    return np.sqrt(sum(parts))


def make_maps(case: Case, seed: int = 0) -> ClassMaps:
    """Smooth maps around the bright ball, noise in the exits."""
    shape = case.grid.shape
    s, p, l = np.ogrid[: shape[0], : shape[1], : shape[2]]
    distance = _ball(s, p, l, shape, (0.6, 0.4, 0.6), 0.18)
    tumour = np.exp(-0.7 * distance**2).astype(np.float32)
    core = np.clip(1.2 - distance, 0, 1).astype(np.float32)
    edema = np.exp(-(((distance - 0.9) / 0.5) ** 2)).astype(np.float32)
    frame = frame_slices(case, 3.0, 1.0, 6.0)
    height, width = frame.network_shape
    rng = np.random.default_rng(seed)

    def noise(factor: int) -> Any:
        return rng.random((len(frame), height // factor, width // factor)).astype(np.float16)

    return ClassMaps(
        grid=case.grid,
        tumour=tumour,
        core=core,
        edema=edema,
        probabilities=np.stack([m.max(axis=(1, 2)) for m in (tumour, core, edema)], axis=1),
        provenance={"bundle": {"name": "stand-in"}, "seconds": {"networks": 0.0}},
        trace=NetworkTrace(
            frame=frame,
            exits={t: tuple(noise(f) for f in (2, 4, 8, 8)) for t in TARGETS},
            guided={"core": noise(1), "edema": noise(1)},
        ),
    )


def make_tumour_maps(case: Case, seed: int = 0) -> ClassMaps:
    """Those of `make_maps` that networks of the tumour alone would give."""
    maps = make_maps(case, seed)
    assert maps.trace is not None
    trace = replace(maps.trace, exits={"tumour": maps.trace.exits["tumour"]}, guided={})
    return ClassMaps.of_targets(
        case.grid,
        {"tumour": maps.tumour},
        probabilities=maps.probabilities * [1, 0, 0],
        provenance=maps.provenance,
        trace=trace,
    )


def write_case(case: Case, folder: Path, pattern: str = "{name}_{modality}.nii.gz") -> Path:
    """Write a case as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for modality, volume in case.volumes.items():
        image = nib.Nifti1Image(case.grid.to_file(volume), case.grid.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, folder / pattern.format(name=case.name, modality=modality.value))
    if case.expert is not None:
        labels = np.array([0, 4, 2], dtype=np.uint8)[case.expert.labels]
        image = nib.Nifti1Image(case.grid.to_file(labels), case.grid.affine)
        nib.save(image, folder / pattern.format(name=case.name, modality="seg"))
    return folder
