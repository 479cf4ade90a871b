"""Make a case of the series of a study: read, align, resample, strip."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.case import NEEDED, Case, Grid, Modality, OriginalSeries, Preparation
from napari_gliocam.errors import CaseError
from napari_gliocam.io.volume import difference
from napari_gliocam.prepare.align import Alignment, Brain, align
from napari_gliocam.prepare.examination import Examination, find_examination, read_series
from napari_gliocam.prepare.resample import case_grid, inside, resample
from napari_gliocam.prepare.strip import (
    UNSURE_FROM_MM,
    brain_logits,
    brain_of,
    may_show_skull,
    shows_skull,
    stripped_brain,
    stripping,
    unsure_mm,
)
from napari_gliocam.progress import Progress, finished
from napari_gliocam.wording import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.prepare.series import SeriesVolume


#: The uppermost slice of 5 mm through a whole brain shows less.
_VERTEX_CM2 = 25.0
#: A series that shows less than this part of the brain is named; 1 % is a small tumour.
_WHOLE = 0.99


@dataclass(frozen=True)
class Steps:
    """Steps of a preparation, each done where it is needed.

    Parameters
    ----------
    align : bool
        Align the series to the reference where their grids differ; else their stored positions
        are trusted.
    resample : bool
        Bring all series onto one grid; without it, grids that differ are an error.
    strip : bool
        Remove skull and skin where a series shows them.
    """

    align: bool = True
    resample: bool = True
    strip: bool = True


@dataclass(eq=False)
class _Head(Brain):
    """A series on its way to the case.

    Parameters
    ----------
    logits : ndarray of float32, or None
        Of the network that found its brain; None where it was stripped already.
    alignment : Alignment or None
        From the case to the series; None where it was not aligned.
    """

    logits: NDArray[np.float32] | None = None
    alignment: Alignment | None = None

    @property
    def to_here(self) -> NDArray[np.float64]:
        return np.eye(4) if self.alignment is None else self.alignment.movement


def preparing(
    examination: Examination | str | Path, *, steps: Steps | None = None
) -> Generator[Progress, None, Case]:
    """Make a case of the series of a study: aligned, on one grid, without skull.

    Parameters
    ----------
    examination : Examination, str or Path
        What `find_examination` found, perhaps with other choices, or a path for it.
    steps : Steps, optional
        All of them by default.

    Yields
    ------
    Progress
        Nothing stays open across a yield.

    Returns
    -------
    Case
        Its ``preparation`` lists what was done, and the way back to each series.

    Raises
    ------
    CaseError
        A series cannot be read, shows no brain, or cannot be aligned.
    GliocamError
        An extra is not installed.
    """
    steps = steps or Steps()
    if not isinstance(examination, Examination):
        yield Progress(0, 1, "looking for series")
        examination = find_examination(examination)
    reference = examination.reference
    order = [reference, *(m for m in examination.chosen if m is not reference)]
    heads: dict[Modality, _Head] = {}
    for number, modality in enumerate(order):
        yield Progress(number, len(order), "reading")
        volume = read_series(examination.chosen[modality])
        brain = stripped_brain(volume)
        if brain is None and not steps.strip:
            brain = volume.data != 0
        if brain is None or (steps.strip and may_show_skull(brain, volume.grid)):
            yield Progress(number, len(order), "finding the brain")
            logits, grid = brain_logits(volume)
            if brain is None or shows_skull(brain, volume.grid, logits, grid):
                found = brain_of(logits, grid, volume.name)
                heads[modality] = _Head(volume, found, grid, logits)
                continue
        heads[modality] = _Head(volume, brain, volume.grid)
    said: list[str] = []
    fixed = heads[reference]
    for number, modality in enumerate(order[1:], start=1):
        moving = heads[modality]
        if difference(fixed.volume.grid, moving.volume.grid) is None:
            continue
        if not steps.resample:
            raise CaseError(
                f"{fixed.volume.name} and {moving.volume.name} lie on different grids; let them "
                "be resampled, or bring them onto one grid."
            )
        if steps.align:
            yield Progress(number - 1, len(order) - 1, f"aligning {modality.title}")
            moving.alignment = align(fixed, moving)
            said.append(_aligned(modality, reference, moving.alignment))
    grid = case_grid(fixed.volume.grid) if steps.resample else fixed.volume.grid
    volumes: dict[Modality, NDArray[np.float32]] = {}
    for number, modality in enumerate(order):
        yield Progress(number, len(order), "resampling")
        head = heads[modality]
        same = head.alignment is None and difference(head.volume.grid, grid) is None
        if same:
            volumes[modality] = head.volume.data
        else:
            air = float(np.percentile(head.volume.data[::4, ::4, ::4], 1))
            volumes[modality] = resample(
                head.volume.data, head.volume.grid, grid, head.to_here, order=3, outside=air
            )
            size = " × ".join(f"{mm:.3g}" for mm in grid.spacing)
            said.append(f"{modality.title} was resampled to {size} mm.")
    brain = yield from _brain(list(heads.values()), grid)
    stripped = any(head.logits is not None for head in heads.values())
    if stripped:
        found_in = [m.title for m, head in heads.items() if head.logits is not None]
        said.append(
            f"Skull and skin were removed; the brain was found in {' and '.join(found_in)}."
            if fixed.logits is not None
            else f"Skull and skin were removed from {' and '.join(found_in)}; "
            f"the brain is that of {reference.title}, which was stripped already."
        )
    return Case(
        name=examination.name,
        volumes={m: _inside(volumes[m], brain) for m in Modality if m in volumes},
        grid=grid,
        sources={m: s.paths[0] for m, s in examination.chosen.items() if not s.is_dicom},
        header=_header(fixed.volume, grid),
        warnings=_warnings(heads, brain, grid, examination.left_out),
        preparation=Preparation(
            tuple(said),
            {
                modality: OriginalSeries(
                    head.volume.name,
                    head.volume.grid,
                    head.to_here,
                    examination.chosen[modality].paths,
                    examination.chosen[modality].is_dicom,
                )
                for modality, head in heads.items()
            },
            volumes[reference] if stripped else None,
        ),
    )


prepare = finished(preparing, "prepare")


def _brain(heads: list[_Head], grid: Grid) -> Generator[Progress, None, NDArray[np.bool_]]:
    """Return the brain on the case's grid: by vote where the reference is a head, else its own.

    Stripped series have a rim of partial volume after resampling, up to a voxel wide, that the
    reference, which never moves, does not have.  With the rim the networks found other labels:
    Dice of the tumour 0.92 instead of 0.99 with those of the untouched case (BraTS2021_01481).
    """
    reference = heads[0]
    if reference.logits is not None:
        voters = [(h.logits, h.grid, h.to_here) for h in heads if h.logits is not None]
        brain = yield from stripping(voters, grid)
        return brain
    if difference(reference.grid, grid) is None:
        return reference.brain
    return resample(reference.brain.astype(np.float32), reference.grid, grid) > 0.5


def _inside(volume: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the volume with 0 outside the brain, and nothing else at 0."""
    values = volume[brain]
    least = float(values.min()) if values.size else 0.0
    # Normalisation ignores a shift, but a brain voxel at 0 would count as air.
    shift = 0.0 if least > 0 else 1e-3 * float(np.ptp(values)) - least
    return np.where(brain, volume + np.float32(shift), np.float32(0))


def _aligned(modality: Modality, reference: Modality, found: Alignment) -> str:
    return (
        f"{modality.title} was aligned to {reference.title}: moved by {found.shift:.1f} mm, "
        f"turned by {found.turn:.1f}°, overlap of the brains {percent(found.overlap)}"
        + (", by the shape of the brains alone." if found.by_shape else ".")
    )


def _header(volume: SeriesVolume, grid: Grid) -> object:
    """Return the reference's NIfTI header where the case lies on its grid."""
    return volume.header.copy() if volume.header is not None and grid is volume.grid else None


def _ends_in_brain(head: _Head) -> bool:
    """Return True if a series does not reach the vertex: its uppermost slice shows much brain."""
    pixel_cm2 = head.grid.spacing[1] * head.grid.spacing[2] / 100
    area_cm2 = np.count_nonzero(head.brain, axis=(1, 2)) * pixel_cm2
    broad = np.flatnonzero(area_cm2 > _VERTEX_CM2)
    if not broad.size:
        return False
    middle = np.argwhere(head.brain[broad[-1]]).mean(axis=0)
    own = head.volume.grid
    place = head.grid.canonical_affine @ np.array([broad[-1], *middle, 1])
    index = float((np.linalg.inv(own.canonical_affine) @ place)[0])
    return index > own.shape[0] - 1 - max(1.0, head.grid.spacing[0] / own.spacing[0])


def _warnings(
    heads: dict[Modality, _Head], brain: NDArray[np.bool_], grid: Grid, left_out: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what a user has to know of a case; the reference is the first of its heads."""
    # They are saved with results, where no series description of a patient's file belongs.
    notes = [
        note.replace(head.volume.name, modality.title)
        for modality, head in heads.items()
        for note in head.volume.notes
    ]
    (reference, fixed), *others = heads.items()
    if _ends_in_brain(fixed):
        notes.append(
            f"{reference.title} does not reach the top of the brain; nothing is found above it."
        )
    for modality, head in others:
        if head.alignment is not None and head.alignment.by_shape:
            notes.append(
                f"{modality.title} was aligned to {reference.title} by the shape of the brains "
                "alone; check the alignment."
            )
        shown = inside(head.volume.grid, grid, head.to_here)[brain].mean()
        if shown < _WHOLE:
            notes.append(
                f"{modality.title} shows {percent(shown)} of the brain; the rest is segmented "
                "without it."
            )
    if missing := [m.title for m in NEEDED if m not in heads]:
        notes.append(f"The case has no {' and no '.join(missing)}.")
        if left_out:
            were = "was" if len(left_out) == 1 else "were"
            notes.append(
                f"{len(left_out)} of the series or files in its folder {were} left out; "
                '"napari-gliocam prepare --list" says why.'
            )
    for modality, head in heads.items():
        thick = 0.0 if head.logits is None else unsure_mm(head.logits, head.grid)
        if thick > UNSURE_FROM_MM:
            notes.append(
                f"The border of the brain is uncertain in {modality.title} ({thick:.1f} mm), as in "
                "an image that shows a small part of a brain, or none."
            )
    if fixed.logits is not None:
        notes.append("The brain was found by a network; check its border.")
    return tuple(notes)
