"""Strokes and settings that are not saved yet, kept on disk for the case that the program dies.

They lie in the user's data folder, readable by the user alone, under a checksum of the images: no
name and no path of a case is written.
"""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.io.atomic import write_files
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.case import Case


@dataclass(frozen=True, eq=False)
class UnsavedWork:
    """Work by hand on a case.

    Parameters
    ----------
    settings : Thresholds
        The thresholds.
    refinement : Refinement
        Method and parameters.
    strokes : ndarray of uint8, shape (S, P, L), or None
        What was painted, see `napari_gliocam.ui.model.painted_labels`; None where nothing was.
    when : datetime
        When it was kept, in local time.
    """

    settings: Thresholds
    refinement: Refinement
    strokes: NDArray[np.uint8] | None
    when: datetime


def unsaved_folder() -> Path:
    """Return the folder of unsaved work, which may not exist yet."""
    from platformdirs import user_data_path

    return Path(user_data_path("napari-gliocam", appauthor=False)) / "unsaved"


def _path_of(case: Case) -> Path:
    digest = hashlib.sha256(np.round(case.grid.affine, 3).tobytes())
    for modality in sorted(case.volumes):
        sample = np.ascontiguousarray(case.volumes[modality][::5, ::3, ::3], dtype=np.float32)
        digest.update(modality.encode() + sample.tobytes())
    return unsaved_folder() / f"{digest.hexdigest()}.npz"


def keep_work(
    case: Case, settings: Thresholds, refinement: Refinement, strokes: NDArray[np.uint8] | None
) -> None:
    """Keep unsaved work of a case, instead of what was kept of it before.

    Parameters
    ----------
    case : Case
        Its images tell it apart.
    settings : Thresholds
        The thresholds.
    refinement : Refinement
        Method and parameters.
    strokes : ndarray of uint8, shape (S, P, L), or None
        What was painted.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    buffer = io.BytesIO()
    choices = json.dumps({"settings": asdict(settings), "refinement": refinement.used})
    painted = np.empty(0, np.uint8) if strokes is None else strokes
    np.savez_compressed(buffer, choices=np.array(choices), strokes=painted)
    path = _path_of(case)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_files({path: buffer.getvalue()}, overwrite=True)
    path.chmod(0o600)


def find_work(case: Case) -> UnsavedWork | None:
    """Return what was kept of a case; None where nothing was, or it is damaged."""
    path = _path_of(case)
    try:
        with np.load(path, allow_pickle=False) as kept:
            choices = json.loads(str(kept["choices"]))
            strokes = kept["strokes"]
        settings, refinement = (
            Thresholds(**choices["settings"]),
            Refinement.of(choices["refinement"]),
        )
        when = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    except Exception:  # whatever a damaged file makes NumPy raise: there is nothing to restore
        return None
    if strokes.size == 0:
        return UnsavedWork(settings, refinement, None, when)
    if strokes.shape != case.grid.shape or strokes.dtype != np.uint8:
        return None
    return UnsavedWork(settings, refinement, strokes, when)


def forget_work(case: Case) -> None:
    """Remove what was kept of a case."""
    with suppress(OSError):
        _path_of(case).unlink(missing_ok=True)
