"""One preparation in a viewer: from the series that were chosen to a case, and its checks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial

import numpy as np
from napari.layers import Layer
from psygnal import Signal

from napari_gliocam.case import Modality
from napari_gliocam.prepare import Steps
from napari_gliocam.prepare.resample import resample
from napari_gliocam.progress import Progress
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer import layer_data
from napari_gliocam.ui.viewer.session import CaseRun


class PrepareRun(CaseRun):
    """Prepares one examination at a time; a failure or Cancel leaves the layers as they are."""

    #: `Progress`; None at the end.
    progressed = Signal(object)
    #: The case, and its layers, which are to be added.
    prepared = Signal(OpenCase, list)

    def choose(self, modality: Modality, index: int) -> None:
        """Take another series for a modality.

        Parameters
        ----------
        modality : Modality
            Which one.
        index : int
            Of the series in the examination; -1 for none.
        """
        found = self._state.examination
        if found is not None:
            series = found.series[index] if index >= 0 else None
            self._state.examination = found.choosing(modality, series)

    def start(self, steps: Steps) -> Job | None:
        """Prepare the examination that was found; None where one is being prepared."""
        examination = self._state.examination
        if examination is None or self._jobs.running("prepare"):
            return None
        before = next(
            (o for o in self._state.open_cases if o.to_prepare and o.case.name == examination.name),
            None,
        )

        def preparing() -> Generator[Progress, None, tuple[OpenCase, list[Layer]]]:
            case = yield from work.prepare(examination, steps)
            if before is not None and (expert := before.case.expert) is not None:
                # The series were on one grid, that of the reference, which never moves.
                moved = resample(
                    expert.labels.astype(np.float32), before.case.grid, case.grid, order=0
                )
                case = replace(case, expert=replace(expert, labels=moved.astype(np.uint8)))
            opened = OpenCase(case)
            return opened, layer_data.make_layers(layer_data.case_data(opened))

        job = self._jobs.run(
            "prepare",
            preparing,
            partial(self._on_prepared, before),
            torch=True,
            shown=lambda progress: self.progressed.emit(progress),
            cancelled=lambda: self._state.say("Prepare was cancelled; nothing changed."),
            task="An examination is being prepared",
        )
        self._state.message = None
        return job

    def show_checkerboard(self, opened: OpenCase, other: Modality | None) -> None:
        """Show squares of the reference and another modality in turn.

        Parameters
        ----------
        opened : OpenCase
            A prepared case.
        other : Modality or None
            None to remove the squares.
        """
        data = []
        if other is not None:
            data = [layer_data.checkerboard_data(opened, next(iter(compared(opened))), other)]
        self._layers.show_check(opened, data)

    def show_head(self, opened: OpenCase, shown: bool) -> None:
        """Show the head with its skull and the border of the brain, or hide them."""
        self._layers.show_check(opened, layer_data.head_data(opened) if shown else [])

    def _on_prepared(self, before: OpenCase | None, found: tuple[OpenCase, list[Layer]]) -> None:
        opened, made = found
        self._state.examination = None
        if before is not None and before in self._state.open_cases and not before.unsaved_strokes:
            self._layers.close_case(before)
        self.prepared.emit(opened, made)
        warnings = opened.case.warnings
        said = " ".join(("The case is prepared; check it, then click Segment.", *warnings))
        self._state.say(said, "warning" if warnings else "info")


def compared(opened: OpenCase) -> tuple[Modality, ...]:
    """Return the modalities of a prepared case, the one that others were aligned to first."""
    assert opened.case.preparation is not None
    originals = opened.case.preparation.originals
    return tuple(modality for modality in originals if modality in opened.case.volumes)
