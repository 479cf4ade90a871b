"""The choices of a training, the summary before it starts, Start.  Viewer-agnostic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLineEdit, QSizePolicy, QWidget

from napari_gliocam.nets.segmenters.design import Architecture
from napari_gliocam.progress import Progress
from napari_gliocam.train.recipe.choice import (
    PAPERS,
    STAGES,
    WHAT,
    TrainingChoice,
    What,
    recipe_of_choice,
    usual_stages,
)
from napari_gliocam.train.recipe.segmenter import read_segmenter_recipe
from napari_gliocam.ui.train.session import Choices
from napari_gliocam.ui.train.work import Summary
from napari_gliocam.ui.widgets.forms import Form
from napari_gliocam.ui.widgets.pieces import (
    SPACING,
    Choice,
    Elided,
    Section,
    check_box,
    in_column,
    in_row,
    labelled,
    plain_label,
    push_button,
    tooltip,
)
from napari_gliocam.ui.widgets.run_button import RunButton
from napari_gliocam.wording import duration

#: Fields of `TrainingChoice` in the form, and those that a segmentation network has, too.
_BOTH = ("epochs", "batch", "rate")
_FORM = (*_BOTH, "min_pixels", "weight_class", "weight_separate", "weight_agree")

#: Last entry of what can be trained.
SEGMENTER = "Segmentation network, from masks"
#: Titles of the networks.
NETWORKS: dict[Architecture, str] = {
    "small-unet": "Small U-Net, 1.9 million weights",
    "mixed-unet": "Mixed-UNet, 10 million (paper 3)",
    "unet": "U-Net, 31 million",
    "fcn": "FCN on VGG-16, 19 million",
    "deeplabv3": "DeepLabV3 on ResNet-50, 40 million",
}


class TrainChoiceView(Section):
    """Offer the choices of a training; emit requests to check, start and resume."""

    check_requested = Signal()
    cancel_requested = Signal()
    start_requested = Signal()
    resume_requested = Signal()
    device_requested = Signal(str)
    masks_requested = Signal()
    mask_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Train")
        self.what = Choice("The part that is trained; everything else stays as it is")
        self.what.fill([*WHAT.values(), SEGMENTER], 0)
        self.what.currentIndexChanged.connect(self._on_what)
        self.name = QLineEdit("my-bundle")
        self.name.setToolTip("Name of the new bundle")
        self.name.textChanged.connect(self._changed)
        self.devices = Choice("Device to train on")
        self.devices.activated.connect(self._on_device)
        self._device_names = ["auto"]
        self.of_segmenter = self._of_segmenter()
        self.advanced = self._advanced()
        self.advanced.hide()
        self.advanced_button = push_button(
            "Advanced",
            self.advanced.setVisible,
            "Show or hide stages, epochs, batch, rate, weights, privacy",
            checkable=True,
        )
        # case names come from files
        self.summary = plain_label(
            "Check counts cases and slices and estimates the time.", wrap=True
        )
        self.summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.check = RunButton(
            "Check", "Count cases and slices and time a few steps; nothing is trained", counted=""
        )
        self.check.requested.connect(self.check_requested)
        self.check.cancel_requested.connect(self.cancel_requested)
        self.start_button = push_button(
            "Start", self.start_requested, "Train in a process of its own; Check comes first"
        )
        font = self.start_button.font()
        font.setBold(True)
        self.start_button.setFont(font)
        self.resume_button = push_button("Resume", self.resume_requested)
        self.add(
            in_column(
                labelled("Train", self.what),
                labelled("Name", self.name, self.advanced_button),
                labelled("Device", self.devices),
            ),
            self.of_segmenter,
            self.advanced,
            self.summary,
            in_row(self.check, self.start_button, self.resume_button),
        )
        self._checked = False
        self._running = False
        self._on_what()
        self.set_resumable(None)

    def _of_segmenter(self) -> QWidget:
        """Return the rows that a segmentation network has alone."""
        self.network = Choice("Large ones need a GPU")
        self.network.fill(list(NETWORKS.values()), 0)
        self.network.currentIndexChanged.connect(self._changed)
        self.masks = Elided()
        self.masks_button = push_button(
            "Folder…",
            self.masks_requested,
            "Learn from these results of Segment instead, strokes by hand included; masks that are "
            "missing are made by Check. Outlines of experts are refused",
        )
        self.mask_button = push_button(
            "Show",
            self.mask_requested,
            "Show the mask of the case in view as labels, made now if it is missing",
        )
        self.agreement = check_box(
            "Leave out slices where two masks disagree",
            "Check makes second masks by a dense CRF, which teach beside the first; a slice where "
            "the two have a Dice below 0.6 takes no part",
        )
        self.agreement.toggled.connect(self._changed)
        self._masks: Path | None = None
        self.set_masks(None)
        return in_column(
            labelled("Network", self.network),
            labelled("Masks", self.masks, self.masks_button, self.mask_button),
            self.agreement,
        )

    def set_masks(self, folder: Path | None) -> None:
        """Show the folder of masks; None: those that Check makes."""
        self._masks = folder
        text, more = "Made by Check", "With the bundle in use, corrected by the slice labels"
        if folder is not None:
            text, more = folder.name, str(folder)
        self.masks.set_text(text, more)
        self._changed()

    def _advanced(self) -> QWidget:
        boxes = QWidget()
        grid = QGridLayout(boxes)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        self.stages = {key: check_box(title) for key, title in STAGES.items()}
        for place, box in enumerate(self.stages.values()):
            box.toggled.connect(self._changed)
            grid.addWidget(box, place // 2, place % 2)
        self.recipe = Choice("Settings of new networks: those that made the bundles, or a paper's")
        self.recipe.fill(["Default", *PAPERS.values()], 0)
        self.recipe.currentIndexChanged.connect(self._on_what)
        self.recipe_row = labelled("Recipe", self.recipe)
        self.form = Form(
            _recipe_values("finetune"), only=_FORM, titles={"min_pixels": "Mask pixels"}
        )
        self.form.changed.connect(self._changed)
        self.case_names = check_box(
            "Keep names and pictures of cases in the bundle",
            "Without it a bundle that is passed on shows no patient: no names in its tables and no "
            "pictures",
            checked=True,
        )
        return in_column(boxes, self.recipe_row, self.form, self.case_names)

    def choices(self) -> Choices:
        """Return what is chosen."""
        stages = frozenset(key for key, box in self.stages.items() if box.isChecked())
        training = replace(self.form.value(), what=self._what, stages=stages)
        name = self.name.text().strip()
        network = list(NETWORKS)[self.network.currentIndex()] if self._segments else None
        return Choices(
            training,
            name,
            self.case_names.isChecked(),
            network,
            self._masks,
            self.agreement.isChecked(),
        )

    @property
    def _segments(self) -> bool:
        return self.what.currentIndex() == len(WHAT)

    @property
    def _what(self) -> What:
        what = "finetune" if self._segments else list(WHAT)[self.what.currentIndex()]
        paper = self.recipe.currentIndex() - 1
        return list(PAPERS)[paper] if what == "default" and paper >= 0 else what

    def set_devices(self, names: list[str], titles: list[str], current: str) -> None:
        """Offer what this computer has."""
        self._device_names = names
        self.devices.fill(titles, names.index(current) if current in names else 0)

    def set_checking(self, progress: Progress | None) -> None:
        """Show the progress of the check; None while nothing runs."""
        self.check.set_progress(progress)
        self._enable()

    def set_summary(self, summary: Summary) -> None:
        """Show the summary of a training."""
        time = duration(summary.seconds)
        lines = [summary.words, f"About {time} of steps on {summary.device}.", *summary.concerns]
        self.summary.setText("\n".join(lines))
        self._checked = True
        self._enable()

    def set_running(self, running: bool) -> None:
        """Start no other training while one runs."""
        self._running = running
        self._enable()

    def set_resumable(self, name: str | None) -> None:
        """Offer to go on with a training that was broken off; None for none."""
        self.resume_button.setVisible(name is not None)
        self.resume_button.setToolTip(tooltip(f"Go on with {name} where it was broken off"))

    def _on_what(self) -> None:
        """Show the values of the recipe."""
        usual = usual_stages(self._what)
        for key, box in self.stages.items():
            box.setChecked(key in usual)
            box.setVisible(not self._segments)
        self.of_segmenter.setVisible(self._segments)
        scratch = not self._segments and list(WHAT)[self.what.currentIndex()] == "default"
        self.recipe_row.setVisible(scratch)
        values = _recipe_values(self._what)
        if self._segments:
            fit = read_segmenter_recipe().fit
            values = replace(values, epochs=fit.epochs, batch=fit.batch, rate=fit.rate)
        self.form.set_active(_BOTH if self._segments else _FORM)
        self.form.set_value(values)
        self._changed()

    def _on_device(self, index: int) -> None:
        self.device_requested.emit(self._device_names[index])
        self._changed()

    def _changed(self, value: object = None) -> None:
        """Ask for another check: the choices have changed."""
        self._checked = False
        if hasattr(self, "start_button"):
            self._enable()

    def forget_check(self) -> None:
        """Ask for another check: the labels have changed."""
        self._changed()

    def _enable(self) -> None:
        idle = not self._running and self.check.currentIndex() == 0
        self.check.set_ready(idle)
        self.start_button.setEnabled(idle and self._checked and bool(self.name.text().strip()))
        self.resume_button.setEnabled(idle)


def _recipe_values(what: What) -> TrainingChoice:
    """Return the choice that states the values of a recipe."""
    recipe = recipe_of_choice(TrainingChoice(what))
    if what in PAPERS:  # whose stages have epochs and batches of their own
        return TrainingChoice(what, min_pixels=recipe.data.min_pixels)
    learned = recipe.classifier.tumour.fit
    first = learned if learned.epochs else recipe.aggregate.classes.fit
    return TrainingChoice(
        what,
        epochs=first.epochs,
        batch=first.batch,
        rate=learned.rate,
        min_pixels=recipe.data.min_pixels,
    )
