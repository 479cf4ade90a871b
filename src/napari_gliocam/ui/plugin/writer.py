"""npe2 writer: a labels layer as NIfTI on its case's own grid."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from napari_gliocam.case import Case, Grid
from napari_gliocam.errors import SaveError
from napari_gliocam.io import save_segmentation
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.naming import NIFTI_SUFFIXES
from napari_gliocam.io.write import refuse_sources
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.model.result import Result
from napari_gliocam.ui.viewer.layer_data import GRID_KEY, KEY, LayerTag

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def write_labels(
    path: str | None = None, data: ArrayLike | None = None, meta: dict[str, Any] | None = None
) -> list[str]:
    """Write one labels layer.

    Without a path, as the command palette calls it, it asks for one and saves the result of the
    case in work, or the labels layer that is selected.

    A result is written with the settings it was made with in a json beside it; other labels on
    the grid they were read with, or on the scale and translation of their layer.

    Raises
    ------
    SaveError
        In one sentence; the file that was there before is untouched.
    """
    if path is None:
        from napari_gliocam.ui.plugin.commands import save_labels

        save_labels(None)
        return []
    meta = meta or {}
    metadata = meta.get("metadata", {})
    tag = metadata.get(KEY)
    labels = _as_uint8(np.asarray(data), path)
    result = tag.opened.result if isinstance(tag, LayerTag) and tag.role == "result" else None
    if result is not None:
        segmentation = replace(_shown(result), labels=labels)
        written = save_segmentation(segmentation, path, case=result.case, overwrite=True)
        return [str(p) for p in written]
    if isinstance(tag, LayerTag):
        grid, header = tag.opened.case.grid, tag.opened.case.header
    else:
        grid, header = metadata.get(GRID_KEY) or (_grid_of_layer(labels, meta), None)
    if labels.shape != grid.shape:
        grid, header = _grid_of_layer(labels, meta), None
    image = nib.Nifti1Image(grid.to_file(labels), grid.affine, header)
    image.set_data_dtype(np.uint8)
    if header is None:
        image.header.set_xyzt_units("mm")
    raw = image.to_bytes()
    if path.lower().endswith(".gz"):
        import gzip

        raw = gzip.compress(raw, 1, mtime=0)
    for case in _open_cases():
        refuse_sources([Path(path)], case)
    write_files({Path(path): raw}, overwrite=True)
    return [path]


def _open_cases() -> list[Case]:
    """Return the cases in the window: napari asks before it replaces a file, a script does not."""
    from napari import current_viewer

    from napari_gliocam.ui.model.state import state_of

    viewer = current_viewer()
    return [] if viewer is None else [opened.case for opened in state_of(viewer).open_cases]


def _shown(result: Result) -> Segmentation:
    """Return the labels of a layer; a preview mixes settings, so it is not written."""
    if result.flipped:
        return result.painted_over(result.thresholded.segmentation())
    if result.current is None and result.previewed is not None:
        raise SaveError(
            "The layer shows a preview of the refinement on some slices; "
            "apply it to the case, or choose none, then save again."
        )
    return result.segmentation


def _as_uint8(labels: NDArray[np.generic], path: str) -> NDArray[np.uint8]:
    if not path.lower().endswith(NIFTI_SUFFIXES):
        raise SaveError(f"{Path(path).name} does not end in .nii.gz or .nii; choose such a name.")
    if labels.ndim != 3:
        raise SaveError(f"The labels are {labels.ndim}-D; only a 3-D labels layer can be saved.")
    if labels.size and (labels.min() < 0 or labels.max() > 255):
        raise SaveError("The labels go beyond 255; only values from 0 to 255 can be saved.")
    return labels.astype(np.uint8, copy=False)


def _grid_of_layer(labels: NDArray[np.uint8], meta: dict[str, Any]) -> Grid:
    """Return the grid of a layer whose axes run from feet to head, to the back, to the left."""
    s, p, l = (float(v) for v in meta.get("scale", (1.0, 1.0, 1.0)))
    z, y, x = (float(v) for v in meta.get("translate", (0.0, 0.0, 0.0)))
    affine = np.array(
        [[-l, 0.0, 0.0, -x], [0.0, -p, 0.0, -y], [0.0, 0.0, s, z], [0.0, 0.0, 0.0, 1.0]]
    )
    slices, rows, columns = labels.shape
    return Grid(affine, (columns, rows, slices))
