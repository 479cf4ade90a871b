"""Independent pieces of work on all cores, with progress and a quick way out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import TypeVar

import torch

from napari_gliocam.progress import Progress

T = TypeVar("T")

#: More threads than this gain nothing: the interpreter is shared.
MOST_THREADS = 4


def in_threads(
    work: Callable[[T], Generator[Progress, None, None]], items: Iterable[T], what: str
) -> Generator[Progress, None, None]:
    """Run a generator for each item, a few at a time; closing stops each at its next yield.

    The threads rest while the caller holds a report of progress, so that what it does meanwhile,
    such as the slice in view, has all cores.

    Parameters
    ----------
    work : callable
        Makes the generator for an item; it runs in another thread and lets go of the GIL.
    items : iterable
        Work items in order.
    what : str
        The stage in words.

    Yields
    ------
    Progress
        Items done, at least five times a second.
    """
    todo = list(items)
    stopped, wanted = Event(), Event()
    wanted.set()

    def run(item: T) -> None:
        for _ in work(item):
            wanted.wait()
            if stopped.is_set():
                return

    # Threads of torch within these would be in each other's way.
    before = torch.get_num_threads()
    workers = min(MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool:
        pending = {pool.submit(run, item) for item in todo}
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                wanted.clear()
                yield Progress(len(todo) - len(pending), len(todo), what)
                wanted.set()
        finally:
            stopped.set()
            wanted.set()
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(before)
