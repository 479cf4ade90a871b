"""The session of the dock Train on a viewer without a window."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from napari_gliocam.ui.compare.result import take_result, undo_result
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.train.session import TrainSession

from ...gui.conftest import make_case, make_maps


@pytest.fixture
def session(qapp: Any, tmp_path: Path) -> Generator[TrainSession, None, None]:
    """A session with a segmented case in a viewer without a window."""
    parent = QObject()
    made = TrainSession(ViewerModel(), parent, folder=tmp_path / "bundles")
    opened = OpenCase(make_case())
    made.layers.add_case(opened)
    made.state.current = opened
    opened.segmented = opened.case
    opened.start(make_maps(opened.case))
    made.layers.show_result(opened)
    opened.count()
    yield made
    made.close()


def use_method(session: TrainSession) -> OpenCase:
    """Make another method's maps the result, cut far from the thresholds of the networks."""
    from napari_gliocam.ui.compare.work import Cell

    opened = session.state.current
    assert opened is not None
    everywhere = np.ones(opened.case.grid.shape[0], dtype=bool)
    core = np.full(opened.case.grid.shape, 0.3, dtype=np.float32)
    cell = Cell("Method 4", "core", core, everywhere, everywhere, True, None, {})  # type: ignore[arg-type]
    take_result(opened, [cell], 0.2, session.layers)
    return opened


def test_the_newest_weights_do_not_replace_the_result_of_a_method(session: TrainSession) -> None:
    opened = session.state.current
    assert opened is not None
    own, settings = opened.maps, opened.settings
    use_method(session)
    used = opened.maps
    session._on_segmented(opened, opened.case, make_maps(opened.case, seed=2))
    assert opened.maps is used
    undo_result(opened, session.layers)
    assert opened.maps is own
    assert opened.settings == settings


def test_the_newest_weights_are_shown_with_the_thresholds_of_the_case(
    session: TrainSession,
) -> None:
    opened = session.state.current
    assert opened is not None
    settings, newest = opened.settings, make_maps(opened.case, seed=2)
    session._on_segmented(opened, opened.case, newest)
    assert opened.maps is newest
    assert opened.settings == settings
