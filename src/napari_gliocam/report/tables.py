"""A reading as plain values: rows of a csv, and the json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from napari_gliocam.case import Modality
from napari_gliocam.io.sidecar import plain, signature
from napari_gliocam.measure.evaluation.figures import FIGURES
from napari_gliocam.measure.lesion.enhancing import EnhancingCore
from napari_gliocam.measure.lesion.measures import WHOLE_CASE, LesionMeasures
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.report.reading import Reading


def rows_of(reading: Reading) -> Iterator[dict[str, Any]]:
    """Return a row for the case and one for each lesion; figures as in `FIGURES`, None is empty."""
    for row in (reading.measures.case, *reading.measures.lesions):
        yield {
            "case": reading.case.name,
            "lesion": "case" if row.number == WHOLE_CASE else row.number,
            **_figures(row),
            **_sequences(reading, row.number),
            **(_of_the_case(reading) if row.number == WHOLE_CASE else {}),
        }


def to_json(reading: Reading) -> str:
    """Return everything that the page says, as json; files without their folders."""
    case, measures = reading.case, reading.measures
    content = {
        **signature(),
        "case": case.name,
        "heading": reading.heading,
        "sources": case.sources,
        "missing": [modality for modality in Modality if modality not in case.volumes],
        "spacing_mm": case.grid.spacing,
        "labels_from": reading.source,
        **{name: reading.used.get(name) for name in ("settings", "refinement", "provenance")},
        "painted_voxels": reading.painted,
        "said": measures.sentences,
        "measures": {
            "case": _lesion(measures.case),
            "lesions": [_lesion(lesion) for lesion in measures.lesions],
            "smallest_lesion_ml": measures.min_ml,
            "smaller_parts": measures.small,
            "smaller_parts_ml": measures.small_ml,
        },
        "trust": reading.trust and reading.trust.to_json(),
        "sequences": [
            {"lesion": number, "class": target, "shares": one.shares}
            for number, target, one in reading.sequences
        ],
        "enhancing": reading.enhancing
        and {**_enhancing(reading.enhancing), "rule": reading.enhancing.rule},
        "overlap": reading.overlap and asdict(reading.overlap),
        "slices": {
            "tumour_mm2": reading.areas.tumour,
            **(_class_areas(reading) if measures.case.divided else {}),
            "probabilities": reading.maps and reading.maps.probabilities,
        },
        "compared_with": reading.expert and reading.expert_name,
        "comparison": {
            target: {
                "voxels": asdict(found.counts),
                **{c.value: asdict(overlap) for c, overlap in found.overlaps.items()},
            }
            for target, found in reading.comparison.items()
        },
        "conventions": {c.value: c.description for c in Convention},
        "warnings": [*case.warnings, *reading.warnings],
    }
    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _class_areas(reading: Reading) -> dict[str, Any]:
    areas = reading.areas
    return {"core_mm2": areas.core, "edema_mm2": areas.edema, "both_mm2": areas.both}


def _figures(row: LesionMeasures) -> dict[str, Any]:
    return {
        **{figure.key: _rounded(figure.of(row)) for figure in FIGURES},
        "first_slice": row.first_slice,
        "last_slice": row.last_slice,
        "largest_slice": row.largest_slice,
        "tumour_diameter_slice": row.tumour.diameters.slice,
        "core_diameter_slice": row.core.diameters.slice,
        "touches_border": int(row.at_border),
    }


def _sequences(reading: Reading, lesion: int) -> dict[str, Any]:
    """Return the share of each sequence in the maps of a lesion."""
    return {
        f"sequence_{target}_{modality.value}": _rounded(share)
        for number, target, one in reading.sequences
        if number == lesion
        for modality, share in one.shares.items()
    }


def _rounded(value: float | None) -> float | None:
    """Without the noise of the last binary digits."""
    return None if value is None else round(value, 6)


def _lesion(row: LesionMeasures) -> dict[str, Any]:
    ends = {
        f"{name}_{line_name}": asdict(line)
        for name, region in (("tumour", row.tumour), ("core", row.core))
        for line_name, line in (
            ("long", region.diameters.long),
            ("perpendicular", region.diameters.perpendicular),
        )
        if line is not None
    }
    return {"lesion": row.number, **_figures(row), "diameters": ends}


def _enhancing(core: EnhancingCore) -> dict[str, Any]:
    return {
        "enhancing_ml": _rounded(core.ml),
        "not_enhancing_core_ml": _rounded(core.rest_ml),
        "enhancing_long_mm": _rounded(core.diameters.long_mm),
        "enhancing_perpendicular_mm": _rounded(core.diameters.perpendicular_mm),
        "enhancing_product_mm2": _rounded(core.diameters.product_mm2),
    }


def _of_the_case(reading: Reading) -> dict[str, Any]:
    """Return figures that there is one of: lesions, overlap, comparison of the volume."""
    found: dict[str, Any] = {
        "lesions": len(reading.measures.lesions),
        "smaller_parts": reading.measures.small,
        "smaller_parts_ml": reading.measures.small_ml,
        "painted_voxels": reading.painted,
    }
    if reading.enhancing is not None:
        found |= _enhancing(reading.enhancing)
    if reading.overlap is not None:
        found |= {f"overlap_{k}": v for k, v in asdict(reading.overlap.overlap).items()}
    for target, comparison in reading.comparison.items():
        for convention, overlap in comparison.overlaps.items():
            prefix = f"{convention.value.replace('-', '_')}_{target}"
            found |= {f"{prefix}_dice": overlap.dice, f"{prefix}_iou": overlap.iou}
            if convention is not Convention.POOLED:
                found[f"{prefix}_hd95_mm"] = overlap.hd95
    return found
