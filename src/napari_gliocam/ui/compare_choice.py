"""What to compare: methods, classes, layer, slices; Run, progress, Cancel.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.cams.volume import TARGETS, Target
from napari_gliocam.case import Modality
from napari_gliocam.progress import Progress
from napari_gliocam.ui.compare_work import MethodInfo, Request
from napari_gliocam.ui.palette import TARGET_COLOURS
from napari_gliocam.ui.widgets import SPACING, Choice, Elided, Section, row_label, swatch

SCOPES = ("This slice", "Slices with lesion", "Whole case")
_CHOSEN = ("gradcam", "layercam")


class ChoiceView(QWidget):
    """Emits what is to be compared."""

    run_requested = Signal()
    cancel_requested = Signal()
    modality_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        section = Section("Compare")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)

        self.methods = QListWidget()
        self.methods.setToolTip("Each method you tick gets a picture in the grid")
        self.methods.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.methods.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.methods.setSpacing(1)
        self.methods.setFixedHeight(190)
        section.body.addWidget(self.methods)

        self.classes: dict[Target, QCheckBox] = {}
        boxes = QHBoxLayout()
        boxes.setSpacing(SPACING * 2)
        for target in TARGETS:
            box = QCheckBox(target.capitalize())
            box.setIcon(swatch(TARGET_COLOURS[target]))
            box.setChecked(target == "core")
            self.classes[target] = box
            boxes.addWidget(box)
        boxes.addStretch(1)
        self.layer = Choice("Residual stage whose output is explained, and its exit")
        self.layer.fill([f"{n}" for n in range(1, 5)], 3)
        self.scope = Choice("Which slices get a map")
        self.scope.fill(list(SCOPES), 0)
        self.modality = Choice("What lies under the maps")
        self.modality.fill(["Automatic", *(m.title for m in Modality)], 0)
        self.modality.setToolTip("Automatic: T1ce under core, FLAIR under edema and tumour")
        self.modality.activated.connect(self._on_modality)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(SPACING // 2)
        grid.addWidget(row_label("Classes"), 0, 0)
        grid.addLayout(boxes, 0, 1, 1, 3)
        grid.addWidget(row_label("Slices"), 1, 0)
        grid.addWidget(self.scope, 1, 1)
        grid.addWidget(QLabel("Layer"), 1, 2)
        grid.addWidget(self.layer, 1, 3)
        grid.addWidget(row_label("Over"), 2, 0)
        grid.addWidget(self.modality, 2, 1, 1, 3)
        grid.setColumnStretch(1, 2)
        grid.setColumnStretch(3, 1)
        self.layer.setMinimumContentsLength(2)
        section.body.addLayout(grid)

        self.run_button = QPushButton("Run")
        self.run_button.setToolTip("Make the maps of the methods ticked above")
        self.run_button.setMinimumHeight(30)
        self.run_button.clicked.connect(self.run_requested)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stage = Elided()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; what is done by then is shown")
        self.cancel_button.clicked.connect(self._on_cancel)
        running = QWidget()
        row = QHBoxLayout(running)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(self.stage)
        column.addWidget(self.bar)
        row.addLayout(column, 1)
        row.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.run_button)
        self.stack.addWidget(running)
        self.stack.setFixedHeight(34)
        section.body.addWidget(self.stack)
        self.set_ready(False)

    def set_methods(self, methods: Sequence[MethodInfo]) -> None:
        """Offer these methods."""
        self.methods.clear()
        for method in methods:
            item = QListWidgetItem(method.title)
            item.setData(Qt.ItemDataRole.UserRole, method.name)
            item.setToolTip(method.tip + (" Slow: seconds a slice." if method.slow else ""))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            chosen = method.name in _CHOSEN
            item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)
            self.methods.addItem(item)

    def set_modalities(self, present: Sequence[Modality]) -> None:
        """Offer what the case has."""
        model = self.modality.model()
        for index, modality in enumerate(Modality, start=1):
            model.item(index).setEnabled(modality in present)

    def choose(self, *names: str) -> None:
        """Tick these methods and no other."""
        for item in self._items():
            chosen = item.data(Qt.ItemDataRole.UserRole) in names
            item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)

    def _items(self) -> list[QListWidgetItem]:
        return [self.methods.item(row) for row in range(self.methods.count())]

    def request(self) -> Request:
        """What is chosen; with the scope "this slice", that of the slice is left open."""
        return Request(
            methods=tuple(
                item.data(Qt.ItemDataRole.UserRole)
                for item in self._items()
                if item.checkState() == Qt.CheckState.Checked
            ),
            targets=tuple(t for t, box in self.classes.items() if box.isChecked()),
            layer=self.layer.currentIndex() + 1,
            scope="case" if self.scope.currentIndex() == 2 else "lesion",
        )

    @property
    def this_slice(self) -> bool:
        """Whether the slice in view is asked for."""
        return self.scope.currentIndex() == 0

    def set_ready(self, ready: bool) -> None:
        """Whether there is a case, and methods to choose from."""
        self.run_button.setEnabled(ready)

    def set_running(self, running: bool) -> None:
        """Show the bar and Cancel instead of Run."""
        self.stack.setCurrentIndex(1 if running else 0)
        self.cancel_button.setEnabled(running)
        self.bar.setRange(0, 0)
        self.stage.set_text("Waiting for the engine" if running else "")

    def set_progress(self, progress: Progress, unit: str, seconds_left: float | None) -> None:
        """Show real counts, such as "ScoreCAM: channel 12 of 512, 8 s left"."""
        self.bar.setRange(0, max(progress.total, 1))
        self.bar.setValue(progress.done)
        words = progress.what[:1].upper() + progress.what[1:]
        if progress.total > 1:
            words += f": {unit} {progress.done} of {progress.total}"
        if seconds_left is not None and seconds_left >= 2 and progress.done < progress.total:
            left = f"{seconds_left:.0f} s" if seconds_left < 120 else f"{seconds_left / 60:.0f} min"
            words += f", {left} left"
        self.stage.set_text(words)

    def _on_cancel(self) -> None:
        self.cancel_button.setEnabled(False)
        self.stage.set_text("Cancelling…")
        self.cancel_requested.emit()

    def _on_modality(self, index: int) -> None:
        self.modality_requested.emit(None if index == 0 else list(Modality)[index - 1])
