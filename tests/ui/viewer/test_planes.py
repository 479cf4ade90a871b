"""Marks of the patient's sides, proven against affines; planes upright and never mirrored."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.layer_data import case_data
from napari_gliocam.ui.viewer.planes import (
    ORDERS,
    PLANES,
    Plane,
    keep_upright,
    plane_of,
    show_plane,
)

#: Of each mark, in RAS.
DIRECTIONS = {
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}
#: Every way in which a scanner may store a volume.
AFFINES = [
    np.diag([*signs, 1.0])[:, [*axes, 3]]
    for axes in permutations(range(3))
    for signs in product((-1.0, 1.0), repeat=3)
]


def open_case(affine: NDArray[np.float64]) -> tuple[ViewerModel, Case]:
    grid = Grid(affine, (6, 7, 8))
    volume = np.ones(grid.shape, dtype=np.float32)
    case = Case("case", {Modality.FLAIR: volume}, grid)
    viewer = ViewerModel()
    keep_upright(viewer)
    for data in case_data(OpenCase(case)):
        viewer.add_layer(Layer.create(*data))
    return viewer, case


def on_screen(viewer: ViewerModel, case: Case) -> dict[str, NDArray[np.float64]]:
    """The direction in RAS that each edge of the canvas lies in, by the affine of the file."""
    orientation = viewer.scene.camera.orientation
    found = {}
    for axis, (start, end), ahead in zip(
        viewer.dims.order[-2:],
        (("top", "bottom"), ("left", "right")),
        (orientation[1] == "down", orientation[2] == "right"),
        strict=True,
    ):
        step = np.zeros(3)
        step[axis] = 1
        here, there = (apply_affine(case.grid.canonical_affine, v) for v in (np.zeros(3), step))
        along = np.round(there - here) * (1 if ahead else -1)
        found[end], found[start] = along, -along
    return found


@pytest.mark.parametrize("affine", AFFINES[::5], ids=str)
@pytest.mark.parametrize("plane", PLANES)
def test_marks_are_those_of_the_affine(plane: Plane, affine: NDArray[np.float64]) -> None:
    viewer, case = open_case(affine)
    show_plane(viewer, plane)
    marks = {
        side: viewer.canvas.overlays[f"gliocam_{side}"]
        for side in ("left", "right", "top", "bottom")
    }
    assert all(mark.visible for mark in marks.values())
    for side, direction in on_screen(viewer, case).items():
        np.testing.assert_array_equal(direction, DIRECTIONS[marks[side].text])


def test_planes_are_upright_as_radiologists_read_them() -> None:
    viewer, _ = open_case(np.diag([-1.0, -1.0, 1.0, 1.0]))
    seen = {}
    for plane in PLANES:
        show_plane(viewer, plane)
        seen[plane] = "".join(
            viewer.canvas.overlays[f"gliocam_{side}"].text for side in ("left", "top")
        )
    assert seen == {"axial": "RA", "coronal": "RS", "sagittal": "AS"}


def test_roll_of_napari_goes_round_the_three_planes() -> None:
    viewer, _ = open_case(np.diag([-1.0, -1.0, 1.0, 1.0]))
    seen = []
    for _ in range(4):
        viewer.dims.roll()
        assert tuple(viewer.dims.order) == ORDERS[plane_of(viewer.dims.order)]
        seen.append(plane_of(viewer.dims.order))
    assert seen == ["sagittal", "coronal", "axial", "sagittal"]


@pytest.mark.parametrize("plane", PLANES)
def test_three_dimensions_are_not_mirrored(plane: Plane) -> None:
    viewer, case = open_case(np.diag([-1.0, -1.0, 1.0, 1.0]))
    show_plane(viewer, plane)
    screen = on_screen(viewer, case)
    viewer.dims.ndisplay = 3
    assert not viewer.canvas.overlays["gliocam_left"].visible, "the letters would be wrong there"
    depth, *_ = viewer.scene.camera.orientation
    step = np.zeros(3)
    step[viewer.dims.order[0]] = 1 if depth == "towards" else -1
    towards = case.grid.canonical_affine[:3, :3] @ step
    right, up = screen["right"], screen["top"]
    np.testing.assert_allclose(np.cross(right, up), towards)


def test_viewers_without_a_case_are_left_alone() -> None:
    viewer = ViewerModel()
    keep_upright(viewer)
    viewer.add_image(np.zeros((3, 4, 5)))
    viewer.dims.order = (1, 2, 0)
    assert tuple(viewer.dims.order) == (1, 2, 0)
    assert "gliocam_left" not in viewer.canvas.overlays
