"""What long work yields while it runs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """A report of real counts.

    Parameters
    ----------
    done, total : int
        Units finished, units in all (slices, channels, cases); ``0 <= done <= total``.
    what : str
        The stage in words a user reads, such as ``"tumour network"``.
    """

    done: int
    total: int
    what: str


def finish(work: Generator[Progress, None, T]) -> T:
    """Run a generator of progress to its end and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result
