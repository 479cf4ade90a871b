"""A bar of the sequences' shares: a segment each, its name and number above it."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QBrush, QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_gliocam.case import Modality
from napari_gliocam.colours import MODALITY_COLOURS
from napari_gliocam.wording import percent

#: Share of each sequence, in [-1, 1]; their sizes add up to 1, or all are 0.
Portions = Mapping[Modality, float]

_LETTERS = {Modality.T1: "T1", Modality.T1CE: "T1c", Modality.T2: "T2", Modality.FLAIR: "F"}
_BAR, _SQUARE, _GAP = 6, 7, 4


class ShareBar(QWidget):
    """Draw shares in the order of the sequences; a hatched one speaks against the class.

    Parameters
    ----------
    parent : QWidget, optional
        On a picture, the canvas: the bar is then narrow, has short names and a dark ground,
        and lets the mouse through.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, Portions] = {}
        self._on_picture = parent is not None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, self._on_picture)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.hide()

    def set_rows(self, rows: Mapping[str, Portions]) -> None:
        """Show a bar for each title; none where nothing is shared out."""
        self._rows = {title: one for title, one in rows.items() if any(one.values())}
        self.setVisible(bool(self._rows))
        self.updateGeometry()
        self.update()

    @property
    def words(self) -> list[str]:
        """The text of each bar."""
        return [" ".join((title, *self._labels(one))) for title, one in self._rows.items()]

    def _labels(self, portions: Portions, *, narrow: bool = False) -> list[str]:
        """Return name and number of each segment, the name shortened where there is no room."""
        if self._on_picture:
            return [f"{_LETTERS[m]} {percent(s).removesuffix(' %')}" for m, s in portions.items()]
        return [f"{_LETTERS[m] if narrow else m.title} {percent(s)}" for m, s in portions.items()]

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size as wide as its texts."""
        measure = self.fontMetrics().horizontalAdvance
        widths = [0]
        for title, portions in self._rows.items():
            texts = [measure(label) + self._mark + 2 * _GAP for label in self._labels(portions)]
            own = measure(self._head(title))
            widths.append(max(own, sum(texts)) if self._on_picture else own + sum(texts))
        return QSize(max(widths) + 3 * _GAP, self._height * len(self._rows) + _GAP)

    @property
    def _mark(self) -> int:
        """Room for the square before a name; short names go without."""
        return 0 if self._on_picture else _SQUARE + _GAP

    @property
    def _height(self) -> int:
        return self.fontMetrics().height() * (2 if self._on_picture else 1) + _BAR + _GAP

    def _head(self, title: str) -> str:
        return f"{title}, %" if self._on_picture else title

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw text and bar of each row."""
        painter, metrics = QPainter(self), self.fontMetrics()
        if self._on_picture:
            painter.fillRect(self.rect(), QColor(0, 0, 0, 170))
        ink = QColor("white") if self._on_picture else self.palette().windowText().color()
        top, narrow = _GAP // 2, self.sizeHint().width() > self.width() + 2 * _GAP
        for title, portions in self._rows.items():
            x, base = _GAP, top + metrics.ascent()
            painter.setPen(ink)
            painter.drawText(x, base, self._head(title))
            if self._on_picture:
                base += metrics.height()
            else:
                x += metrics.horizontalAdvance(title) + 2 * _GAP
            for (modality, share), label in zip(
                portions.items(), self._labels(portions, narrow=narrow), strict=True
            ):
                if self._mark:
                    square = QRectF(x, base - _SQUARE - 1, _SQUARE, _SQUARE)
                    _fill(painter, square, {modality: share}, ink)
                painter.drawText(x + self._mark, base, label)
                x += self._mark + metrics.horizontalAdvance(label) + 2 * _GAP
            bar = QRectF(_GAP, base + metrics.descent(), self.width() - 2 * _GAP, _BAR)
            _fill(painter, bar, portions, ink)
            top += self._height


def _fill(painter: QPainter, where: QRectF, portions: Portions, ink: QColor) -> None:
    """Fill a rectangle with a segment for each share, from left to right."""
    whole = sum(map(abs, portions.values())) or 1.0
    x = where.x()
    for modality, share in portions.items():
        part = QRectF(x, where.y(), where.width() * abs(share) / whole, where.height())
        pattern = Qt.BrushStyle.BDiagPattern if share < 0 else Qt.BrushStyle.SolidPattern
        painter.fillRect(part, QBrush(QColor(MODALITY_COLOURS[modality]), pattern))
        x += part.width()
    painter.setPen(ink)
    painter.drawRect(where)
