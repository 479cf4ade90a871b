"""Content that takes the place of pixels: the brain's mean, a blur, the mirrored side, a guess."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.trust.scoring import MappedSlice

#: ``mean``: the mean of the slice's brain, sequence by sequence.  ``blur``: the slice blurred, so
#: that fine structure goes and the coarse stays.  ``mirror``: the other side of the brain.
Fill = Literal["mean", "blur", "mirror"]
FILLS: tuple[Fill, ...] = get_args(Fill)

#: Standard deviation of the blur in pixels of the network; 15 mm at the usual 1.5 mm.
BLUR_SIGMA = 10.0

#: A pixel is marked by a map from here on, so that its mirror image is no healthy tissue.
_MARKED = 0.5

#: Weight of each neighbour in the noisy linear imputation (Rong et al. 2022, section 4).
_NEIGHBOURS = {
    **dict.fromkeys(((0, 1), (0, -1), (1, 0), (-1, 0)), 1 / 6),
    **dict.fromkeys(((1, 1), (1, -1), (-1, 1), (-1, -1)), 1 / 12),
}
#: Pull towards the mean of the brain; decides only where no neighbour is known.
_PULL = 1e-9


def fill_of(slice_: MappedSlice, how: Fill) -> Tensor:
    """Return what takes the place of a slice's pixels, (C, H, W); air stays 0.

    Parameters
    ----------
    slice_ : MappedSlice
        The slice with its map.
    how : {"mean", "blur", "mirror"}
        Mean of the slice's brain; the slice blurred over the brain; or the pixel at the mirrored
        place, and the mean where that lies in air or is marked by the map itself (above 0.5).
    """
    image, brain = slice_.image, slice_.brain
    mean = (image * brain).sum(dim=(1, 2)) / brain.sum().clamp_min(1)
    flat = mean[:, None, None] * brain
    if how == "mean":
        return flat
    if how == "blur":
        return _blur(image, brain)
    other, healthy = _mirrored(slice_)
    return torch.where(healthy, other, flat) * brain


def _blur(image: Tensor, brain: Tensor) -> Tensor:
    """Blur over the brain alone, so that air darkens nothing."""
    from scipy.ndimage import gaussian_filter

    inside = brain[0].cpu().numpy()
    share = gaussian_filter(inside, BLUR_SIGMA, mode="constant")
    blurred = [gaussian_filter(c, BLUR_SIGMA, mode="constant") for c in image.cpu().numpy()]
    filled = np.stack(blurred) / np.maximum(share, 1e-6) * inside
    return torch.from_numpy(filled.astype(np.float32)).to(image.device)


def _mirrored(slice_: MappedSlice) -> tuple[Tensor, Tensor]:
    """Return the slice mirrored, (C, H, W), and where that is healthy brain, (H, W)."""
    inside = slice_.inside
    columns = mirror_columns(inside)
    there = (columns >= 0) & (columns < inside.shape[1])
    columns = columns.clip(0, inside.shape[1] - 1)
    healthy = inside[:, columns] & there & (slice_.map_[:, columns] <= _MARKED)
    where = torch.from_numpy(columns).to(slice_.image.device)
    return slice_.image[:, :, where], torch.from_numpy(healthy).to(slice_.image.device)


def mirror_columns(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the column at the mirrored place of each column; may lie outside of the picture.

    The plane of symmetry is the one about which the brain agrees best with its mirror image.

    Parameters
    ----------
    inside : ndarray of bool, (H, W)
        Pixels of the brain; columns run from the patient's right to the left.
    """
    width = inside.shape[1]
    areas = inside.sum(axis=0).astype(np.float64)
    agreement = np.convolve(areas, areas)  # at s: sum over columns a + b = s
    total = int(agreement.argmax())
    return total - np.arange(width)


def impute(
    slice_: MappedSlice, removed: NDArray[np.bool_], *, noise: float = 0.01, seed: int = 0
) -> Tensor:
    """Replace pixels by a noisy guess from their neighbours (Rong et al. 2022, section 4).

    Every removed pixel is the weighted mean of its eight neighbours in the brain, which is one
    sparse linear system; noise hides from the network how smooth that is.

    Parameters
    ----------
    slice_ : MappedSlice
        The slice.
    removed : ndarray of bool, (H, W)
        Pixels of the brain to replace.
    noise : float
        Standard deviation; the network's input has one of 1 over the brain.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor, (C, H, W)
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    image = slice_.image.cpu().numpy().astype(np.float64)
    inside, (height, width) = slice_.inside, removed.shape
    where = np.flatnonzero(removed.ravel())
    if not where.size:
        return slice_.image.clone()
    flat = image.reshape(len(image), -1)
    number = np.full(removed.size, -1)
    number[where] = np.arange(where.size)
    y, x = np.divmod(where, width)
    own = np.full(where.size, _PULL)
    right = _PULL * np.repeat(flat[:, inside.ravel()].mean(axis=1)[None], where.size, axis=0)
    rows, columns, values = [], [], []
    for (dy, dx), weight in _NEIGHBOURS.items():
        there = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        there[there] &= inside.ravel()[where[there] + dy * width + dx]
        own[there] += weight
        known = np.flatnonzero(there)
        neighbour = where[known] + dy * width + dx
        gone = number[neighbour] >= 0
        rows.append(known[gone])
        columns.append(number[neighbour[gone]])
        values.append(np.full(int(gone.sum()), -weight))
        right[known[~gone]] += weight * flat[:, neighbour[~gone]].T
    every = np.arange(where.size)
    system = coo_matrix(
        (
            np.concatenate([*values, own]),
            (np.concatenate([*rows, every]), np.concatenate([*columns, every])),
        )
    ).tocsc()
    solved = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
    draw = torch.randn(where.size, len(image), generator=torch.Generator().manual_seed(seed))
    filled = slice_.image.clone()
    guess = torch.from_numpy(solved).float() + noise * draw
    pixels = torch.from_numpy(where).to(filled.device)
    filled.view(len(image), -1)[:, pixels] = guess.T.to(filled.device)
    return filled
