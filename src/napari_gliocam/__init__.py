"""Find glioma core and edema in brain MRI with class activation maps, inside napari.

The networks were trained with image-level labels only.  ``import napari_gliocam`` is
cheap: torch, napari and Qt load when a function that needs them is called.

Examples
--------
>>> import napari_gliocam as gliocam
>>> case = gliocam.read_case("BraTS2021_00006")            # doctest: +SKIP
>>> segmentation = gliocam.segment(case)                   # doctest: +SKIP
>>> gliocam.save_segmentation(segmentation, "00006_seg.nii.gz", case=case)  # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("napari-gliocam")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

# Threads of torch that wait by spinning take the cores from whoever has the work: beside another
# busy program Segment took ten times as long.  Read when torch is loaded; a user's choice wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Public name -> module that defines it; resolved on first use (PEP 562).
_PUBLIC = {
    "Case": "case",
    "Grid": "case",
    "Modality": "case",
    "GliocamError": "errors",
    "Progress": "progress",
    "Thresholds": "settings",
    "ClassMaps": "maps.class_maps",
    "Segmentation": "threshold",
    "apply_thresholds": "threshold",
    "read_case": "io",
    "save_segmentation": "io",
    "compute_maps": "segmentation",
    "segment": "segmentation",
    "segmenting": "segmentation",
    "explain": "cams.run.explain",
    "load_bundle": "nets.bundle",
    "make_phantom": "phantom",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
