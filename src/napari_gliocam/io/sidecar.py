"""The json beside a result: what was used and what came out, enough to do it again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import napari_gliocam
from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.naming import stem
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import BOTH, CLASS_NAMES
from napari_gliocam.threshold import Segmentation

SOFTWARE = "napari-gliocam"
#: The headers of a synthetic case begin with it; its labels are no result.
PHANTOM = f"{SOFTWARE} phantom"
NOTICE = "Research use only, not a medical device."


def sidecar_path(path: Path) -> Path:
    """Where the json of a result lies: ``X_seg.nii.gz`` has ``X.json``, ``Y.nii`` ``Y.json``."""
    name = stem(path.name)
    return path.with_name((name.removesuffix("_seg") or name) + ".json")


def written_here(path: Path, header: Any = None) -> bool:
    """Whether this program wrote a label file, by its header or by the json beside it."""
    if header is not None and header["descrip"].item().startswith(SOFTWARE.encode()):
        return True
    return bool(read_sidecar(path))


def read_sidecar(path: Path) -> dict[str, Any]:
    """What the json beside a result says; empty where there is none of this program."""
    try:
        content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(content, dict) and content.get("software") == SOFTWARE
    return content if ours else {}


def read_choices(path: Path) -> tuple[Thresholds, Refinement]:
    """What a result was made with, to make it again from the same maps.

    Parameters
    ----------
    path : Path
        The json beside a result.

    Returns
    -------
    settings : Thresholds
    refinement : Refinement

    Raises
    ------
    GliocamError
        The file cannot be read, or was not written by this program.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GliocamError(f"{path.name} cannot be read as json; choose another file.") from error
    if not isinstance(content, dict) or content.get("software") != SOFTWARE:
        raise GliocamError(f"{path.name} is not the json of a result; choose the one beside it.")
    try:
        settings = Thresholds(**content["settings"])
    except (KeyError, TypeError) as error:
        raise GliocamError(
            f"The settings in {path.name} are none of this version; choose them anew."
        ) from error
    return settings, Refinement.of(content.get("refinement"))


def describe(segmentation: Segmentation, case: Case) -> str:
    """Write the json of a result; files without their folders, which may name a patient."""
    present = [CLASS_NAMES[label] for label in CLASS_NAMES if label != BOTH]
    meaning = {str(label): name for label, name in CLASS_NAMES.items() if name in present}
    if not segmentation.settings.exclusive:
        meaning[str(BOTH)] = CLASS_NAMES[BOTH]
    content = {
        "software": SOFTWARE,
        "version": napari_gliocam.__version__,
        "notice": NOTICE,
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
        "case": case.name,
        "sources": case.sources,
        "missing": [modality for modality in Modality if modality not in case.volumes],
        "spacing_mm": case.grid.spacing,
        "labels": {"0": "background", **meaning},
        "volumes_ml": segmentation.volumes_ml,
        "settings": asdict(segmentation.settings),
        "refinement": segmentation.refinement and segmentation.refinement.used,
        "painted_voxels": segmentation.painted,
        "provenance": segmentation.maps.provenance,
        "warnings": case.warnings,
    }
    return json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Reduce to what json can hold: provenance may carry paths, numpy numbers and mappings."""
    match value:
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Path():
            return value.name
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case float() if not math.isfinite(value):
            return None
        case str() | int() | float() | None:
            return value
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
    return str(value)
