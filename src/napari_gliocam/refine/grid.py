"""Gaussian filtering of points that lie on a grid: exact, one small matrix an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class GridFilter:
    """A Gaussian filter over N voxels of a grid, normalised as that of `lattice.Lattice`.

    Parameters
    ----------
    where : Tensor of int64, shape (N,)
        The voxels, as flat indices; the others are 0.
    matrices : tuple of Tensor or None
        The kernel along each axis, square; None: that axis is not filtered.
    norm : Tensor of float32, shape (N,)
        ``D^-1/2``.
    """

    where: Tensor
    shape: tuple[int, ...]
    matrices: tuple[Tensor | None, ...]
    norm: Tensor

    def __matmul__(self, values: Tensor) -> Tensor:
        """Filter values of shape (K, N) of float32; each row by itself."""
        return self._filter(values * self.norm) * self.norm

    def _filter(self, values: Tensor) -> Tensor:
        grid = values.new_zeros(len(values), *self.shape)
        grid.view(len(values), -1).index_copy_(1, self.where, values)
        for axis, matrix in enumerate(self.matrices, start=1):
            if matrix is not None:
                grid = torch.tensordot(grid, matrix, dims=([axis], [0])).movedim(-1, axis)
        return grid.reshape(len(values), -1).index_select(1, self.where)


def make_grid_filter(
    where: Tensor, shape: Sequence[int], widths: Sequence[float | None]
) -> GridFilter:
    """Apply the filter ``exp(-|x_i - x_j|² / 2)`` over voxels of a grid.

    Parameters
    ----------
    where : Tensor of int64, shape (N,)
        Flat indices of the voxels, without repetition.
    shape : sequence of int
        Of the grid.
    widths : sequence of float or None
        Standard deviation along each axis in voxels; None: slices along it do not see each other.
    """
    matrices = []
    for length, width in zip(shape, widths, strict=True):
        at = torch.arange(length, dtype=torch.float32, device=where.device)
        matrix = None if width is None else torch.exp(-(((at[:, None] - at) / width) ** 2) / 2)
        matrices.append(matrix)
    ones = torch.ones(len(where), device=where.device)
    plain = GridFilter(where, tuple(shape), tuple(matrices), ones)
    norm = plain._filter(ones[None])[0].add_(1e-20).rsqrt_()
    return GridFilter(plain.where, plain.shape, plain.matrices, norm)
