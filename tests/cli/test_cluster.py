"""Cases on a Dask cluster: the same files, lost workers, sentences where there is no cluster."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("distributed")

from napari_gliocam.cli import cluster as cli_cluster
from napari_gliocam.cli.main import app
from tests.study.conftest import tiny_bundle, write_case  # noqa: F401


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for number in range(6):
        write_case(folder, f"case-{number}", number)
    return folder


@contextlib.contextmanager
def process(*line):
    """A program of Dask in a process of its own, ended by its id."""
    root = Path(__file__).parents[2]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    started = subprocess.Popen(
        [sys.executable, "-m", *map(str, line)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


@pytest.fixture
def scheduler(tmp_path):
    """The file that says where a scheduler is."""
    file = tmp_path / "scheduler.json"
    line = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    with process(*line, "--no-dashboard", "--scheduler-file", file):
        until(file.exists)
        yield json.loads(file.read_text())["address"]


def worker(address, tmp_path, name, *more):
    return process(
        *("distributed.cli.dask_worker", address, "--nthreads", "1", *(more or ("--no-nanny",))),
        *("--no-dashboard", "--name", name, "--local-directory", tmp_path / name),
        *("--host", "127.0.0.1"),
    )


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def workers_of(address):
    from distributed import Client

    with Client(address, timeout=20) as client:
        return len(client.scheduler_info()["workers"])


def segment(cases, out, bundle, *more):
    line = ["segment", str(cases), "--out", str(out), "--bundle", str(bundle), "--device", "cpu"]
    return CliRunner().invoke(app, [*line, "--refine", "none", *map(str, more)])


def labels_of(out):
    return {path.name: path.read_bytes() for path in sorted(out.rglob("*.nii.gz"))}


def same_tables(command, cases, bundle, tmp_path, *more, scheduler):
    """Whether a command writes the same tables and pictures with a scheduler and without."""
    line = [command, *map(str, cases), "--bundle", str(bundle), "--device", "cpu", *more]
    for name, extra in (("alone", []), ("cluster", ["--scheduler", scheduler])):
        out = tmp_path / command / name
        done = CliRunner().invoke(app, [*line, "--out", str(out), *extra])
        assert done.exit_code == 0, done.output
    one, other = (
        {p.name: p.read_bytes() for p in (tmp_path / command / n).rglob("*.[cpn]*")}
        for n in ("alone", "cluster")
    )
    return any(name.endswith(".csv") for name in one) and one == other


def test_two_workers_of_which_one_is_killed_make_the_same_files(
    cases,
    tiny_bundle,
    scheduler,
    tmp_path,
    monkeypatch,
):
    alone = segment(cases, tmp_path / "alone", tiny_bundle)
    assert alone.exit_code == 0, alone.output
    with (
        worker(scheduler, tmp_path, "one") as first,
        worker(scheduler, tmp_path, "two"),
    ):
        until(lambda: workers_of(scheduler) == 2)
        two = [cases / "case-0", cases / "case-1"]
        explain = ("--method", "exit", "--scope", "case", "--no-gate")
        for command, more in (("evaluate", ("--refine", "none")), ("explain", explain)):
            assert same_tables(command, two, tiny_bundle, tmp_path, *more, scheduler=scheduler)
        ended = []
        original = cli_cluster._outcome

        def killing(future, item):
            if not ended:
                first.send_signal(signal.SIGKILL)
                first.wait()
            ended.append(item.name)
            return original(future, item)

        monkeypatch.setattr(cli_cluster, "_outcome", killing)
        done = segment(cases, tmp_path / "both", tiny_bundle, "--scheduler", scheduler)
    assert done.exit_code == 0, done.output
    assert len(set(ended)) == 6
    made = labels_of(tmp_path / "both")
    assert len(made) == 6
    assert made == labels_of(tmp_path / "alone")


def test_a_case_that_fails_on_a_worker_is_a_sentence_and_the_rest_goes_on(
    cases,
    tiny_bundle,
    tmp_path,
):
    folder = tmp_path / "cases"
    folder.mkdir()
    (folder / "good").symlink_to(cases / "case-0")
    broken = folder / "broken"
    broken.mkdir()
    for path in (cases / "case-1").iterdir():
        (broken / path.name.replace("case-1", "broken")).write_bytes(b"no image")
    done = segment(folder, tmp_path / "out", tiny_bundle, "--workers", 1)
    assert done.exit_code == 1
    assert "broken" in done.stderr
    assert len(labels_of(tmp_path / "out")) == 1


def test_no_scheduler_is_a_sentence(cases, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_cluster, "_CONNECT_S", 1)
    done = segment(cases, tmp_path, tiny_bundle, "--scheduler", "tcp://127.0.0.1:9")
    assert done.exit_code == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr


def test_a_scheduler_without_workers_is_a_sentence(
    cases,
    tiny_bundle,
    scheduler,
    tmp_path,
):
    done = segment(cases, tmp_path / "out", tiny_bundle, "--scheduler", scheduler)
    assert done.exit_code == 2
    assert "has no workers; start some: dask worker" in done.stderr


def test_a_worker_without_enough_memory_is_a_sentence(cases, tiny_bundle, scheduler, tmp_path):
    """A nanny ends a worker at 95 % of its memory; torch alone needs more than this one has."""
    from distributed import Client

    with (
        worker(scheduler, tmp_path, "small", "--memory-limit", "220MiB"),
        Client(scheduler) as client,
    ):
        until(lambda: workers_of(scheduler) == 1)
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0)
        )
        done = segment(cases / "case-0", tmp_path / "out", tiny_bundle, "--scheduler", scheduler)
    assert done.exit_code == 1
    assert 'Every worker that took on "case-0" was lost, perhaps for want of memory' in done.stderr


def test_another_version_on_a_worker_is_a_sentence(
    cases,
    tiny_bundle,
    scheduler,
    tmp_path,
    monkeypatch,
):
    real = cli_cluster.importlib.metadata.version

    def version(name):
        return "0.0.1" if name == "napari-gliocam" else real(name)

    with worker(scheduler, tmp_path, "one"):
        until(lambda: workers_of(scheduler) == 1)
        monkeypatch.setattr(cli_cluster.importlib.metadata, "version", version)
        done = segment(cases, tmp_path / "out", tiny_bundle, "--scheduler", scheduler)
    assert done.exit_code == 2
    assert "this machine has 0.0.1; install the same version" in done.stderr


def test_both_ways_to_a_cluster_exclude_each_other(cases, tiny_bundle, tmp_path):
    done = segment(cases, tmp_path, tiny_bundle, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1")
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr


def lost(*_):
    from distributed import KilledWorker

    raise KilledWorker("task", None, 4)


def given_up(*_):
    from distributed import CancelledError

    raise CancelledError("task")


def unreadable(*_):
    raise TypeError("no such class")


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (lost, "was lost, perhaps for want of memory"),
        (given_up, 'The scheduler gave "one" up'),
        (unreadable, "could not be sent to a worker (TypeError: no such class)"),
    ],
)
def test_a_case_that_a_cluster_loses_is_a_sentence(tmp_path, result, sentence):
    from napari_gliocam.cli.batch import Planned

    future = type("Future", (), {"result": result})()
    assert sentence in cli_cluster._outcome(future, Planned("one", tmp_path)).error


def test_cases_stop_soon_when_the_driver_is_stopped(monkeypatch, tmp_path):
    """The worker asks between two reports whether it is to go on."""
    from napari_gliocam.cli.batch import Planned
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.progress import Progress

    class Set:
        def __init__(self, name):
            pass

        def is_set(self):
            return True

    monkeypatch.setattr("distributed.Event", Set)
    monkeypatch.setattr(cli_cluster, "_ASK_S", -1.0)
    reached = threading.Event()

    def work(files, bundle):
        yield Progress(0, 2, "first")
        reached.set()
        yield Progress(1, 2, "second")

    item = Planned("one", tmp_path, CaseFiles("one"))
    outcome = cli_cluster._one_case(item, work, None, str(tmp_path), "stop")
    assert outcome.error
    assert not reached.is_set()
