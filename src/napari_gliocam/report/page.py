"""The page: one HTML file that needs no network and no script, and prints on A4."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

import napari_gliocam
from napari_gliocam.colours import CLASS_COLOURS, CONFUSION_COLOURS
from napari_gliocam.io.sidecar import NOTICE
from napari_gliocam.measure.evaluation.figures import FIGURES
from napari_gliocam.measure.lesion.slice_areas import slice_areas
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.report.chart import draw_chart
from napari_gliocam.report.facts import case_facts, refinement_in_words, settings_facts
from napari_gliocam.report.key_slices import KeySlice, agreement_slices, in_words, key_slices
from napari_gliocam.report.picture import draw_slice
from napari_gliocam.report.reading import Reading
from napari_gliocam.targets import BOTH, CORE, EDEMA, TARGETS, TUMOUR
from napari_gliocam.wording import NOTHING, figure, percent

#: More lesions than this stand in the csv alone.
MOST_LESIONS = 5

_AGREEMENT = {1: "TP: in both", 2: "FP: here alone", 3: "FN: missed"}

HOW = (
    "Volumes are numbers of voxels times the volume of one; overlap of core and edema counts in "
    "each. Lesions are components of the whole tumour (26 neighbours). Diameters are taken on "
    "one axial slice from outline to outline of one connected part: the largest one, and the "
    "largest one at right angles to it (bidimensional, as in RANO); those of the case are of the "
    "lesion with the largest product. Depth is the distance from the core to the nearest voxel of "
    "the brain's surface, 0 where it reaches it. Sphericity is the surface of a ball of the same "
    "volume over the surface. HD95 is the 95th percentile of the distances between the surfaces. "
    "Slices are counted from 0, feet to head, as in napari."
)


def make_page(reading: Reading) -> str:
    """Make the page of a case.

    Returns
    -------
    str
        HTML; what it names of the patient is what the file names say and what a user typed.
    """
    style = files("napari_gliocam.report") / "templates" / "style.css"
    keys = key_slices(reading)
    return read_template("napari_gliocam.report", "page.html").render(
        reading=reading,
        style=Markup(style.read_text(encoding="utf-8")),  # noqa: S704 - our own file
        version=napari_gliocam.__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        notice=NOTICE,
        how=HOW,
        facts=_facts(reading),
        said=_said(reading),
        warned=(*reading.case.warnings, *reading.warnings),
        classes=_legend(
            CLASS_COLOURS,
            {CORE: "core", EDEMA: "edema", BOTH: "overlap"}
            if reading.measures.case.divided
            else {TUMOUR: "tumour"},
        ),
        keys=[_picture(reading, key) for key in keys],
        chart=_chart(reading, keys),
        chart_words=_chart_words(reading, keys),
        measures=_measures(reading),
        enhancing=_enhancing(reading),
        sequences=[
            [f"lesion {number}", target, *map(percent, one.shares.values())]
            for number, target, one in reading.sequences
        ],
        sequence_names=[m.title for m in reading.sequences[0][2].values]
        if reading.sequences
        else [],
        overlap=_overlap(reading),
        comparison=_comparison(reading),
        agreement=_legend(CONFUSION_COLOURS, _AGREEMENT),
        differences=[_picture(reading, key) for key in agreement_slices(reading)],
        # The measures of one lesion are a narrow table.
        beside=len(reading.measures.rows) == 1
        and (reading.overlap is not None or reading.enhancing is not None),
        refinement=refinement_in_words(reading),
        case_facts=list(case_facts(reading)),
        settings_facts=list(settings_facts(reading)),
    )


@cache
def read_template(package: str, name: str) -> Template:
    """Return a template; everything that it is given is escaped but for `Markup`.

    Parameters
    ----------
    package : str
        Package whose folder ``templates`` holds it.
    name : str
        File in that folder.
    """
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(name)


def _legend(colours: dict[int, str], names: dict[int, str]) -> list[tuple[str, str]]:
    return [(colours[value], name) for value, name in names.items()]


def _facts(reading: Reading) -> list[tuple[str, str, str]]:
    """Return the large figures on top: value, colour, words."""
    measures, case = reading.measures, reading.measures.case
    name, colour, part = (
        ("core", CLASS_COLOURS[CORE], case.core)
        if case.divided
        else ("tumour", CLASS_COLOURS[TUMOUR], case.tumour)
    )
    diameters = part.diameters
    classes = [
        (f"{case.core.ml:.1f} ml", CLASS_COLOURS[CORE], "core"),
        (f"{case.edema_ml:.1f} ml", CLASS_COLOURS[EDEMA], "edema"),
    ]
    return [
        (f"{case.tumour.ml:.1f} ml", "", "whole tumour"),
        *(classes if case.divided else ()),
        (str(len(measures.lesions)), "", "lesion" if len(measures.lesions) == 1 else "lesions"),
        (
            f"{diameters.long_mm:.0f} × {diameters.perpendicular_mm:.0f} mm",
            colour,
            f"{name}, largest diameters",
        ),
    ]


def _said(reading: Reading) -> list[str]:
    measures = reading.measures
    # That there are some lesions is among the large figures already.
    said = [*measures.sentences[1 if measures.lesions and not measures.small else 0 :]]
    if reading.painted:
        said.append(f"{reading.painted:,} voxels were painted by hand.")
    return said


def _picture(reading: Reading, key: KeySlice) -> dict[str, str]:
    scan, overlay = (draw_slice(reading.case, key, overlay=on) for on in (False, True))
    return {
        "title": key.title,
        "words": key.words,
        "where": f"slice {key.index}, {key.modality.title}",
        "scan": base64.b64encode(scan).decode("ascii"),
        "overlay": base64.b64encode(overlay).decode("ascii"),
    }


def _chart(reading: Reading, keys: list[KeySlice]) -> Markup:
    claimed = None
    if reading.claimed is not None:
        claimed = slice_areas(reading.claimed, reading.case.grid).both
    seen = np.flatnonzero(reading.case.brain.any(axis=(1, 2)))
    span = (int(seen[0]), int(seen[-1])) if seen.size else None
    chart = draw_chart(
        reading.areas,
        claimed,
        {}
        if reading.maps is None
        else {t: reading.maps.probabilities[:, TARGETS.index(t)] for t in reading.maps.targets},
        divided=reading.measures.case.divided,
        slices=span,
        marks=[key.index for key in keys] if reading.areas.lesion_slices.size else (),
    )
    return Markup(chart)  # noqa: S704 - numbers and our own words


def _chart_words(reading: Reading, keys: list[KeySlice]) -> str:
    words = "Dotted: the slices above. " if keys else ""
    if reading.measures.case.divided:
        words += "Overlap: before each voxel gets one class."
    if reading.maps is not None:
        words += " Bands: image-level probability, full colour is 1."
    return words


def _measures(reading: Reading) -> dict[str, Any]:
    measures = reading.measures
    shown = measures.rows[: MOST_LESIONS + 1]
    spans = [
        NOTHING if row.first_slice is None else f"{row.first_slice} to {row.last_slice}"
        for row in shown
    ]
    return {
        "head": ["", "case", *(f"lesion {lesion.number}" for lesion in shown[1:])],
        "rows": [
            *(
                [one.title, *(one.text(row) for row in shown)]
                for one in FIGURES
                if one.is_of(measures.case)
            ),
            ["Slices", *spans],
        ],
        "more": len(measures.rows) - len(shown),
    }


def _enhancing(reading: Reading) -> list[tuple[str, str]]:
    core = reading.enhancing
    if core is None:
        return []
    return [
        ("Enhancing core", f"{core.ml:.2f} ml"),
        ("Core that does not enhance", f"{core.rest_ml:.2f} ml"),
        ("Enhancing, diameters", in_words(core.diameters)),
    ]


def _overlap(reading: Reading) -> list[tuple[str, str]] | None:
    """Return figures of the overlap: none where it is not known, empty where nothing is claimed."""
    if reading.overlap is None:
        return None
    overlap = reading.overlap.overlap
    if overlap.union_fraction is None or overlap.dice is None:
        return []
    worst = ", ".join(f"{w.index} ({w.mm2:.0f} mm²)" for w in reading.overlap.worst)
    return [
        ("Overlap", f"{overlap.ml:.2f} ml"),
        ("Of core and edema together", f"{100 * overlap.union_fraction:.1f} %"),
        ("Dice between core and edema", f"{overlap.dice:.3f}"),
        ("Slices with most", worst or "none"),
    ]


def _comparison(reading: Reading) -> list[list[list[str]]]:
    """Return the rows of each class: a convention a row."""
    return [
        [
            [
                target if convention is Convention.PRESENT_SLICES else "",
                f"{convention.value}: {_CONVENTIONS[convention]}",
                *(figure(v, 3) for v in (overlap.dice, overlap.iou)),
                figure(overlap.hd95, 1, unit="mm"),
                str(overlap.n),
            ]
            for convention, overlap in reading.comparison[target].overlaps.items()
        ]
        for target in TARGETS
        if target in reading.comparison
    ]


#: Short words for `Convention.description`, which goes into the json.
_CONVENTIONS = {
    Convention.PRESENT_SLICES: "mean over slices that show it there",
    Convention.VOLUME: "whole volume in 3-D",
    Convention.ALL_SLICES: "mean over all slices, empty ones perfect",
    Convention.POOLED: "voxels of the foreground together",
}
