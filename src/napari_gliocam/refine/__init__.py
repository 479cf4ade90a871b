"""Refinement of a segmentation: adaptation to the patient, CRF, BoundaryFit, components."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "METHODS": "parameters",
    "AdaptParameters": "parameters",
    "AdaptedMaps": "adapt",
    "CRF_PRESETS": "parameters",
    "ClusterParameters": "parameters",
    "ComponentParameters": "parameters",
    "CrfParameters": "parameters",
    "FitParameters": "parameters",
    "Refinement": "parameters",
    "adapt": "adapt",
    "clean_components": "components",
    "cluster_slice": "clusters",
    "dense_crf": "crf",
    "edge_map": "clusters",
    "fit_labels": "boundary_fit",
    "refine": "run",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
