"""Progress of long work, and the one driver of its generators."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
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


def finish(
    work: Generator[Progress, None, T], report: Callable[[Progress], object] | None = None
) -> T:
    """Run a generator of progress to its end and return its result.

    Parameters
    ----------
    work : generator of Progress
        The work; closed if ``report`` raises.
    report : callable, optional
        Called with each `Progress`.
    """
    try:
        while True:
            progress = next(work)
            if report is not None:
                report(progress)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        work.close()


def finished(work: Callable[P, Generator[Progress, None, T]], name: str) -> Callable[P, T]:
    """Return a function that runs a generator of progress to its end, with the same parameters.

    Parameters
    ----------
    work : callable
        The generator.
    name : str
        What the function is called in its module, where `pickle` finds it for other processes.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return finish(work(*args, **kwargs))

    run.__name__ = run.__qualname__ = name
    return run
