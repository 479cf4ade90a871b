"""The json beside a result: what was used and what came out, enough to do it again."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import napari_gliocam
from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.io.naming import readable, stem
from napari_gliocam.io.nifti import load_header
from napari_gliocam.io.regular import read_regular
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import CLASS_NAMES, TARGETS, TUMOUR, TUMOUR_ALONE, Target, labels_of
from napari_gliocam.threshold import Segmentation

SOFTWARE = "napari-gliocam"
#: The headers of a synthetic case begin with it; its labels are no result.
PHANTOM = f"{SOFTWARE} phantom"
#: Bytes; ours have some thousands.
_LARGEST_JSON = 1 << 24
NOTICE = "Research use only, not a medical device."


def sidecar_path(path: Path) -> Path:
    """Return where the json of a result lies: ``X.json`` for ``X_seg.nii.gz`` and ``X.nii``."""
    name = stem(path.name)
    return path.with_name((name.removesuffix("_seg") or name) + ".json")


def made_here(header: Any) -> bool:
    """Return True if this program wrote a file, by its header: a result or a synthetic case."""
    return bool(header["descrip"].item().startswith(SOFTWARE.encode()))


def written_here(path: Path, header: Any = None) -> bool:
    """Return True if a label file is a result of this program.

    Its header says so, or the json beside it holds the checksum of its content.  The labels of a
    synthetic case are none.

    Parameters
    ----------
    path : Path
        The label file.
    header : nibabel header, optional
        Of the file where it was read already.
    """
    if header is None:
        try:
            header = load_header(path)
        except CaseError:
            return False
    if made_here(header):
        return not header["descrip"].item().startswith(PHANTOM.encode())
    content = _own_json(sidecar_path(path))
    return _is_tied(content, path)


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what the json beside a result says of it.

    Returns
    -------
    dict
        Empty where there is no json of this program, or it belongs to other labels: its checksum
        is another.
    """
    content = _own_json(sidecar_path(path))
    return content if _is_tied(content, path) else {}


def told_targets(content: Mapping[str, Any]) -> tuple[Target, ...] | None:
    """Return the targets that the labels of a result tell of, also where nothing was found.

    Parameters
    ----------
    content : mapping
        The json beside the result.

    Returns
    -------
    tuple of Target or None
        None where the json does not say.
    """
    labels = content.get("labels")
    if not isinstance(labels, Mapping):
        return None
    return TUMOUR_ALONE if str(TUMOUR) in labels else TARGETS


def changed_since(path: Path) -> bool:
    """Return True if labels were changed after this program wrote the json beside them."""
    content = _own_json(sidecar_path(path))
    return _names(content, path) and not _is_tied(content, path)


def is_foreign(json_path: Path, labels: Path) -> bool:
    """Return True if a json that exists is not that of these labels, so it must be kept.

    Parameters
    ----------
    json_path : Path
        The file beside the labels.
    labels : Path
        The label file that is about to be written.
    """
    if not os.path.lexists(json_path):
        return False
    content = _own_json(json_path)
    return not (_names(content, labels) or _is_tied(content, labels))


def _own_json(path: Path) -> dict[str, Any]:
    try:
        content = _load_json(path)
    except CaseError:
        return {}
    ours = isinstance(content, dict) and content.get("software") == SOFTWARE
    return content if ours else {}


def _load_json(path: Path) -> Any:
    """Read a json; raise `CaseError` if it is none, or nested or larger than any of ours."""
    raw = read_regular(path)
    try:
        if len(raw) > _LARGEST_JSON:
            raise ValueError("too large")
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CaseError(f"{path.name} cannot be read as json; choose another file.") from error


def _names(content: dict[str, Any], path: Path) -> bool:
    told = content.get("labels_file")
    return isinstance(told, dict) and told.get("name") == path.name


def _is_tied(content: dict[str, Any], path: Path) -> bool:
    """Return True if a json of this program holds the checksum of a label file."""
    if not content:
        return False
    try:
        told = content.get("labels_file")
        if isinstance(told, dict):
            return bool(told.get("sha256") == hashlib.sha256(read_regular(path)).hexdigest())
        return made_here(load_header(path))  # versions before 0.2 wrote no checksum
    except CaseError:
        return False


def read_choices(path: Path) -> tuple[Thresholds, Refinement]:
    """Return the settings of a result, to make it again from the same maps.

    Parameters
    ----------
    path : Path
        The json beside a result.

    Returns
    -------
    settings : Thresholds
        Thresholds that the labels were cut with.
    refinement : Refinement
        Method and parameters.

    Raises
    ------
    GliocamError
        The file cannot be read, or was not written by this program.
    """
    content = _load_json(path)
    if not isinstance(content, dict) or content.get("software") != SOFTWARE:
        raise GliocamError(f"{path.name} is not the json of a result; choose the one beside it.")
    try:
        settings = Thresholds(**content["settings"])
        for name, value in asdict(settings).items():
            usual = getattr(Thresholds, name)
            if isinstance(value, bool) != isinstance(usual, bool):
                raise TypeError(name)
        return settings, Refinement.of(content.get("refinement"))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise GliocamError(
            f"The settings in {path.name} are none of this version; choose them anew."
        ) from error


def signature() -> dict[str, str]:
    """Return the program, its version, what it may not be used for, and the time: of a json."""
    return {
        "software": SOFTWARE,
        "version": napari_gliocam.__version__,
        "notice": NOTICE,
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe(
    segmentation: Segmentation, case: Case, *, path: Path | None = None, packed: bytes = b""
) -> str:
    """Write the json of a result; files without their folders, which may name a patient.

    Parameters
    ----------
    segmentation : Segmentation
        Labels with the maps and thresholds that they come from.
    case : Case
        The case at hand: its volumes, grid and brain.
    path : Path, optional
        The label file that it lies beside.
    packed : bytes
        The content of that file, whose checksum ties the two together.
    """
    checksum = hashlib.sha256(packed).hexdigest()
    values = labels_of(segmentation.maps.targets, exclusive=segmentation.settings.exclusive)
    meaning = {str(value): CLASS_NAMES[value] for value in values}
    content = {
        **signature(),
        "case": case.name,
        "labels_file": path and {"name": path.name, "sha256": checksum},
        "sources": case.sources,
        "missing": [modality for modality in Modality if modality not in case.volumes],
        "preparation": case.preparation and case.preparation.steps,
        "spacing_mm": case.grid.spacing,
        "labels": {"0": "background", **meaning},
        "volumes_ml": {name: round(ml, 3) for name, ml in segmentation.volumes_ml.items()},
        "settings": asdict(segmentation.settings),
        "refinement": segmentation.refinement and segmentation.refinement.used,
        "painted_voxels": segmentation.painted,
        "provenance": segmentation.maps.provenance,
        "warnings": case.warnings,
    }
    return json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Reduce to plain values: provenance may carry paths, NumPy numbers and mappings."""
    match value:
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Path():
            return readable(value.name)
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case float() if not math.isfinite(value):
            return None
        case str():
            return readable(value)
        case int() | float() | None:
            return value
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
    return str(value)
