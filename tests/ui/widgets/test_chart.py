"""Charts are drawn in the colours of the theme."""

from __future__ import annotations

from typing import Any

import pytest

from napari_gliocam.ui.compare.trust_view import TrustView
from napari_gliocam.ui.reading.slice_chart import SliceChart
from napari_gliocam.ui.widgets.chart import ChartView


@pytest.mark.parametrize("kind", [SliceChart, TrustView])
def test_axes_follow_the_theme(qtbot: Any, kind: type[ChartView]) -> None:
    view = kind()  # type: ignore[call-arg]
    qtbot.addWidget(view)
    for ink in ("#102030", "#f0e0d0"):
        view.setStyleSheet(f"QWidget {{ color: {ink}; }}")
        assert view.plot.getAxis("left").pen().color().name() == ink
        assert view.plot.getAxis("bottom").textPen().color().name() == ink
