"""Rows and sums over all processes that train together, so that they learn as one would.

Batches are dealt out row by row (`napari_gliocam.train.data.batches`); DDP averages the gradients.
A loss that compares rows with each other, or divides by a count of pixels, must look at the rows
and pixels of all processes.  With one process everything here is the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def world_size() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if _together() else 1


def gather_rows(rows: Tensor, views: int = 1) -> Tensor:
    """Return the rows of all processes in the order in which one process would have them.

    Parameters
    ----------
    rows : Tensor, (V * B_r, ...)
        Rows of this process, V views one after the other; B_r may differ by one between processes.
    views : int
        Number of views V.

    Returns
    -------
    Tensor, (V * B, ...)
        With the gradients of all: each process's loss is that of the whole batch, and the mean
        over the processes that DDP takes of the gradients is right.
    """
    if not _together():
        return rows
    from torch.distributed.nn.functional import all_gather

    own = rows.reshape(views, -1, *rows.shape[1:]).transpose(0, 1)
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    distributed.all_gather(counts, torch.tensor([len(own)], device=rows.device))
    most = int(torch.stack(counts).max())
    if len(own) < most:
        own = torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])])
    dealt = torch.stack(list(all_gather(own.contiguous())), dim=1)  # type: ignore[no-untyped-call]
    dealt = dealt.flatten(0, 1)
    whole = dealt[: int(torch.stack(counts).sum())]
    return whole.transpose(0, 1).reshape(views * len(whole), *rows.shape[1:])


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a value over the processes, without gradient."""
    if not _together():
        return value.detach()
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / world_size()


def mean_over_rows(values: Tensor) -> Tensor:
    """Return the mean of this process's rows, so weighted that the mean over processes is right.

    Parameters
    ----------
    values : Tensor, (B_r, ...)
        Values of this process's rows.
    """
    if not _together():
        return values.mean()
    count = torch.tensor(float(len(values)), device=values.device)
    return values.mean() * (count / mean_over_processes(count))


def _together() -> bool:
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )
