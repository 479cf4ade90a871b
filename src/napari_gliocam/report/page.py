"""The page: one HTML file that needs no network and no script, and prints on A4."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

import numpy as np

import napari_gliocam
from napari_gliocam.colours import CLASS_COLOURS, CONFUSION_COLOURS
from napari_gliocam.io.sidecar import NOTICE
from napari_gliocam.measure.evaluation.figures import FIGURES, NOTHING
from napari_gliocam.measure.lesion.slice_areas import slice_areas
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.report.chart import draw_chart
from napari_gliocam.report.facts import case_facts, settings_facts
from napari_gliocam.report.html import grouped_table, pairs, paragraph, picture, swatch, table
from napari_gliocam.report.key_slices import KeySlice, agreement_slices, key_slices
from napari_gliocam.report.picture import draw_slice
from napari_gliocam.report.reading import Reading
from napari_gliocam.targets import BOTH, CORE, EDEMA, TARGETS

#: More lesions than this stand in the csv alone.
MOST_LESIONS = 5

HOW = (
    "Volumes are numbers of voxels times the volume of one; what core and edema both claim counts "
    "in each. Lesions are components of the whole tumour (26 neighbours). Diameters are taken on "
    "one axial slice from outline to outline of one connected part: the largest one, and the "
    "largest one at right angles to it (bidimensional, as in RANO). Depth is the distance from the "
    "core to the nearest voxel of the brain's surface, 0 where it reaches it. Sphericity is the "
    "surface of a ball of the same volume over the surface. HD95 is the 95th percentile of the "
    "distances between the surfaces. Slices are counted from 0, feet to head, as in napari."
)


def make_page(reading: Reading) -> str:
    """Make the page of a case.

    Parameters
    ----------
    reading : Reading

    Returns
    -------
    str
        HTML; what it names of the patient is what the file names say and what a user typed.
    """
    style = files("napari_gliocam.report").joinpath("style.css").read_text(encoding="utf-8")
    keys = key_slices(reading)
    body = [
        _header(reading),
        _summary(reading),
        _key_slices(reading, keys),
        _chart(reading, keys),
        _measures(reading),
        _overlap(reading),
        _comparison(reading),
        _made_with(reading),
        f"<footer>{paragraph(HOW)}{paragraph(NOTICE, 'notice')}</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(reading.case.name)} · napari-gliocam</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n" + "\n".join(filter(None, body)) + "\n"
        "</body>\n</html>\n"
    )


def _header(reading: Reading) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    typed = paragraph(reading.heading, "typed") if reading.heading else ""
    return (
        f"<header><h1>{escape(reading.case.name)}</h1>{typed}"
        f'<p class="quiet">Glioma core and edema by class activation maps · napari-gliocam '
        f"{escape(napari_gliocam.__version__)} · {made}</p>"
        f"{paragraph(NOTICE, 'notice')}</header>"
    )


def _summary(reading: Reading) -> str:
    measures, case = reading.measures, reading.measures.case
    facts = [
        (f"{case.tumour.ml:.1f} ml", "", "whole tumour"),
        (f"{case.core.ml:.1f} ml", swatch(CLASS_COLOURS[CORE]), "core"),
        (f"{case.edema_ml:.1f} ml", swatch(CLASS_COLOURS[EDEMA]), "edema"),
        (str(len(measures.lesions)), "", "lesion" if len(measures.lesions) == 1 else "lesions"),
        (
            f"{case.core.diameters.long_mm:.0f} × {case.core.diameters.perpendicular_mm:.0f} mm",
            swatch(CLASS_COLOURS[CORE]),
            "core, largest diameters",
        ),
    ]
    items = "".join(f"<li><b>{escape(big)}</b>{mark}{escape(w)}</li>" for big, mark, w in facts)
    # That there are some lesions stands in the facts already.
    sentences = measures.sentences[1 if measures.lesions and not measures.small else 0 :]
    said = "".join(paragraph(sentence, "said") for sentence in sentences)
    if reading.painted:
        said += paragraph(f"{reading.painted:,} voxels were painted by hand.", "said")
    warned = (*reading.case.warnings, *reading.warnings)
    return f'<ul class="facts">{items}</ul>{said}' + "".join(
        paragraph(sentence, "warning") for sentence in warned
    )


def _key_slices(reading: Reading, keys: list[KeySlice]) -> str:
    legend = " ".join(
        f"{swatch(CLASS_COLOURS[value])}{name}&ensp;"
        for value, name in ((CORE, "core"), (EDEMA, "edema"), (BOTH, "claimed by both"))
    )
    return (
        f'<h2>Key slices</h2><p class="quiet">{legend} white: diameters. R, L: the patient\'s '
        f'right and left.</p><div class="slices">{"".join(_figures(reading, keys))}</div>'
    )


def _figures(reading: Reading, keys: list[KeySlice]) -> Iterator[str]:
    for key in keys:
        where = f"slice {key.index}, {key.modality.title}"
        scan, shown = (draw_slice(reading.case, key, overlay=on) for on in (False, True))
        yield (
            f"<figure><div>{picture(scan, f'{where}, as it is')}"
            f"{picture(shown, f'{key.title}, {where}')}</div>"
            f"<figcaption><b>{escape(key.title)}</b>{escape(key.words)} "
            f"<span>· {escape(where)}</span></figcaption></figure>"
        )


def _chart(reading: Reading, keys: list[KeySlice]) -> str:
    claimed = None
    if reading.claimed is not None:
        claimed = slice_areas(reading.claimed, reading.case.grid).both
    seen = np.flatnonzero(reading.case.brain.any(axis=(1, 2)))
    span = (int(seen[0]), int(seen[-1])) if seen.size else None
    chart = draw_chart(
        reading.areas,
        claimed,
        None if reading.maps is None else reading.maps.probabilities,
        slices=span,
        marks=[key.index for key in keys] if reading.areas.lesion_slices.size else (),
    )
    words = "Dotted: the slices above. Claimed by both: before the higher map decides."
    if reading.maps is not None:
        words += " Bands: image-level probability, full colour is 1."
    return f"<h2>Slice by slice</h2>{chart}{paragraph(words, 'quiet')}"


def _measures(reading: Reading) -> str:
    measures = reading.measures
    shown = measures.rows[: MOST_LESIONS + 1]
    head = ["", "case", *(f"lesion {lesion.number}" for lesion in shown[1:])]
    rows = [[figure.title, *(figure.text(row) for row in shown)] for figure in FIGURES]
    rows.append(
        [
            "Slices",
            *(
                NOTHING if row.first_slice is None else f"{row.first_slice} to {row.last_slice}"
                for row in shown
            ),
        ]
    )
    more = len(measures.rows) - len(shown)
    note = paragraph(f"{more} more lesions stand in the csv.", "quiet") if more else ""
    return f"<h2>Measures</h2>{table(head, rows)}{note}"


def _overlap(reading: Reading) -> str:
    if reading.overlap is None:
        return ""
    overlap = reading.overlap.overlap
    title = "<h2>Core against edema, before the higher map decides</h2>"
    if overlap.union_fraction is None or overlap.dice is None:
        return title + paragraph("Neither class claims a voxel.")
    rows = [
        ("Claimed by both", f"{overlap.ml:.2f} ml"),
        ("Of all that either claims", f"{100 * overlap.union_fraction:.1f} %"),
        ("Dice between core and edema", f"{overlap.dice:.3f}"),
        (
            "Slices with most",
            ", ".join(f"{w.index} ({w.mm2:.0f} mm²)" for w in reading.overlap.worst) or "none",
        ),
    ]
    return title + pairs(rows)


def _comparison(reading: Reading) -> str:
    if not reading.comparison:
        return ""
    head = ["", "convention", "Dice", "IoU", "HD95", "n"]
    groups = []
    for target in TARGETS:
        rows = []
        for convention, overlap in reading.comparison[target].overlaps.items():
            figures = [
                *(NOTHING if v is None else f"{v:.3f}" for v in (overlap.dice, overlap.iou)),
                NOTHING if overlap.hd95 is None else f"{overlap.hd95:.1f} mm",
                str(overlap.n),
            ]
            first = target if convention is Convention.PRESENT_SLICES else ""
            rows.append([first, f"{convention.value}: {_CONVENTIONS[convention]}", *figures])
        groups.append(rows)
    legend = "&ensp;".join(
        f"{swatch(CONFUSION_COLOURS[value])}{name}"
        for value, name in ((1, "both agree"), (2, "found here alone"), (3, "missed"))
    )
    keys = agreement_slices(reading)
    shown = f'<div class="slices">{"".join(_figures(reading, keys))}</div>' if keys else ""
    return (
        f"<h2>Compared with {escape(reading.expert_name)}</h2>"
        f"{grouped_table(head, groups)}<p class='quiet'>{legend}</p>{shown}"
    )


#: Short words for `Convention.description`, which goes into the json.
_CONVENTIONS = {
    Convention.PRESENT_SLICES: "mean over slices that show it there",
    Convention.VOLUME: "whole volume in 3-D",
    Convention.ALL_SLICES: "mean over all slices, empty ones perfect",
    Convention.POOLED: "voxels of the foreground together",
}


def _made_with(reading: Reading) -> str:
    return (
        f"<h2>Case</h2>{pairs(case_facts(reading))}"
        f"<h2>Made with</h2>{pairs(settings_facts(reading))}"
    )
