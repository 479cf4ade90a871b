"""Contrast by dragging with the right button, alone or in all cases."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
from napari.components import ViewerModel

from napari_gliocam.case import Modality
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.contrast import RIGHT, ContrastDrag
from napari_gliocam.ui.viewer.layer_data import WINDOW_KEY
from napari_gliocam.ui.viewer.layers import CaseLayers

from ...small_case import make_case


@pytest.fixture
def two() -> Generator[Any, None, None]:
    """Two cases, the second with grey values of another scanner; the first is in work."""
    viewer, state = ViewerModel(), State()
    layers = CaseLayers(viewer)
    cases = [make_case("one"), make_case("two", seed=1)]
    for volume in cases[1].volumes.values():
        volume *= 7
    opened = [OpenCase(case) for case in cases]
    for one in opened:
        layers.add_case(one)
    state.open_cases, state.current = tuple(opened), opened[0]
    contrast = ContrastDrag(state, layers)
    yield SimpleNamespace(viewer=viewer, state=state, layers=layers, opened=opened, of=contrast)
    contrast.close()


def drag(two: Any, right: float, down: float, button: int = RIGHT) -> None:
    """Press, move and release."""
    event = SimpleNamespace(type="mouse_press", button=button, modifiers=(), pos=(100, 100))
    steps = two.of.drag(two.viewer, event)
    if next(steps, "ended") == "ended":
        return
    event.type = "mouse_move"
    for part in (0.5, 1.0):
        event.pos = (100 + right * part, 100 + down * part)
        next(steps)
        assert not two.viewer.scene.camera.mouse_pan, "napari would zoom"
    event.type = "mouse_release"
    next(steps, None)
    assert two.viewer.scene.camera.mouse_pan


def width_and_level(layer: Any) -> tuple[float, float]:
    low, high = layer.contrast_limits
    return high - low, (high + low) / 2


def test_dragging_changes_width_and_level_of_the_image_in_view(two: Any) -> None:
    flair = two.layers.find(two.opened[0], "modality", Modality.FLAIR)
    t2 = two.layers.find(two.opened[0], "modality", Modality.T2)
    before, untouched = width_and_level(flair), t2.contrast_limits
    drag(two, right=100, down=0)
    wider = width_and_level(flair)
    assert wider[0] > 1.2 * before[0]
    assert wider[1] == pytest.approx(before[1])
    drag(two, right=0, down=50)
    assert width_and_level(flair)[1] > wider[1], "darker"
    drag(two, right=-5000, down=0)
    assert width_and_level(flair)[0] > 0
    assert t2.contrast_limits == untouched


@pytest.mark.parametrize("button", [1, 3])
def test_other_buttons_are_those_of_napari(two: Any, button: int) -> None:
    flair = two.layers.find(two.opened[0], "modality", Modality.FLAIR)
    before = flair.contrast_limits
    drag(two, 100, 100, button)
    assert flair.contrast_limits == before


def test_one_contrast_for_the_same_modality_of_all_cases(two: Any) -> None:
    flairs = [two.layers.find(one, "modality", Modality.FLAIR) for one in two.opened]
    second = flairs[1].contrast_limits
    drag(two, 100, 30)
    assert flairs[1].contrast_limits == second, "off by default"
    two.state.one_contrast = True

    def shares(layer: Any) -> list[float]:
        low, high = layer.metadata[WINDOW_KEY]
        return [(limit - low) / (high - low) for limit in layer.contrast_limits]

    assert shares(flairs[1]) == pytest.approx(shares(flairs[0])), "from the moment it is chosen"
    assert flairs[1].contrast_limits != flairs[0].contrast_limits
    drag(two, -60, 10)
    assert shares(flairs[1]) == pytest.approx(shares(flairs[0]))
    flairs[1].contrast_limits = second  # by napari's own slider
    assert shares(flairs[1]) == pytest.approx(shares(flairs[0]))
    two.of.close()
    flairs[0].contrast_limits = (1.0, 2.0)
    assert flairs[1].contrast_limits == second
    two.of = ContrastDrag(two.state, two.layers)
