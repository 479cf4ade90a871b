"""One case after the other, with a bar: what every command that takes several cases does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from napari_gliocam.cli import batch as cli_batch
from napari_gliocam.cli.batch import Planned, Request
from napari_gliocam.cli.console import Bar
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finish

T = TypeVar("T")
#: Works on one case with a `Bundle`, or with None where no network runs.
Work = Callable[[Planned, Any], Generator[Progress, None, T]]


def each_case(
    planned: list[Planned],
    request: Request,
    work: Work[T],
    outcome: Callable[..., T],
    bar: Bar,
    *,
    networks: bool = True,
) -> Iterator[T]:
    """What became of each case; the bundle is loaded once, when a case needs it.

    Parameters
    ----------
    planned : list of Planned
    request : Request
        Which bundle, on which device.
    work : callable
        Makes the generator for a case; failures of that case are outcomes.
    outcome : callable
        Makes the outcome of a case that cannot be worked on, from name, source and ``error=``.
    bar : callable
        Opens a bar of progress with a title.
    networks : bool
        Whether any network runs.
    """
    bundle, broken = None, None
    for number, item in enumerate(planned, start=1):
        if item.files is None or broken:
            yield outcome(item.name, item.source, error=item.error or broken)
            continue
        title = item.name if len(planned) == 1 else f"{item.name} ({number} of {len(planned)})"
        with bar(title) as report:
            try:
                if networks and bundle is None:
                    report(Progress(0, 1, "loading the networks"))
                    bundle = cli_batch.open_bundle(request)
                one = finish(work(item, bundle), report)
            except GliocamError as error:  # of the bundle or the device: the same for every case
                broken = str(error)
                one = outcome(item.name, item.source, error=broken)
        yield one
