"""Options that commands have in common: images by name, thresholds and refinement."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.parameters import (
    CRF_PRESETS,
    ComponentParameters,
    FitParameters,
    Refinement,
)
from napari_gliocam.settings import Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence


class Refine(StrEnum):
    """What is done to the labels after the thresholds (`refine.parameters.Method`)."""

    NONE = "none"
    CRF = "crf"
    BOUNDARY_FIT = "boundary-fit"
    BOUNDARY_FIT_CRF = "boundary-fit+crf"


class CrfPreset(StrEnum):
    """Names in `refine.parameters.CRF_PRESETS`."""

    PAPER_2 = "paper 2"
    DEEPLAB = "DeepLab"


class CrfEngine(StrEnum):
    """Names in `refine.parameters.BACKENDS`."""

    TORCH = "torch"
    PYDENSECRF = "pydensecrf"


REFINED = Refinement()
REFINE = Refine(REFINED.method)

TumourThreshold = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Tumour where its map exceeds this; else the bundle's."),
]
ClassThreshold = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Class where its map exceeds this; else the bundle's."),
]
Overlapping = Annotated[
    bool, typer.Option("--overlapping", help="A voxel may be core and edema (label 3).")
]
NoGate = Annotated[
    bool, typer.Option("--no-gate", help="Look at slices that the networks call healthy, too.")
]
RefineBy = Annotated[Refine, typer.Option(help="Refine the labels after the thresholds.")]
Crf = Annotated[CrfPreset, typer.Option(case_sensitive=False, help="Kernels of the dense CRF.")]
CrfVolume = Annotated[
    bool,
    typer.Option("--crf-volume/--crf-slices", help="One CRF in 3-D, or one for each slice."),
]
CrfBackend = Annotated[CrfEngine, typer.Option(help="Ours, or the package pydensecrf (extra crf).")]
MinInside = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="BoundaryFit keeps clusters that lie inside by this."),
]
Components = Annotated[
    bool, typer.Option(help="Drop small parts of the tumour, fill holes and necrosis.")
]

Like = Annotated[
    Path | None,
    typer.Option(metavar="JSON", help="Take thresholds and refinement from an earlier result."),
]

_IMAGE = "{} file; with CASE a pattern, “*_{}.nii*”."
Flair = Annotated[str | None, typer.Option(metavar="FILE", help=_IMAGE.format("FLAIR", "fl"))]
T1ce = Annotated[str | None, typer.Option(metavar="FILE", help=_IMAGE.format("T1ce", "gd"))]
T2 = Annotated[str | None, typer.Option(metavar="FILE", help=_IMAGE.format("T2", "tse"))]
T1 = Annotated[str | None, typer.Option(metavar="FILE", help=_IMAGE.format("T1", "mpr"))]


def images_of(
    cases: Sequence[Path] | None, **named: str | None
) -> tuple[list[Path], dict[str, str]]:
    """Return the cases and the images that were named.

    Parameters
    ----------
    cases : sequence of Path or None
        What was given as ``CASE``.
    **named : str or None
        A file or a pattern for each modality, by its name in files.

    Raises
    ------
    GliocamError
        Neither a case nor an image was named.
    """
    images = {modality: text for modality, text in named.items() if text}
    if not cases and not images:
        raise GliocamError("Name a CASE, or its files with --flair, --t1ce, --t2 and --t1.")
    return list(cases or ()), images


def settings_of(
    tumour_threshold: float | None,
    class_threshold: float | None,
    overlapping: bool,
    no_gate: bool,
) -> dict[str, Any]:
    """Return the fields of `Thresholds` that the options set; the bundle sets the others.

    Raises
    ------
    GliocamError
        A value is out of its range.
    """
    given = {"tumour_threshold": tumour_threshold, "class_threshold": class_threshold}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen |= {"exclusive": False} if overlapping else {}
    chosen |= {"gate": False} if no_gate else {}
    Thresholds(**chosen)
    return chosen


def refinement_of(
    refine: Refine,
    crf: CrfPreset,
    crf_volume: bool,
    crf_backend: CrfEngine,
    min_inside: float,
    components: bool,
) -> Refinement:
    """The refinement that the options ask for.

    Raises
    ------
    GliocamError
        A value is out of its range.
    """
    return Refinement(
        method=refine.value,
        crf=replace(CRF_PRESETS[crf], volume=crf_volume, backend=crf_backend.value),
        fit=FitParameters(min_inside=min_inside),
        components=ComponentParameters() if components else None,
    )
