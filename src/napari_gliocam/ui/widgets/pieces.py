"""Small pieces that the views are made of: headings, rows, buttons, swatches, one spacing."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel, QLabeledDoubleSlider
from superqt.utils import signals_blocked

if TYPE_CHECKING:
    from qtpy.QtCore import SignalInstance

#: Milliseconds between two updates while a slider is dragged.
FRAME_MS = 33
SPACING = 6
SWATCH = 10
#: Width of the column of labels at the left of every row.
LABEL_WIDTH = 74


class Section(QWidget):
    """A heading with a line, room for widgets at its right, and a body below.

    Parameters
    ----------
    title : str
        The heading.
    tip : str
        Its tooltip.
    """

    def __init__(self, title: str, tip: str = "") -> None:
        super().__init__()
        heading = QLabel(title)
        heading.setToolTip(tooltip(tip))
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        line = QFrame()
        line.setObjectName("QtCustomTitleBarLine")  # napari's theme colours it
        line.setFixedHeight(1)
        self.head = QHBoxLayout()
        self.head.setSpacing(SPACING)
        self.head.addWidget(heading)
        self.head.addWidget(line, 1)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(SPACING)
        self.body.addLayout(self.head)

    def add(self, *widgets: QWidget) -> None:
        """Add widgets below each other to the body."""
        for widget in widgets:
            self.body.addWidget(widget)


class Page(QWidget):
    """The content of a tab: widgets below each other, from the top."""

    def lay_out(self, *widgets: QWidget, spacing: int = SPACING) -> None:
        """Put widgets below each other, ``spacing`` pixels apart; room that is left stays below."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, SPACING, 0, 0)
        layout.setSpacing(spacing)
        for widget in widgets:
            layout.addWidget(widget)
        layout.addStretch(1)


class Choice(QComboBox):
    """A combo box that shrinks with the panel and does not turn under a passing wheel."""

    def __init__(self, tip: str = "") -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(tooltip(tip))

    def wheelEvent(self, event: object) -> None:  # noqa: N802
        """Leave the wheel to the scroll area."""
        event.ignore()  # type: ignore[attr-defined]

    def fill(self, titles: list[str], index: int) -> None:
        """Offer these and choose one; nothing is emitted."""
        with signals_blocked(self):
            self.clear()
            self.addItems(titles)
            self.setCurrentIndex(index)


class Number(QDoubleSpinBox):
    """A threshold from 0 to 1 that can be typed and does not turn under a passing wheel.

    Parameters
    ----------
    tip : str
        The tooltip, as Qt takes it.
    """

    def __init__(self, tip: str) -> None:
        super().__init__()
        self.setRange(0.0, 1.0)
        self.setSingleStep(0.01)
        self.setToolTip(tip)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: object) -> None:  # noqa: N802
        """Leave the wheel to the scroll area."""
        event.ignore()  # type: ignore[attr-defined]


class Column(QScrollArea):
    """A scroll area that is never narrower than what it holds."""

    def __init__(self, body: QWidget) -> None:
        super().__init__()
        self.setWidget(body)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the minimum width of the content, which themes and fonts change."""
        body, bar = self.widget(), self.verticalScrollBar()
        layout = event is not None and event.type() == QEvent.Type.LayoutRequest
        if layout and body is not None and bar is not None:
            needed = body.minimumSizeHint().width() + bar.sizeHint().width()
            if needed > self.minimumWidth():  # never narrower again: the image would jump
                self.setMinimumWidth(needed)
        return bool(super().eventFilter(watched, event))


class Elided(QElidingLabel):
    """One line of plain text that ends in an ellipsis where the panel is narrow."""

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setEllipsesWidth(8)  # with less, the last letter is cut
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_text(self, text: str, more: str = "") -> None:
        """Show this text; all of it, and what more there is to say, is the tooltip."""
        self.setText(text)
        self.setToolTip(tooltip("\n".join(part for part in (text, more) if part)))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a width that every panel has room for."""
        return QSize(40, int(super().minimumSizeHint().height()))


def in_row(*widgets: QWidget, grow: QWidget | None = None, spacing: int = SPACING) -> QWidget:
    """Return widgets beside each other.

    Parameters
    ----------
    *widgets : QWidget
        From left to right.
    grow : QWidget, optional
        The widget that takes the width that is left; all share it equally by default.
    spacing : int
        Pixels between two widgets.
    """
    frame = QWidget()
    layout = QHBoxLayout(frame)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for widget in widgets:
        layout.addWidget(widget, int(grow is None or widget is grow))
    return frame


def in_column(*widgets: QWidget, spacing: int = 2) -> QWidget:
    """Return widgets below each other, ``spacing`` pixels apart."""
    frame = QWidget()
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for widget in widgets:
        layout.addWidget(widget)
    return frame


def labelled(title: str, *widgets: QWidget, tip: str = "") -> QWidget:
    """Return a row of widgets, the first of which grows, behind a label.

    Parameters
    ----------
    title : str
        The label's text.
    *widgets : QWidget
        From left to right.
    tip : str
        Tooltip of the label; that of the first widget by default.
    """
    return in_row(row_label(title, tooltip(tip) or widgets[0].toolTip()), *widgets, grow=widgets[0])


def push_button(
    title: str,
    act: Callable[..., object] | SignalInstance,
    tip: str = "",
    *,
    checkable: bool = False,
) -> QPushButton:
    """Return a button.

    Parameters
    ----------
    title : str
        Text on it.
    act : callable or signal
        Called, or emitted, with each click.
    tip : str
        Its tooltip.
    checkable : bool
        Whether it stays down until the next click.
    """
    made = QPushButton(title)
    made.setToolTip(tooltip(tip))
    made.setCheckable(checkable)
    made.clicked.connect(act)
    return made


def check_box(title: str, tip: str = "", *, checked: bool = False) -> QCheckBox:
    """Return a check box with its tooltip."""
    box = QCheckBox(title)
    box.setToolTip(tooltip(tip))
    box.setChecked(checked)
    return box


def threshold_slider(tip: str = "") -> QLabeledDoubleSlider:
    """Return a slider from 0 to 1 with its value beside it, which can be typed."""
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(0.0, 1.0)
    slider.setSingleStep(0.01)  # type: ignore[arg-type]  # superqt annotates whole numbers
    slider.setDecimals(2)
    slider.setToolTip(tooltip(tip))
    return slider


def tooltip(text: str) -> str:
    """Return a text as a tooltip that Qt wraps and never reads as html, wherever it came from."""
    return (
        "".join(f"<p>{escape(line, quote=False)}</p>" for line in text.split("\n")) if text else ""
    )


def plain_label(text: str = "", *, wrap: bool = False) -> QLabel:
    """Return a label that never reads its text as html, wherever that came from."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(wrap)
    return label


def row_label(text: str, tip: str = "", *, fixed: bool = True) -> QLabel:
    """Return the label at the left of a row, in a column as wide as all of them or as its text.

    Parameters
    ----------
    text : str
        The label's text.
    tip : str
        Its tooltip, as Qt takes it.
    fixed : bool
        Whether it is as wide as the column of all labels.
    """
    label = plain_label(text)
    if fixed:
        label.setFixedWidth(LABEL_WIDTH)
    label.setToolTip(tip)
    return label


def swatch(colour: str) -> QIcon:
    """Make a small square in a class's colour."""
    pixmap = QPixmap(QSize(SWATCH, SWATCH))
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)


def swatch_label(text: str, colour: str | None) -> QWidget:
    """Make a column's heading with its colour."""
    widget = QWidget()
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(SPACING // 2 + 1)
    layout.addStretch(1)
    if colour is not None:
        mark = QLabel()
        mark.setPixmap(swatch(colour).pixmap(SWATCH, SWATCH))
        layout.addWidget(mark)
    layout.addWidget(QLabel(text))
    layout.addStretch(1)
    return widget
