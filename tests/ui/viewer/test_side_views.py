"""Views beside the canvas: what they compose, and that they are linked to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_gliocam.case import Modality
from napari_gliocam.ui.model.state import OpenCase, state_of
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.planes import ORDERS, PLANES, Plane, show_plane
from napari_gliocam.ui.viewer.side_views import SideViews, compose

from ...small_case import make_case


@pytest.fixture
def viewer() -> Any:
    """A viewer without a window, with a case in work."""
    made = ViewerModel()
    opened = OpenCase(make_case())
    CaseLayers(made).add_case(opened)
    state_of(made).current = opened
    return made


@pytest.mark.parametrize("plane", PLANES)
def test_slices_are_upright(viewer: Any, plane: Plane) -> None:
    opened = state_of(viewer).current
    across, rows, columns = ORDERS[plane]
    flair = viewer.layers["FLAIR"]
    volume = np.zeros(opened.case.grid.shape, dtype=np.float32)
    index = 3
    at = [0, 0, 0]
    at[across], at[rows], at[columns] = index, 2, 5
    volume[tuple(at)] = 1
    flair.data, flair.contrast_limits = volume, (0, 1)
    picture = compose(CaseLayers(viewer), opened, plane, index)
    assert picture.shape == (opened.case.grid.shape[rows], opened.case.grid.shape[columns], 3)
    (row, column) = np.argwhere(picture[..., 0] > 0)[0]
    expected = picture.shape[0] - 1 - 2 if rows == 0 else 2  # S is up
    assert (row, column) == (expected, 5)


def test_labels_lie_over_the_image_filled_or_as_outline(viewer: Any) -> None:
    opened, layers = state_of(viewer).current, CaseLayers(viewer)
    expert = viewer.layers["expert labels"]
    index = int(np.argmax(np.count_nonzero(expert.data, axis=(1, 2))))
    grey = compose(layers, opened, "axial", index)
    expert.visible = True
    filled = compose(layers, opened, "axial", index)
    inside = expert.data[index] > 0
    np.testing.assert_array_equal((filled != grey).any(axis=-1), inside)
    expert.contour = 1
    outlined = (compose(layers, opened, "axial", index) != grey).any(axis=-1)
    assert 0 < outlined.sum() < inside.sum()
    assert not outlined[~inside].any()


def test_views_follow_the_canvas_and_a_click_moves_it(viewer: Any, qtbot: Any) -> None:
    views = SideViews(viewer, "planes")
    qtbot.addWidget(views)
    views.resize(500, 250)
    views.refresh()
    assert views.shown() == ["coronal", "sagittal"]
    assert views.views[0].marks == {"left": "R", "right": "L", "top": "S", "bottom": "I"}
    assert views.views[1].marks == {"left": "A", "right": "P", "top": "S", "bottom": "I"}
    show_plane(viewer, "sagittal")
    views.refresh()
    assert views.shown() == ["axial", "coronal"]
    grid = state_of(viewer).current.case.grid
    axial = views.views[0]
    axial.pointed.emit(0.999, 0.0)
    here = np.round((np.array(viewer.dims.point) - grid.origin) / grid.spacing)
    assert tuple(here[1:]) == (grid.shape[1] - 1, 0)
    before = axial.picture
    QTest.mouseClick(axial, Qt.MouseButton.LeftButton, pos=QPoint(axial.width() // 2, 5))
    views.views[1].pointed.emit(0.0, 0.5)  # the top of the coronal view is the head
    assert viewer.dims.point[0] == pytest.approx(grid.origin[0] + 19 * grid.spacing[0])
    views.refresh()
    assert not np.array_equal(axial.picture, before)
    views.close_views()


def test_another_modality_beside_the_canvas(viewer: Any, qtbot: Any) -> None:
    views = SideViews(viewer, "modality")
    qtbot.addWidget(views)
    titles = [views.modalities.itemText(i) for i in range(views.modalities.count())]
    assert titles == [m.title for m in Modality]
    assert views.modalities.currentText() == "T1ce", "FLAIR is in the canvas"
    pictures = []
    for index in range(2):
        views.modalities.setCurrentIndex(index)
        views.refresh()
        pictures.append(views.views[0].picture)
    assert not np.array_equal(*pictures)
    viewer.layers.clear()
    state_of(viewer).current = None
    views.refresh()
    assert views.views[0].picture is None
    views.close_views()


def test_state_says_what_is_beside_the_canvas(viewer: Any, qtbot: Any) -> None:
    state = state_of(viewer)
    views = SideViews(viewer, "modality")
    qtbot.addWidget(views)
    assert state.side_views == "modality"
    views.show()
    views.hide()
    assert state.side_views is None
    views.show()
    assert state.side_views == "modality"
    views.undocked()
    assert state.side_views is None
