from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.trust.cavity import cavity_warning, find_cavity
from napari_gliocam.trust.statement import outside_of_training

from ..prepare.heads import segmented

#: Tissue and fluid; FLAIR, T2, T1ce.
TISSUE = {Modality.FLAIR: 600.0, Modality.T2: 400.0, Modality.T1CE: 500.0}
FLUID = {Modality.FLAIR: 150.0, Modality.T2: 1200.0, Modality.T1CE: 150.0}
SHAPE = (60, 80, 66)


def places(spacing: float) -> np.ndarray:
    """Distance from the middle of the head along each axis in mm, (3, S, P, L)."""
    shape = [round(2 * n / spacing) for n in SHAPE]
    axes = [(np.arange(n) - (n - 1) / 2) * spacing for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def brain(spacing: float = 2.0, *, spheres=(), grooves: bool = False) -> Case:
    """A brain of 52, 70 and 58 mm half axes, with ventricles, and spheres of fluid in it."""
    rng = np.random.default_rng(0)
    where = places(spacing)
    radius = np.sqrt(sum((where[axis] / half) ** 2 for axis, half in enumerate((52, 70, 58))))
    inside = radius < 1
    fluid = np.zeros(inside.shape, bool)
    for side in (-1, 1):  # ventricles
        fluid |= (
            sum(
                ((where[axis] - at) / half) ** 2
                for axis, at, half in zip(range(3), (5, 0, 14 * side), (9, 30, 9), strict=True)
            )
            < 1
        )
    for centre, mm in spheres:
        offset = where - np.array(centre)[:, None, None, None]
        fluid |= (offset**2).sum(0) < mm**2
    if grooves:  # sulci, wide as in an old brain
        fluid |= (radius > 0.75) & (np.abs(np.mod(where[1], 24) - 12) < 3)
    share = ndi.gaussian_filter(fluid.astype(float), 0.5 / spacing)
    volumes = {
        modality: np.where(
            inside,
            (TISSUE[modality] * (1 - share) + FLUID[modality] * share)
            * (1 + 0.1 * rng.standard_normal(inside.shape)),
            0,
        ).astype(np.float32)
        for modality in TISSUE
    }
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    return Case("case", volumes, Grid(affine, inside.shape[::-1]))


def test_ventricles_and_wide_sulci_are_no_cavity():
    assert find_cavity(brain(grooves=True)) is None
    assert cavity_warning(brain()) == ""


@pytest.mark.parametrize(
    ("spacing", "mm", "found"), [(2.0, 6, False), (2.0, 11, True), (2.0, 16, True), (1.0, 11, True)]
)
def test_fluid_at_the_surface_is_a_cavity_where_it_is_large(spacing, mm, found):
    case = brain(spacing, spheres=[((10, 20, 58 - mm), mm)])
    cavity = find_cavity(case)
    assert (cavity is not None) is found
    if cavity is not None:
        ml, index = cavity
        assert ml == pytest.approx(4 / 3 * np.pi * mm**3 / 1000, rel=0.4)
        z = (index - (case.grid.shape[0] - 1) / 2) * spacing
        assert z == pytest.approx(10, abs=6)
        assert f"slice {index}" in cavity_warning(case)
        assert "cavity of an operation" in cavity_warning(case)


def test_a_cyst_in_the_depth_opens_to_no_surface():
    assert find_cavity(brain(spheres=[((0, 30, 25), 14)])) is None


@pytest.mark.parametrize("scale", [(1.0, 0.0), (0.001, 0.0), (1.0, -700.0)])
def test_the_unit_of_the_scanner_does_not_matter(scale):
    case = brain(spheres=[((10, 20, 44), 14)])
    gain, offset = scale
    volumes = {m: np.where(case.brain, v * gain + offset, 0) for m, v in case.volumes.items()}
    assert find_cavity(replace(case, volumes=volumes)) == find_cavity(case)


def test_without_t2_or_t1ce_the_other_is_looked_at():
    case = brain(spheres=[((10, 20, 44), 14)])
    for left_out in (Modality.T2, Modality.T1CE):
        volumes = {m: v for m, v in case.volumes.items() if m is not left_out}
        assert cavity_warning(replace(case, volumes=volumes))
    alone = replace(case, volumes={Modality.FLAIR: case.volumes[Modality.FLAIR]})
    assert cavity_warning(alone) == ""


def test_nothing_is_said_of_a_head_with_its_eyes():
    case = brain(spheres=[((10, 20, 44), 14)])
    larger = replace(
        case, grid=Grid(case.grid.affine @ np.diag([2, 2, 2, 1.0]), case.grid.file_shape)
    )
    assert cavity_warning(case)
    assert cavity_warning(larger) == ""


def test_the_warning_is_among_those_of_a_result():
    case = brain(spheres=[((10, 20, 44), 14)])
    assert outside_of_training(case, segmented(case)) == (cavity_warning(case),)
    assert outside_of_training(brain(), segmented(case)) == ()


def test_no_alarm_on_patients_before_treatment(shared_cases):
    from napari_gliocam.io import read_case

    for folder in sorted(shared_cases.iterdir()):
        assert find_cavity(read_case(folder)) is None, folder.name
