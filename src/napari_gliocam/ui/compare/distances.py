"""Distances of a comparison's maps to the expert's labels, measured while the window lives on."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import mask_of
from napari_gliocam.ui.compare.figures import Figures, Version
from napari_gliocam.ui.compare.work import Key
from napari_gliocam.ui.jobs.jobs import Jobs


class Distances:
    """Measures the distances that are not known, again when thresholds have moved.

    Parameters
    ----------
    jobs : Jobs
        Those of the dock.
    measured : callable
        Called when some figures are known.
    """

    def __init__(self, jobs: Jobs, measured: Callable[[], None]) -> None:
        self._jobs = jobs
        self._measured = measured

    def stop(self) -> None:
        """Drop the work under way."""
        self._jobs.drop("distances")

    def measure(self, figures: Figures) -> None:
        """Measure the distances that these figures lack."""
        self.stop()
        wanted = figures.unknown_distances()
        if not wanted:
            return
        found: list[tuple[Key, Version, float]] = []

        def take(report: object) -> None:
            if found:
                for one in found:
                    figures.set_distance(*one)
                self._measured()

        self._jobs.run(
            "distances",
            lambda: measuring(figures.case, wanted, found),
            name="Measuring",
            shown=take,
        )


def measuring(
    case: Case,
    wanted: list[tuple[Key, ClassMaps, float, Version]],
    into: list[tuple[Key, Version, float]],
) -> Generator[Progress, None, None]:
    """Measure HD95 of maps to the expert's labels, one after the other: key, version, mm.

    A single slice is measured in its plane; several as a volume, in which slices that a map
    makes no statement about are empty.
    """
    from napari_gliocam.measure.scores.surface import hausdorff95

    assert case.expert is not None
    for done, (key, maps, threshold, version) in enumerate(wanted):
        yield Progress(done, len(wanted), "measuring distances")
        made, target = maps.spoken_slices, key[1]
        rows = np.flatnonzero(made)
        part = slice(rows[0], rows[-1] + 1)
        spoken = made[part, None, None]
        mask = (maps.of(target)[part] > threshold) & spoken
        truth = mask_of(case.expert.labels[part], target) & spoken
        spacing: tuple[float, ...] = case.grid.spacing
        if len(mask) == 1:
            mask, truth, spacing = mask[0], truth[0], spacing[1:]
        defined = mask.any() or truth.any()
        into.append((key, version, hausdorff95(mask, truth, spacing) if defined else float("nan")))
    yield Progress(len(wanted), len(wanted), "measuring distances")
