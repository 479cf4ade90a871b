"""The engine's thread: progress, cancel, errors, errands, end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest
from qtpy.QtCore import QTimer

from napari_gliocam.errors import CaseError, DeviceError
from napari_gliocam.progress import Progress
from napari_gliocam.ui.jobs.engine import Engine, Job, engine, files


@pytest.fixture
def own(qapp: Any) -> Generator[Engine, None, None]:
    made = Engine("test engine")
    yield made
    made.shutdown()


def outcome(job: Job) -> dict[str, Any]:
    """Collects what a job reports, and in which thread."""
    heard: dict[str, Any] = {"progress": [], "threads": set()}

    def listen(name: str) -> Any:
        def slot(*args: Any) -> None:
            heard["threads"].add(threading.get_ident())
            if name == "progress":
                heard["progress"].append(args[0])
            else:
                heard[name] = args[0] if args else True

        return slot

    job.progressed.connect(listen("progress"))
    job.succeeded.connect(listen("succeeded"))
    job.failed.connect(listen("failed"))
    job.cancelled.connect(listen("cancelled"))
    return heard


def counting(n: int, delay: float = 0.0, closed: list[int] | None = None) -> Any:
    def work() -> Generator[Progress, None, int]:
        try:
            for i in range(n):
                time.sleep(delay)
                yield Progress(i + 1, n, "counting")
        finally:
            if closed is not None:
                closed.append(threading.get_ident())
        return threading.get_ident()

    return work


def test_progress_and_result_come_to_the_gui_thread(own: Engine, qtbot: Any) -> None:
    job = own.submit(counting(5))
    heard = outcome(job)
    qtbot.waitUntil(lambda: job.ended)
    assert [p.done for p in heard["progress"]] == [1, 2, 3, 4, 5]
    assert heard["succeeded"] == own.thread_id != threading.get_ident()
    assert heard["threads"] == {threading.get_ident()}


def test_one_thread_for_all_jobs(own: Engine, qtbot: Any) -> None:
    jobs = [own.submit(threading.get_ident) for _ in range(3)]
    heard = [outcome(job) for job in jobs]
    qtbot.waitUntil(lambda: all(job.ended for job in jobs))
    assert {h["succeeded"] for h in heard} == {own.thread_id}
    assert [job.number for job in jobs] == sorted({job.number for job in jobs})


def test_cancel_closes_the_generator_in_its_own_thread(own: Engine, qtbot: Any) -> None:
    closed: list[int] = []
    job = own.submit(counting(10_000, 0.005, closed))
    heard = outcome(job)
    qtbot.waitUntil(lambda: len(heard["progress"]) > 2)
    job.cancel()
    assert own.wait_idle(20)  # all steps would take 50 s
    assert closed == [own.thread_id]
    qtbot.waitUntil(lambda: job.ended)
    assert heard["cancelled"]
    assert not {"succeeded", "failed"} & set(heard)


def test_result_after_cancel_is_dropped(own: Engine, qtbot: Any) -> None:
    go = threading.Event()
    job = own.submit(lambda: go.wait(5))
    heard = outcome(job)
    job.cancel()
    go.set()
    qtbot.waitUntil(lambda: job.ended)
    assert "succeeded" not in heard
    assert heard["cancelled"]


def test_forgotten_job_tells_nobody(own: Engine, qtbot: Any) -> None:
    job = own.submit(counting(1000, 0.005))
    heard = outcome(job)
    job.forget()
    qtbot.waitUntil(lambda: job.ended)
    assert set(heard) == {"progress", "threads"}


def test_errors_are_sentences(own: Engine, qtbot: Any, caplog: pytest.LogCaptureFixture) -> None:
    def known() -> None:
        raise DeviceError("There is no CUDA here; choose another device.")

    def unknown() -> None:
        raise ZeroDivisionError("secret")

    one, two = own.submit(known, "Segment"), own.submit(unknown, "Segment")
    heard = [outcome(job) for job in (one, two)]
    qtbot.waitUntil(lambda: two.ended)
    assert heard[0]["failed"] == "There is no CUDA here; choose another device."
    assert heard[1]["failed"].startswith("Segment failed unexpectedly (ZeroDivisionError)")
    assert "secret" in caplog.text
    assert "no CUDA" not in caplog.text


def test_run_waits_for_one_step_only(own: Engine, qtbot: Any) -> None:
    job = own.submit(counting(10_000, 0.01))
    assert own.run(lambda: 42) == 42
    assert not job.ended
    job.cancel()


def test_run_raises_what_the_work_raised(own: Engine) -> None:
    def work() -> None:
        raise DeviceError("no")

    with pytest.raises(DeviceError, match="no"):
        own.run(work)
    assert own.run(counting(3)) == own.thread_id, "generators are drained"
    assert own.run(lambda: own.run(lambda: 1)) == 1, "from its own thread too"


def test_shutdown_while_running(own: Engine, qtbot: Any) -> None:
    job = own.submit(counting(10_000, 0.005))
    waiting = own.submit(lambda: 1)
    qtbot.wait(30)
    own.shutdown(timeout=2)
    assert own.thread_id is None
    again = own.submit(lambda: 3)
    qtbot.waitUntil(lambda: again.ended)
    assert job.cancelling
    assert waiting.cancelling


def test_engines_are_singletons() -> None:
    assert engine() is engine()
    assert files() is files() is not engine()


def test_interpreter_ends_while_a_job_runs() -> None:
    script = """
import time
from qtpy.QtWidgets import QApplication
from napari_gliocam.progress import Progress
from napari_gliocam.ui.jobs.engine import engine
app = QApplication([])
def work():
    for i in range(10_000):
        time.sleep(0.01)
        yield Progress(i, 10_000, "counting")
engine().submit(work)
end = time.monotonic() + 0.3
while time.monotonic() < end:
    app.processEvents()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], timeout=30, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_urgent_jobs_run_between_the_steps_of_another(own: Engine, qtbot: Any) -> None:
    one = own
    seen: list[str] = []

    def long() -> Any:
        for step in range(200):
            time.sleep(0.005)
            yield Progress(step, 200, "long")
        seen.append("long")

    def short() -> Any:
        yield Progress(0, 1, "short")
        seen.append("short")

    jobs = [one.submit(long, "long"), one.submit(lambda: seen.append("queued"), "queued")]
    qtbot.wait(30)
    jobs.append(one.submit(short, "short", urgent=True))
    qtbot.waitUntil(lambda: "short" in seen, timeout=500)
    assert seen == ["short"]
    jobs[0].cancel()
    qtbot.waitUntil(lambda: all(job.ended for job in jobs))
    assert seen == ["short", "queued"]


def test_waiting_for_a_job_keeps_the_window_alive(own: Engine, qtbot: Any) -> None:
    one = own
    beats: list[None] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(None))
    timer.start(5)
    assert one.run_alive(lambda: time.sleep(0.3) or 7, "Sleep") == 7
    timer.stop()
    assert len(beats) > 2
    with pytest.raises(CaseError, match="no case"):
        one.run_alive(_refuse, "Refuse")


def _refuse() -> None:
    raise CaseError("This is no case; choose another.")
