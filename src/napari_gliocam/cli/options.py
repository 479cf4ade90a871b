"""Options that commands which segment have in common: thresholds and refinement."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_gliocam.refine.parameters import (
    CRF_PRESETS,
    ComponentParameters,
    FitParameters,
    Refinement,
)
from napari_gliocam.settings import Thresholds


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
