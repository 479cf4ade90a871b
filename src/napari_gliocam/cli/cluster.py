"""Many cases on a Dask cluster: one driver beside the loop over cases in `cli.batch`.

A case is a task.  Work, files and errors are those of the loop; workers see the same folders.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from napari_gliocam.cli.batch import Outcome, Planned, Work, open_bundle, outcome_of
from napari_gliocam.cli.console import bar
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import SegmentRequest

if TYPE_CHECKING:
    from distributed import Client

    from napari_gliocam.nets.bundle import Bundle

T = TypeVar("T")

#: Packages of which all machines must have the same version.
_PACKAGES = ("napari-gliocam", "distributed", "cloudpickle")
_CONNECT_S = 10
#: A worker asks this often whether it is to stop.
_ASK_S = 1.0
#: One case at a time in a process, however many threads a worker has: the device is one.
_DEVICE = threading.Lock()


class ClusterError(GliocamError):
    """The cluster that was asked for cannot be used."""


@dataclass(frozen=True)
class Cluster:
    """Machines that work on cases at the same time.

    Parameters
    ----------
    scheduler : str
        Run the cases on the Dask cluster of this scheduler, such as tcp://10.0.0.1:8786.
    workers : int
        Run so many cases at a time in processes of this machine; 0: one after the other.

    Raises
    ------
    GliocamError
        Both are given.
    """

    scheduler: str = ""
    workers: int = field(default=0, metadata={"min": 0})

    def __post_init__(self) -> None:
        if self.scheduler and self.workers:
            raise GliocamError("--scheduler and --workers exclude each other; leave one out.")

    def __bool__(self) -> bool:
        return bool(self.scheduler or self.workers)


class _StoppedError(Exception):
    """The driver was stopped; the case is given up."""


def cases_on_cluster(
    planned: list[Planned], work: Work[T], networks: SegmentRequest | None, cluster: Cluster
) -> Iterator[Outcome[T]]:
    """Work on cases as `cli.batch.each_case` does, on the workers of a cluster.

    A case whose worker is lost is done again by another one.

    Parameters
    ----------
    planned, work, networks
        As in `cli.batch.each_case`; the work is sent to the workers.
    cluster : Cluster
        Where they run.

    Yields
    ------
    Outcome
        As cases end, in any order.

    Raises
    ------
    ClusterError
        The cluster is not there, or has other versions.
    """
    for item in planned:
        if item.files is None:
            yield Outcome(item.name, item.source, error=item.error, refused=True)
    todo = [item for item in planned if item.files is not None]
    if not todo:
        return
    with _client(cluster) as client, bar("Cases", unit="") as report:
        from distributed import Event, as_completed

        stop = f"gliocam-stop-{uuid4().hex}"
        folder = str(Path.cwd())
        futures = {
            client.submit(_one_case, item, work, networks, folder, stop, pure=False): item
            for item in todo
        }
        report(Progress(0, len(todo), "running"))
        try:
            for number, future in enumerate(as_completed(list(futures)), start=1):
                yield _outcome(future, futures[future])
                future.release()
                report(Progress(number, len(todo), "running"))
        except BaseException:
            with suppress(Exception):
                Event(stop, client=client).set()
                client.cancel(list(futures), force=True)
            raise


def in_order(planned: list[Planned], done: list[Outcome[T]]) -> list[Outcome[T]]:
    """Return outcomes in the order in which the cases were asked for."""
    places = {(item.name, item.source): place for place, item in enumerate(planned)}
    return sorted(done, key=lambda one: places[one.case, one.source])


def _outcome(future: Any, item: Planned) -> Outcome[Any]:
    from distributed import CancelledError, KilledWorker

    try:
        # Waits where the worker that held it was lost meanwhile: another one makes it again.
        result: Outcome[Any] = future.result()
    except KilledWorker:
        sentence = (
            f'Every worker that took on "{item.name}" was lost, perhaps for want of memory; '
            "start workers with more of it, or fewer on a machine."
        )
    except CancelledError:
        sentence = f'The scheduler gave "{item.name}" up; start it and run the command again.'
    except Exception as error:
        sentence = (
            f'"{item.name}" could not be sent to a worker ({type(error).__name__}: {error}); '
            "check that the workers have the same packages and see the same folders."
        )
    else:
        return result
    return Outcome(item.name, item.source, error=sentence)


def _one_case(
    item: Planned, work: Work[Any], networks: SegmentRequest | None, folder: str, stop: str
) -> Outcome[Any]:
    """Work on a case; runs in a worker."""
    from distributed import Event

    asked_at = time.monotonic()

    def watch(progress: Progress) -> None:
        nonlocal asked_at
        if time.monotonic() - asked_at > _ASK_S:
            asked_at = time.monotonic()
            if Event(stop).is_set():
                raise _StoppedError

    with _DEVICE:
        try:
            with contextlib.chdir(folder):
                return outcome_of(item, work, lambda: _bundle(networks), watch)
        except OSError:
            sentence = (
                f"The worker does not see the folder {folder}; run the command in a folder that "
                "all machines share."
            )
            return Outcome(item.name, item.source, error=sentence)


def _bundle(networks: SegmentRequest | None) -> Bundle | None:
    return None if networks is None else _loaded(networks)


@lru_cache(maxsize=1)
def _loaded(networks: SegmentRequest) -> Bundle:
    return open_bundle(networks)


@contextmanager
def _client(cluster: Cluster) -> Iterator[Client]:
    """Connect to a scheduler, or start a local one with workers."""
    try:
        import distributed
    except ImportError:
        raise ClusterError(
            "--scheduler and --workers need Dask, which is not installed; run: pip install "
            '"napari-gliocam[cluster]".'
        ) from None
    for name in ("distributed", "distributed.nanny", "distributed.core", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a sentence says it
    with ExitStack() as stack:
        if cluster.scheduler:
            client = _connected(cluster.scheduler)
        else:
            stack.enter_context(_worker_environment(cluster.workers))
            local = distributed.LocalCluster(
                n_workers=cluster.workers,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # any free port
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(local)
            client = distributed.Client(local)
        stack.enter_context(client)
        _check_workers(client, cluster)
        yield client


def _worker_environment(workers: int) -> AbstractContextManager[object]:
    """Return the setting of Dask that shares out the cores among workers on this machine.

    Dask's own setting makes the C library give freed memory back at once.  A case allocates large
    arrays all the time, and a third of a worker's time went into taking that memory again.
    """
    import dask

    threads = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dask.config.set({"distributed.nanny.pre-spawn-environ": dict.fromkeys(names, threads)})


def _connected(address: str) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout=_CONNECT_S)
    except OSError as error:
        raise ClusterError(
            f'No Dask scheduler answers at {address}; start one ("dask scheduler"), or check '
            "--scheduler."
        ) from error
    except ValueError as error:
        raise ClusterError(
            f'"{address}" is no address of a scheduler ({error}); give one such as '
            "tcp://10.0.0.1:8786."
        ) from error
    except Exception as error:
        raise ClusterError(
            f"The scheduler at {address} does not understand this program ({error}); install "
            "the same version of distributed on all machines."
        ) from error


def _check_workers(client: Client, cluster: Cluster) -> None:
    """Refuse a cluster without workers, or with other versions than here."""
    names = _PACKAGES

    def versions() -> dict[str, str]:  # sent by value: a worker may lack our package
        import importlib.metadata

        found = {}
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "none"
        return found

    here = {name: importlib.metadata.version(name) for name in names}
    there: dict[str, dict[str, str]] = client.run(versions)
    if not there:
        raise ClusterError(
            f"The scheduler at {cluster.scheduler} has no workers; start some: dask worker "
            f"{cluster.scheduler} --nthreads 1."
        )
    for address, found in there.items():
        for name, version in here.items():
            if found.get(name) != version:
                raise ClusterError(
                    f"The worker {address} has {name} {found.get(name)} and this machine has "
                    f"{version}; install the same version on all machines."
                )
