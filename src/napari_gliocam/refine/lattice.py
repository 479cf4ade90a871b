"""Gaussian filtering of scattered points in a few dimensions, on the permutohedral lattice.

Adams, Baek and Davis 2010, "Fast high-dimensional filtering using the permutohedral lattice":
values are spread over the corners of the simplex that a point lies in (splat), blurred along
the lattice's d + 1 directions, and gathered again (slice).  All of it is picking and adding, which
torch does on every device, so nothing has to be compiled.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gliocam.progress import Progress, finished

#: Number of keys that a 64-bit integer can tell apart for certain.
_ROOM = 2**62


@dataclass(frozen=True, eq=False)
class Bags:
    """A sparse matrix: row i is the weighted sum of the values that bag i names.

    Parameters
    ----------
    index : Tensor of int32, shape (E,)
        Where each entry belongs.
    offset : Tensor of int32, shape (rows + 1,)
        Bag i holds ``index[offset[i] : offset[i + 1]]``.
    weight : Tensor of float32, shape (E,)
        Weight of each entry.
    """

    index: Tensor
    offset: Tensor
    weight: Tensor

    def __matmul__(self, values: Tensor) -> Tensor:
        return F.embedding_bag(
            self.index,
            values[:, None],
            self.offset,
            mode="sum",
            per_sample_weights=self.weight,
            include_last_offset=True,
        )[:, 0]


@dataclass(frozen=True, eq=False)
class Lattice:
    """A Gaussian filter over N points, ``K̃ = D^-1/2 K D^-1/2`` with ``D = K 1``.

    The symmetric normalisation is that of Krähenbühl and Koltun's released code; what a
    point gives itself is part of the sum.

    Parameters
    ----------
    splat, slice_ : Bags
        From points to M vertices and back; the normalisation is in their weights.
    neighbours : tuple of (Tensor, Tensor) of int32, each of shape (M + 1,)
        The next and the last vertex along each of the d + 1 directions, or M, where a 0 lies.
    """

    splat: Bags
    neighbours: tuple[tuple[Tensor, Tensor], ...]
    slice_: Bags

    def __matmul__(self, values: Tensor) -> Tensor:
        """Filter values of shape (K, N) of float32; each row by itself."""
        return torch.stack([self._filter(row) for row in values])

    def _filter(self, values: Tensor) -> Tensor:
        # One row at a time: picking single numbers is several times faster than short rows.
        vertices = F.pad(self.splat @ values, (0, 1))
        for ahead, behind in self.neighbours:
            both = vertices.index_select(0, ahead).add_(vertices.index_select(0, behind))
            vertices = vertices.add(both, alpha=0.5)
        return self.slice_ @ vertices


def making_lattice(
    features: Tensor, group: Tensor | None = None
) -> Generator[Progress, None, Lattice]:
    """Make the filter ``exp(-|f_i - f_j|² / 2)`` over points, on the device of the features.

    Parameters
    ----------
    features : Tensor of float32, shape (d, N)
        Finite positions, in standard deviations of the kernel.
    group : Tensor of int64, shape (N,), optional
        From 0; points of different groups do not see each other, so that many slices are
        filtered in one call.
    """
    d, count = features.shape
    steps = d + 5
    vertex, rank = _nearest_vertex(features)
    yield Progress(1, steps, "building the CRF")
    weight = _barycentric(vertex, rank)
    keys, directions = _keys(vertex[1], rank, group)
    yield Progress(2, steps, "building the CRF")
    # Sorting the corners by key gives the vertices, and the splat's bags with them.
    keys, order = keys.flatten().sort()
    yield Progress(3, steps, "building the CRF")
    new = torch.ones_like(keys, dtype=torch.bool)
    torch.ne(keys[1:], keys[:-1], out=new[1:])
    starts = new.nonzero().flatten()
    number = new.cumsum(0, dtype=torch.int32) - 1
    corner = torch.empty_like(number).scatter_(0, order, number)
    keys = keys[starts]
    neighbours = []
    for done, step in enumerate(directions, start=4):
        neighbours.append(_neighbours(keys, step))
        yield Progress(done, steps, "building the CRF")
    ends = torch.arange(0, (d + 1) * count + 1, d + 1, dtype=torch.int32, device=features.device)
    plain = Lattice(
        Bags(
            (order % count).int(),
            F.pad(starts, (0, 1), value=(d + 1) * count).int(),
            weight.flatten().index_select(0, order),
        ),
        tuple(neighbours),
        Bags(corner.view(d + 1, count).T.flatten(), ends, weight.T.flatten()),
    )
    norm = (plain @ features.new_ones(1, count))[0].add_(1e-20).rsqrt_()
    plain.splat.weight.mul_(norm.index_select(0, plain.splat.index))
    plain.slice_.weight.view(count, d + 1).mul_(norm[:, None])
    return plain


make_lattice = finished(making_lattice, "make_lattice")


def _nearest_vertex(features: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Embed points in the plane of sum 0 and find each one's simplex (Adams et al., section 3.2).

    Returns
    -------
    (elevated, origin), rank : Tensor
        All (d + 1, N): the embedded point, the nearest vertex of remainder 0 in units of d + 1,
        and the order of the differences (rank 0 is the largest).
    """
    d, count = features.shape
    # A blur of [1 2 1] along each direction has this spread in the embedding.
    spread = math.sqrt(2 / 3) * (d + 1)
    elevated = features.new_empty(d + 1, count)
    total = features.new_zeros(count)
    for axis in range(d, 0, -1):
        scaled = features[axis - 1] * (spread / math.sqrt(axis * (axis + 1)))
        elevated[axis] = total - axis * scaled
        total += scaled
    elevated[0] = total
    origin = (elevated / (d + 1)).round_()
    difference = elevated - origin * (d + 1)
    excess = origin.sum(0).int()
    rank = excess.expand(d + 1, count).clone()
    for a in range(d + 1):
        for b in range(a + 1, d + 1):
            less = difference[a] < difference[b]
            rank[a] += less
            rank[b] += ~less
    # Where the rounded point left the plane, the outermost coordinates step back.
    step = (rank < 0).int() - (rank > d).int()
    rank += step * (d + 1)
    origin += step
    return (elevated, origin), rank


def _barycentric(vertex: tuple[Tensor, Tensor], rank: Tensor) -> Tensor:
    """Return the weights of the d + 1 corners, (d + 1, N), each in [0, 1], summing to 1."""
    elevated, origin = vertex
    d = len(rank) - 1
    delta = elevated / (d + 1) - origin
    falling = torch.empty_like(delta).scatter_(0, rank.long(), delta)
    weight = torch.empty_like(delta)
    weight[0] = 1 - (falling[0] - falling[d])
    weight[1:] = (falling[:-1] - falling[1:]).flip(0)
    return weight


def _keys(origin: Tensor, rank: Tensor, group: Tensor | None) -> tuple[Tensor, list[int]]:
    """Enumerate the corners, (d + 1, N) of int64, and what is added to step along each direction.

    A key is linear in the coordinates, so a neighbour's key is a sum.  Where they would not fit
    into 64 bits, fixed random factors stand for the strides; two of M vertices then share a key
    with a probability of M² / 2^64.
    """
    d = len(rank) - 1
    base = (origin[:d] * (d + 1)).long()
    low = base.amin(1, keepdim=True) - 2 * (d + 1)
    sizes: list[int] = (base.amax(1) + 2 * (d + 1) - low[:, 0] + 1).tolist()
    groups = 1 if group is None else int(group.max()) + 1
    if math.prod(sizes) * groups < _ROOM:
        strides = [math.prod(sizes[axis + 1 :]) for axis in range(d)]
        group_stride = math.prod(sizes)
    else:
        random = torch.Generator().manual_seed(0)
        drawn = torch.randint(_ROOM, (d + 1,), generator=random).tolist()
        *strides, group_stride = (value | 1 for value in drawn)
    stride = torch.tensor([*strides, 0], device=rank.device)
    key = ((base - low) * stride[:d, None]).sum(0)
    if group is not None:
        key += group * group_stride
    # From corner r to r + 1 every coordinate grows by 1, but that of rank d - r falls by d.
    by_rank = torch.empty(rank.shape, dtype=torch.int64, device=rank.device)
    by_rank.scatter_(0, rank.long(), stride[:, None].expand(rank.shape))
    whole = sum(strides)
    keys = torch.empty_like(by_rank)
    keys[0] = key
    for r in range(d):
        keys[r + 1] = keys[r] + _wrap(whole) - (d + 1) * by_rank[d - r]
    return keys, [_wrap(whole - (d + 1) * s) for s in (*strides, 0)]


def _wrap(value: int) -> int:
    """Wrap an integer as 64-bit arithmetic does."""
    return (value + 2**63) % 2**64 - 2**63


def _neighbours(keys: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Return the vertices one step ahead and one step behind; the last entry is for padding."""
    count = len(keys)
    wanted = keys + step
    if keys.device.type == "cpu":  # NumPy makes use of the order of what is sought: half the time
        found = torch.from_numpy(np.searchsorted(keys.numpy(), wanted.numpy()))
    else:
        found = torch.searchsorted(keys, wanted)
    found.clamp_(max=count - 1)
    first = keys.index_select(0, found).eq_(wanted).nonzero().flatten()
    second = found.index_select(0, first)
    ahead = torch.full((count + 1,), count, dtype=torch.int32, device=keys.device)
    behind = ahead.clone()
    ahead.scatter_(0, first, second.int())
    behind.scatter_(0, second, first.int())
    return ahead, behind
