"""Facts of a case, and settings of a result, as names and values that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import napari_gliocam
from napari_gliocam.case import Modality
from napari_gliocam.report.reading import Reading


def case_facts(reading: Reading) -> Iterator[tuple[str, str]]:
    """Return the case: modalities with the names of their files, grid, labels to compare with."""
    case = reading.case
    for modality in Modality:
        if modality in case.volumes:
            source = case.sources.get(modality)
            yield modality.title, source.name if source else "present"
        else:
            yield modality.title, "missing"
    if reading.expert is not None:
        yield "Compared with", f"{reading.expert_name} (read as {reading.expert.scheme})"
    yield "Size", " × ".join(map(str, case.grid.shape)) + " voxels (slices, rows, columns)"
    yield "Spacing", " × ".join(f"{mm:.3g}" for mm in case.grid.spacing) + " mm"


def settings_facts(reading: Reading) -> Iterator[tuple[str, str]]:
    """Return program, steps of the preparation, bundle and its origin, device, thresholds."""
    yield "Program", f"napari-gliocam {napari_gliocam.__version__}"
    made = reading.case.preparation
    steps = reading.used.get("preparation") or (made.steps if made else ())
    if steps:
        yield "Prepared", " ".join(map(str, steps))
    if reading.source:
        yield "Labels", reading.source
    yield from _made(reading.used.get("provenance") or {})
    yield from _cut(reading.used, divided=reading.measures.case.divided)
    yield "Smallest lesion", f"{reading.measures.min_ml:g} ml"
    if reading.painted:
        yield "Painted by hand", f"{reading.painted:,} voxels"


def refinement_in_words(reading: Reading) -> str:
    """Return the refinement with its parameters; empty where the settings are not known."""
    if not reading.used.get("settings"):
        return ""
    return _in_words(reading.used.get("refinement") or {"method": "none"})


def _made(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the bundle and the device it ran on."""
    bundle = provenance.get("bundle") or {}
    if bundle:
        yield "Bundle", _joined(bundle, "name", "licence")
        yield "Origin of the bundle", str(bundle.get("origin", "not known"))
        if "method" not in provenance:
            yield "Segmented by", _networks(provenance.get("segmenter"))
    if provenance.get("device"):
        yield "Device", _joined(provenance, "device", "precision")


def _networks(segmenter: Mapping[str, Any] | None) -> str:
    """Return which networks made the maps that were cut, and the weight of each."""
    if segmenter is None:
        return "the networks of the maps"
    tumour, classes = (segmenter.get(name) for name in ("tumour_share", "class_share"))
    if tumour == classes == 1:
        return "the segmentation network"
    return (
        "the networks of the maps and the segmentation network, whose weight is "
        f"{_in_words(tumour)} in the tumour and {_in_words(classes)} in its division"
    )


def _cut(used: Mapping[str, Any], *, divided: bool) -> Iterator[tuple[str, str]]:
    """Return how the maps became labels."""
    settings = used.get("settings") or {}
    if not settings:
        return
    for name in ("tumour_threshold", "class_threshold") if divided else ("tumour_threshold",):
        yield name.replace("_", " ").capitalize(), _in_words(settings.get(name, "not known"))
    if divided:
        yield "One class per voxel", "yes" if settings.get("exclusive") else "no, they may overlap"
    gate = f"where slice p < {_in_words(settings.get('gate_probability'))}"
    yield "Class hidden", gate if settings.get("gate") else "on no slice"


def _joined(values: Mapping[str, Any], *names: str) -> str:
    return " · ".join(str(values[name]) for name in names if values.get(name))


def _in_words(value: Any) -> str:
    """Nested settings on one line."""
    if isinstance(value, Mapping):
        parts: list[str] = []
        for name, item in value.items():
            shown = _in_words(item)
            if name == "method":
                parts += [] if shown in value else [shown]  # its parameters name it
            else:
                title = name.replace("_", " ")
                parts.append(
                    f"{title} ({shown})" if isinstance(item, Mapping) else f"{title} {shown}"
                )
        return ", ".join(parts)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return " × ".join(_in_words(item) for item in value)
    return str(value)
