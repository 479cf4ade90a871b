"""Agreement with other labels in a viewer: TP, FP and FN in colours, figures of each class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from psygnal import Signal

from napari_gliocam.case import ExpertLabels
from napari_gliocam.measure.scores.confusion import confusion
from napari_gliocam.targets import Target
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.state import Message, OpenCase, State
from napari_gliocam.ui.reading import work as reading_work
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.session import CaseRun


class AgreementRun(CaseRun):
    """Compares the result with an expert's labels, or with labels from a file."""

    compared = Signal(object)
    others_changed = Signal()

    def __init__(self, state: State, layers: CaseLayers, jobs: Jobs) -> None:
        super().__init__(state, layers, jobs)
        self._opened: OpenCase | None = None
        self._result: Segmentation | None = None
        self.others: list[ExpertLabels] = []
        self.index = 0
        self.target: Target = "tumour"

    @property
    def other(self) -> ExpertLabels | None:
        """The reference: labels that the result is compared with."""
        return self.others[self.index] if self.index < len(self.others) else None

    def names(self) -> list[str]:
        """Return what each reference is called."""
        own = None if self._opened is None else self._opened.case.expert
        return [
            "expert labels" if other is own or other.source is None else other.source.name
            for other in self.others
        ]

    def follow(self, opened: OpenCase | None) -> None:
        """Work on another case."""
        for name in ("compare", "other"):
            self._jobs.drop(name)
        self._opened, self._result, self.others, self.index = opened, None, [], 0
        self.follow_expert()
        self.compared.emit({})

    def follow_expert(self) -> None:
        """Take the expert labels anew: they came, went, or are read by another scheme."""
        expert = None if self._opened is None else self._opened.case.expert
        if expert is not None and expert not in self.others:
            self.others = [expert, *self.others[1:]]
        self.others_changed.emit()

    def choose(self, index: int) -> None:
        """Compare with other labels."""
        self.index = index
        self.compare(self._result)

    def set_target(self, target: Target) -> None:
        """Show TP, FP and FN of another class."""
        self.target = target
        self.draw()

    def open(self, path: str | Path) -> Job | None:
        """Read labels to compare with."""
        opened = self._opened
        if opened is None:
            return None
        case = opened.case
        self._state.say(f"Reading {Path(path).name}…")
        return self._jobs.run(
            "other",
            lambda: reading_work.read_other(path, case),
            partial(self._on_opened, opened),
        )

    def _on_opened(self, opened: OpenCase, read: tuple[ExpertLabels, str]) -> None:
        if opened is self._opened:
            labels, doubt = read
            self._state.message = Message(doubt, "warning") if doubt else None
            self.others.append(labels)
            self.index = len(self.others) - 1
            self.others_changed.emit()
            self.compare(self._result)

    def compare(self, result: Segmentation | None) -> None:
        """Compare a result, in colours at once and in figures when they are there."""
        self._result = result
        self.draw()
        if result is None or self.other is None:
            self.compared.emit({})
            return
        labels = self.other.labels
        self._jobs.run(
            "compare",
            lambda: reading_work.comparing(result, labels),
            lambda made: self.compared.emit(made),
        )

    def show(self, shown: bool) -> None:
        """Show or hide true positives, false positives and false negatives."""
        if self._opened is None or self._opened.result is None:
            return
        if shown:
            self._layers.add_drawing(self._opened, "agreement")
            self.draw()
        else:
            self._layers.remove_drawing(self._opened, "agreement")

    def draw(self) -> None:
        """Draw TP, FP and FN of the class."""
        opened, other = self._opened, self.other
        layer = None if opened is None else self._layers.drawing(opened, "agreement")
        result = None if opened is None else opened.result
        if result is not None and layer is not None and other is not None:
            confusion(result.segmentation.labels, other.labels, self.target, out=layer.data)
            layer.refresh(highlight=False, extent=False)
