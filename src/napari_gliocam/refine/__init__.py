"""Refinement of a segmentation: dense CRF, BoundaryFit, connected components."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "METHODS": "parameters",
    "CRF_PRESETS": "parameters",
    "ClusterParameters": "parameters",
    "ComponentParameters": "parameters",
    "CrfParameters": "parameters",
    "FitParameters": "parameters",
    "Refinement": "parameters",
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
