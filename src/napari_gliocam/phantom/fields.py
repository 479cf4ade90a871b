"""Smooth random fields on the slices of a phantom, the material of every irregular shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """Positions of a phantom's voxels: any slice positions, regular rows and columns.

    Parameters
    ----------
    z : ndarray, (n,)
        Slice positions in mm, upwards from the brain's centre.
    shape : (rows, columns)
        Voxels of a slice.
    pixel_mm : (row, column)
        In-plane spacing.
    device : torch.device
        Where the phantom is drawn.
    """

    z: np.ndarray
    shape: tuple[int, int]
    pixel_mm: tuple[float, float] = (1.5, 1.5)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return coordinates in mm along S, P and L; rows and columns are centred."""
        rows, columns = (
            (np.arange(n) - (n - 1) / 2) * mm
            for n, mm in zip(self.shape, self.pixel_mm, strict=True)
        )
        return np.asarray(self.z, dtype=np.float64), rows, columns

    @cached_property
    def points(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the coordinates as tensors that broadcast to (n, rows, columns)."""
        z, y, x = (torch.as_tensor(a, dtype=torch.float32, device=self.device) for a in self.axes)
        return z[:, None, None], y[None, :, None], x[None, None, :]

    @property
    def size(self) -> tuple[int, int, int]:
        """(n, rows, columns)."""
        return len(self.z), *self.shape


class Fields:
    """Draws random numbers and unit-variance Gaussian fields from one seed.

    Parameters
    ----------
    grid : SliceGrid
        Where the voxels lie.
    rng : numpy Generator
        Source of all random numbers.
    """

    def __init__(self, grid: SliceGrid, rng: np.random.Generator) -> None:
        self.grid = grid
        self.rng = rng

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw one number between two bounds."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < probability)

    def log_uniform(self, low: float, high: float) -> float:
        """Draw one number, uniform in its logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def places(self, weight: Tensor, count: int) -> list[tuple[int, ...]]:
        """Draw indices of voxels by weight, with repetition; none where all weights are 0."""
        draws = torch.from_numpy(self.rng.random(count))
        # In double precision: a float32 sum over a volume would lose its small terms.
        cumulative = weight.flatten().double().cumsum(0)
        total = cumulative[-1:]
        if float(total) <= 0:
            return []
        found = torch.searchsorted(cumulative, draws.to(weight.device) * total)
        found = found.clamp_max(weight.numel() - 1)
        return [tuple(int(i) for i in np.unravel_index(f, weight.shape)) for f in found.tolist()]

    def white(self) -> Tensor:
        """Draw independent normal noise in every voxel, (n, rows, columns)."""
        size, device = self.grid.size, self.grid.device
        if device.type == "cpu":
            return torch.from_numpy(self.rng.standard_normal(size, dtype=np.float32))
        # Millions of numbers are drawn where they are needed.
        own = torch.Generator(device).manual_seed(int(self.rng.integers(2**62)))
        return torch.randn(size, generator=own, device=device)

    def smooth(self, scale_mm: float) -> Tensor:
        """Draw a Gaussian field of mean 0, variance 1 and a correlation length, (n, rows, columns).

        White noise on a lattice as wide as the scale, spread by Gaussian kernels along each
        axis: three small matrix products, whatever the scale.  Where slices are fewer than the
        lattice's planes, their planes are drawn at once, with the covariance that the lattice
        would give them: random numbers, not products, are what takes time.
        """
        kernels = [self._kernel(axis, scale_mm) for axis in self.grid.axes]
        if kernels[0].shape[1] > kernels[0].shape[0]:
            kernels[0] = self._plane_mixing(scale_mm)
        size = [k.shape[1] for k in kernels]
        noise = self._to_device(self.rng.standard_normal(size, dtype=np.float32))
        kz, ky, kx = (self._to_device(k) for k in kernels)
        # Columns first, as one product of two matrices: a batch of small ones is slower.
        spread = noise.reshape(-1, size[2]) @ kx.T
        planes = kz @ spread.reshape(size[0], -1)
        field: Tensor = ky @ planes.reshape(len(kz), size[1], -1)
        return field

    def _to_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.grid.device)

    def fractal(self, scale_mm: float) -> Tensor:
        """Draw three octaves of `smooth`, variance 1."""
        octaves = ((1.0, 1.0), (0.6, 2.0), (0.35, 4.0))
        total = sum(w * self.smooth(scale_mm / d) for w, d in octaves)
        assert isinstance(total, Tensor)
        return total / float(np.sqrt(sum(w * w for w, _ in octaves)))

    def _kernel(self, axis: np.ndarray, scale: float) -> np.ndarray:
        """Return Gaussian weights (points, nodes) from nodes to points, rows of unit norm."""
        step = np.diff(np.sort(axis)).min() if len(axis) > 1 else np.inf
        if scale < 0.8 * step:  # neighbours are independent
            return np.eye(len(axis), dtype=np.float32)
        offset = self.rng.random() * scale
        nodes = np.arange(axis.min() - 2 * scale - offset, axis.max() + 3 * scale, scale)
        weights = np.exp(-0.5 * ((axis[:, None] - nodes[None]) / (0.7 * scale)) ** 2)
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        return weights.astype(np.float32)

    def _plane_mixing(self, scale: float) -> np.ndarray:
        """Return the root of the covariance of the slices, (n, n), for infinitely many nodes."""
        distance = self.grid.axes[0][:, None] - self.grid.axes[0][None]
        covariance = np.exp(-0.25 * (distance / (0.7 * scale)) ** 2)
        # Two slices may lie at the same place; a little of their own keeps the root real.
        covariance[np.diag_indices_from(covariance)] += 1e-6
        root: np.ndarray = np.linalg.cholesky(covariance).astype(np.float32)
        return root


def soft_step(level: Tensor, width: float | Tensor = 1.0) -> Tensor:
    """Compute a logistic step: 0 far below zero, 1 far above, over a width in the level's unit."""
    return torch.sigmoid((level / width).clamp(-30, 30))


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Blur each slice by a Gaussian, (..., rows, columns)."""
    if sigma_px < 0.15:
        return image
    radius = max(1, int(np.ceil(3 * sigma_px)))
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (x / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    flat = image.reshape(-1, 1, *image.shape[-2:])
    flat = torch.nn.functional.conv2d(flat, kernel[None, None, :, None], padding=(radius, 0))
    flat = torch.nn.functional.conv2d(flat, kernel[None, None, None, :], padding=(0, radius))
    return flat.reshape(image.shape)
