"""What is trained, the summary before it starts, Start.  Viewer-agnostic."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.progress import Progress
from napari_gliocam.train.recipe.choice import (
    STAGES,
    WHAT,
    TrainingChoice,
    recipe_of_choice,
    usual_stages,
)
from napari_gliocam.train.recipe.toml_file import read_recipe
from napari_gliocam.ui.train.session import Choices
from napari_gliocam.ui.train.work import Summary
from napari_gliocam.ui.widgets.pieces import SPACING, Choice, Section, row_label
from napari_gliocam.ui.widgets.run_button import RunButton

_WEIGHTS = {
    "class": "Fore- and background of a class differ (L_c)",
    "separate": "Core and edema differ (L_sep)",
    "agree": "Both together agree with the tumour (L_agree)",
}


class TrainChoiceView(QWidget):
    """Emits when to check and when to start; what is chosen is read from it."""

    check_requested = Signal()
    cancel_requested = Signal()
    start_requested = Signal()
    resume_requested = Signal()
    device_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        section = Section("Train")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)
        self.what = Choice("What is learned; everything else stays as it is")
        self.what.fill(list(WHAT.values()), 0)
        self.what.currentIndexChanged.connect(self._on_what)
        self.name = QLineEdit("my-bundle")
        self.name.setToolTip("What the new bundle is called")
        self.name.textChanged.connect(self._changed)
        self.devices = Choice("The processor that trains")
        self.devices.activated.connect(self._on_device)
        self._device_names = ["auto"]
        self.advanced_button = QPushButton("Advanced")
        self.advanced_button.setCheckable(True)
        self.advanced_button.setToolTip("Show or hide stages, epochs, batch, rate, weights")
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        grid.addWidget(row_label("Train"), 0, 0)
        grid.addWidget(self.what, 0, 1)
        grid.addWidget(self.advanced_button, 0, 2)
        grid.addWidget(row_label("Name"), 1, 0)
        grid.addWidget(self.name, 1, 1, 1, 2)
        grid.addWidget(row_label("Device"), 2, 0)
        grid.addWidget(self.devices, 2, 1, 1, 2)
        grid.setColumnStretch(1, 1)
        section.body.addLayout(grid)
        self.advanced = self._advanced()
        self.advanced.hide()
        self.advanced_button.toggled.connect(self.advanced.setVisible)
        section.body.addWidget(self.advanced)

        self.summary = QLabel("Check says what there is to learn from, and how long it takes.")
        self.summary.setWordWrap(True)
        self.summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        section.body.addWidget(self.summary)
        self.check = RunButton("Check", "Count cases and slices, time a few steps; trains nothing")
        self.check.requested.connect(self.check_requested)
        self.check.cancel_requested.connect(self.cancel_requested)
        self.start_button = QPushButton("Start")
        self.start_button.setToolTip("Train in a process of its own; first check what there is")
        font = self.start_button.font()
        font.setBold(True)
        self.start_button.setFont(font)
        self.start_button.clicked.connect(self.start_requested)
        self.resume_button = QPushButton("Resume")
        self.resume_button.clicked.connect(self.resume_requested)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.check, 2)
        row.addWidget(self.start_button, 1)
        row.addWidget(self.resume_button, 1)
        section.body.addLayout(row)
        self._checked = False
        self._running = False
        self._on_what()
        self.set_resumable(None)

    def _advanced(self) -> QWidget:
        widget = QWidget()
        grid = QGridLayout(widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        self.stages = {key: QCheckBox(title) for key, title in STAGES.items()}
        for place, box in enumerate(self.stages.values()):
            box.toggled.connect(self._changed)
            grid.addWidget(box, place // 2, 2 * (place % 2), 1, 2)
        self.epochs = _whole(1, 1000, "Times that every slice is seen, in each stage")
        self.batch = _whole(1, 4096, "Slices a step")
        self.rate = QDoubleSpinBox()
        self.rate.setDecimals(6)
        self.rate.setRange(1e-6, 1.0)
        self.rate.setSingleStep(1e-4)
        self.rate.setToolTip("Learning rate of the classifiers")
        self.pixels = _whole(1, 10_000, "From masks: a class shows from so many pixels on")
        self.weights = {}
        rows = (
            ("Epochs", self.epochs),
            ("Batch", self.batch),
            ("Rate", self.rate),
            ("Mask pixels", self.pixels),
        )
        for line, (title, box) in enumerate(rows, start=2):
            box.valueChanged.connect(self._changed)
            grid.addWidget(QLabel(title), line, 0)
            grid.addWidget(box, line, 1)
        for line, (name, tip) in enumerate(_WEIGHTS.items(), start=2):
            box = QDoubleSpinBox()
            box.setRange(0.0, 100.0)
            box.setToolTip(f"Weight of a loss: {tip}")
            box.valueChanged.connect(self._changed)
            self.weights[name] = box
            grid.addWidget(QLabel(f"Weight, {name}"), line, 2)
            grid.addWidget(box, line, 3)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        return widget

    def choices(self) -> Choices:
        """What is chosen."""
        training = TrainingChoice(
            what=list(WHAT)[self.what.currentIndex()],
            stages=frozenset(key for key, box in self.stages.items() if box.isChecked()),
            epochs=self.epochs.value(),
            batch=self.batch.value(),
            rate=self.rate.value(),
            weights=tuple(box.value() for box in self.weights.values()),
            min_pixels=self.pixels.value(),
        )
        return Choices(training, self.name.text().strip())

    def set_devices(self, names: list[str], titles: list[str], current: str) -> None:
        """Offer what this computer has."""
        self._device_names = names
        self.devices.fill(titles, names.index(current) if current in names else 0)

    def set_checking(self, progress: Progress | None) -> None:
        """Show how far the check is; None: nothing runs."""
        if (progress is not None) != (self.check.currentIndex() == 1):
            self.check.set_running(progress is not None)
        if progress is not None:
            self.check.set_progress(progress)
            counts = f": {progress.done} of {progress.total}" if progress.total > 1 else ""
            self.check.stage.set_text(progress.what[:1].upper() + progress.what[1:] + counts)
        self._enable()

    def set_summary(self, summary: Summary) -> None:
        """Show what a training would be given."""
        minutes = summary.seconds / 60
        time = f"{minutes:.0f} min" if minutes >= 1.5 else f"{max(1, round(summary.seconds))} s"
        lines = [summary.words, f"About {time} of steps on {summary.device}.", *summary.concerns]
        self.summary.setText("\n".join(lines))
        self._checked = True
        self._enable()

    def set_running(self, running: bool) -> None:
        """While a training runs no other is started."""
        self._running = running
        self._enable()

    def set_resumable(self, name: str | None) -> None:
        """Whether a training was broken off."""
        self.resume_button.setVisible(name is not None)
        self.resume_button.setToolTip(f"Go on with {name} where it was broken off")

    def _on_what(self) -> None:
        """Show what the recipe says."""
        what = list(WHAT)[self.what.currentIndex()]
        recipe = recipe_of_choice(TrainingChoice(what))
        usual = usual_stages(what)
        for key, box in self.stages.items():
            box.setChecked(key in usual)
        learned = recipe.classifier.tumour.fit
        first = learned if learned.epochs else recipe.aggregate.classes.fit
        self.epochs.setValue(first.epochs)
        self.batch.setValue(first.batch)
        self.rate.setValue(learned.rate)
        self.pixels.setValue(read_recipe("finetune").data.min_pixels)
        for box, value in zip(self.weights.values(), TrainingChoice().weights, strict=True):
            box.setValue(value)
        self._changed()

    def _on_device(self, index: int) -> None:
        self.device_requested.emit(self._device_names[index])
        self._changed()

    def _changed(self, value: object = None) -> None:
        """What was checked is no longer what would be trained."""
        self._checked = False
        if hasattr(self, "start_button"):
            self._enable()

    def forget_check(self) -> None:
        """The labels changed."""
        self._changed()

    def _enable(self) -> None:
        idle = not self._running and self.check.currentIndex() == 0
        self.check.set_ready(idle)
        self.start_button.setEnabled(idle and self._checked and bool(self.name.text().strip()))
        self.resume_button.setEnabled(idle)


def _whole(low: int, high: int, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setToolTip(tip)
    return box
