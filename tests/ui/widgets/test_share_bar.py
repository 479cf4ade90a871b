"""The bar of the sequences' shares, built alone."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_gliocam.case import Modality
from napari_gliocam.colours import MODALITY_COLOURS
from napari_gliocam.ui.widgets.share_bar import ShareBar

SHARES = {Modality.T1CE: -0.25, Modality.T2: 0.05, Modality.FLAIR: 0.7}


def colours(bar: ShareBar) -> list[str]:
    """The colours along the lowest bar, from left to right."""
    image = bar.grab().toImage()
    row = image.height() - 9
    return [image.pixelColor(x, row).name().upper() for x in range(8, image.width() - 8)]


@pytest.mark.parametrize("on_picture", [False, True])
def test_segments_are_as_wide_as_their_shares(qtbot: Any, on_picture: bool) -> None:
    ground = QWidget()
    qtbot.addWidget(ground)
    bar = ShareBar(ground if on_picture else None)
    qtbot.addWidget(bar)
    bar.set_rows({"core": SHARES})
    bar.resize(208, bar.sizeHint().height())
    seen = colours(bar)
    for modality in (Modality.T2, Modality.FLAIR):
        part = seen.count(MODALITY_COLOURS[modality]) / len(seen)
        assert part == pytest.approx(SHARES[modality], abs=0.03)
    hatched = seen[: len(seen) // 5]
    assert len(set(hatched)) > 1, "it speaks against the class"
    assert seen.index(MODALITY_COLOURS[Modality.T2]) < seen.index(MODALITY_COLOURS[Modality.FLAIR])


def test_every_segment_has_its_name_and_number(qtbot: Any) -> None:
    bar = ShareBar()
    qtbot.addWidget(bar)
    assert bar.isHidden()
    bar.set_rows({"core": SHARES, "edema": dict.fromkeys(SHARES, 0.0)})
    assert bar.words == ["core T1ce −25 % T2 5 % FLAIR 70 %"], "nothing is shared out of edema"
    ground = QWidget()
    qtbot.addWidget(ground)
    letters = ShareBar(ground)
    letters.set_rows({"class": SHARES})
    assert letters.words == ["class T1c −25 T2 5 F 70"]
    assert letters.sizeHint().width() < bar.sizeHint().width()
    bar.set_rows({})
    assert bar.isHidden()
