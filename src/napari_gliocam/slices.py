"""From a case to the slices a network sees, and from its maps back to the case.

Slices are normalised per modality over the brain, cropped to it and brought to the
network's pixel size; maps go back with the same geometry.  Both directions are separable
linear operators (one small matrix an axis), so they need no torch and run as matrix products.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.progress import Progress, finished

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Network slices have sides that are multiples of this: the deepest exit's stride.
SIDE_MULTIPLE = 16


@dataclass(frozen=True)
class Normalisation:
    """How a modality becomes network input; stored in the bundle.

    Intensities are clipped at two percentiles of the brain, then centred and scaled by the
    brain's mean and standard deviation, then clipped again; air is 0.
    """

    low_percentile: float = 0.5
    high_percentile: float = 99.5
    clip_low: float = -4.0
    clip_high: float = 6.0

    def __post_init__(self) -> None:
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError("two percentiles from 0 to 100, the lower one first")
        if not -1000 <= self.clip_low < self.clip_high <= 1000:
            raise ValueError("two ends from -1000 to 1000, the lower one first")


@dataclass(frozen=True)
class SliceFrame:
    """Where the network's slices lie in a case.

    Parameters
    ----------
    shape : (S, P, L)
        Shape of the case.
    indices : tuple of int
        The case's slices that the network sees, in order.
    rows, columns : (start, stop)
        The crop in the case's voxels; may reach beyond the volume (there is air).
    network_shape : (H, W)
        Rows and columns of a network slice.
    """

    shape: tuple[int, int, int]
    indices: tuple[int, ...]
    rows: tuple[int, int]
    columns: tuple[int, int]
    network_shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.indices)

    def _inside(self) -> tuple[slice, slice, slice, slice]:
        """Return the crop's part inside the volume, in indices of the volume and of the crop."""
        (r0, r1), (c0, c1) = self.rows, self.columns
        _, height, width = self.shape
        volume_rows, volume_columns = (
            slice(max(r0, 0), min(r1, height)),
            slice(max(c0, 0), min(c1, width)),
        )
        return (
            volume_rows,
            volume_columns,
            slice(volume_rows.start - r0, volume_rows.stop - r0),
            slice(volume_columns.start - c0, volume_columns.stop - c0),
        )

    def take(self, volume: NDArray[Any]) -> NDArray[np.float32]:
        """Crop the network's slices and average them to its pixels, (S, P, L) -> (N, H, W)."""
        rows, columns, crop_rows, crop_columns = self._inside()
        height, width = self.network_shape
        down = area_matrix(self.rows[1] - self.rows[0], height)[:, crop_rows]
        across = area_matrix(self.columns[1] - self.columns[0], width)[:, crop_columns]
        crop = volume[list(self.indices), rows, columns]
        return np.ascontiguousarray(down @ crop.astype(np.float32, copy=False) @ across.T)

    def put_back(
        self, maps: NDArray[np.floating], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Enlarge maps of any resolution to the case's grid (bilinear), (N, h, w) -> (S, P, L).

        Outside the crop, and on slices that the network did not see, the result is 0.
        """
        rows, columns, crop_rows, crop_columns = self._inside()
        down = bilinear_matrix(maps.shape[1], self.rows[1] - self.rows[0])[crop_rows]
        across = bilinear_matrix(maps.shape[2], self.columns[1] - self.columns[0])[crop_columns]
        if out is None:
            out = np.zeros(self.shape, dtype=np.float32)
        # A few slices at a time: the intermediate stays in the cache.
        for start in range(0, len(self.indices), 8):
            part = maps[start : start + 8].astype(np.float32, copy=False)
            enlarged = down @ part @ across.T
            for index, plane in zip(self.indices[start : start + 8], enlarged, strict=True):
                out[index, rows, columns] = plane
        return out


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Network input for one case.

    Parameters
    ----------
    images : ndarray of float32, shape (N, C, H, W)
        Normalised modalities in the bundle's order; 0 in air and for a missing modality.
    brain : ndarray of bool, shape (N, H, W)
        Pixels of the brain.
    frame : SliceFrame
        Where the slices lie in the case.
    missing : tuple of Modality
        Modalities the bundle knows and the case lacks.
    """

    images: NDArray[np.float32]
    brain: NDArray[np.bool_]
    frame: SliceFrame
    missing: tuple[Modality, ...]

    def on(self, device: torch.device, where: slice | list[int]) -> tuple[Tensor, Tensor]:
        """Return some slices, (B, C, H, W), and their brain, (B, 1, H, W), on a device."""
        import torch

        images = torch.from_numpy(self.images[where]).to(device)
        brain = torch.from_numpy(self.brain[where]).to(device)[:, None].float()
        return images.contiguous(memory_format=torch.channels_last), brain


def cutting_slices(
    case: Case,
    modalities: Sequence[Modality],
    *,
    pixel_mm: float = 1.5,
    normalisation: Normalisation | None = None,
    min_brain_cm2: float = 5.0,
    margin_mm: float = 6.0,
) -> Generator[Progress, None, SliceStack]:
    """Normalise a case, crop it to the brain and bring it to the network's pixels.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    modalities : sequence of Modality
        The network's channels, in its order; those the case lacks become 0.
    pixel_mm : float
        In-plane pixel of the network in mm; the slice distance stays the case's own.
    normalisation : Normalisation, optional
        How intensities are scaled; the defaults of `Normalisation` if not given.
    min_brain_cm2 : float
        Slices with less brain than this are left out.
    margin_mm : float
        Air kept around the brain.

    Raises
    ------
    CaseError
        If no slice shows enough brain.
    """
    yield Progress(0, 1, "preparing slices")
    frame = frame_slices(case, pixel_mm, min_brain_cm2, margin_mm)
    brain = frame.take(case.brain) > 0.5
    total, channels = len(frame), len(modalities)
    images = np.zeros((total, channels, *frame.network_shape), dtype=np.float32)
    present = [c for c, modality in enumerate(modalities) if modality in case.volumes]
    yield Progress(0, total, "preparing slices")
    volumes = [case.volumes[modalities[c]] for c in present]
    with ThreadPoolExecutor() as pool:  # NumPy lets go of the GIL
        normalised = pool.map(lambda v: normalise(v, case.brain, normalisation), volumes)
        # Matrix products have threads of their own and gain nothing from ours.
        for channel, volume in zip(present, normalised, strict=True):
            images[:, channel] = frame.take(volume) * brain
    missing = tuple(m for m in modalities if m not in case.volumes)
    return SliceStack(images=images, brain=brain, frame=frame, missing=missing)


cut_slices = finished(cutting_slices, "cut_slices")


def frame_slices(case: Case, pixel_mm: float, min_brain_cm2: float, margin_mm: float) -> SliceFrame:
    """Find the slices with brain and a crop around it whose network size is a whole number."""
    _, row_mm, column_mm = case.grid.spacing
    brain = case.brain
    area_cm2 = brain.sum(axis=(1, 2)) * row_mm * column_mm / 100.0
    indices = np.flatnonzero(area_cm2 >= min_brain_cm2)
    if indices.size == 0:
        raise CaseError(
            f'Case "{case.name}" shows no brain (every slice has less than '
            f"{min_brain_cm2:g} cm² that is not 0); check that its files are images, not masks."
        )
    spans, sizes = [], []
    for axis, mm in ((2, row_mm), (1, column_mm)):
        seen = np.flatnonzero(brain[indices].any(axis=(0, axis)))
        low, high = seen[0] - margin_mm / mm, seen[-1] + 1 + margin_mm / mm
        pixels = (high - low) * mm / pixel_mm
        size = max(1, int(np.ceil(pixels / SIDE_MULTIPLE))) * SIDE_MULTIPLE
        length = max(1, round(size * pixel_mm / mm))
        start = round((low + high - length) / 2)
        spans.append((int(start), int(start + length)))
        sizes.append(size)
    return SliceFrame(
        shape=case.grid.shape,
        indices=tuple(int(i) for i in indices),
        rows=spans[0],
        columns=spans[1],
        network_shape=(sizes[0], sizes[1]),
    )


def normalise(
    volume: NDArray[np.generic],
    brain: NDArray[np.bool_],
    normalisation: Normalisation | None = None,
) -> NDArray[np.float32]:
    """Clip at percentiles of the brain, centre and scale by it; air becomes 0.

    Parameters
    ----------
    volume, brain : ndarray, same shape
        ``brain`` must hold at least one voxel.
    normalisation : Normalisation, optional
        How intensities are scaled; the defaults of `Normalisation` if not given.

    Returns
    -------
    ndarray of float32, same shape
        A constant volume becomes 0 everywhere.
    """
    how = normalisation or Normalisation()
    values = volume[brain].astype(np.float32)
    low, high = np.percentile(values, (how.low_percentile, how.high_percentile))
    np.clip(values, low, high, out=values)
    mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    out = np.zeros(volume.shape, dtype=np.float32)
    if std > 1e-6 * abs(mean):  # whatever the unit is
        out[brain] = np.clip((values - mean) / std, how.clip_low, how.clip_high)
    return out


@lru_cache(maxsize=64)
def area_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Averaging of ``source`` pixels into ``target`` (rows sum to 1), (target, source)."""
    edges = np.linspace(0.0, source, target + 1)
    left, right = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)[None]
    overlap = np.clip(np.minimum(right, pixel + 1) - np.maximum(left, pixel), 0.0, None)
    if target > source:  # enlarging: averaging would leave steps
        return bilinear_matrix(source, target)
    matrix: NDArray[np.float32] = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=64)
def bilinear_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Bilinear interpolation with pixel edges aligned, as torch's ``align_corners=False``."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0.0, source - 1.0)
    low = np.minimum(position.astype(int), max(source - 2, 0))
    weight = position - low
    matrix = np.zeros((target, source), dtype=np.float32)
    matrix[np.arange(target), low] = 1.0 - weight
    matrix[np.arange(target), np.minimum(low + 1, source - 1)] += weight
    matrix.flags.writeable = False
    return matrix
