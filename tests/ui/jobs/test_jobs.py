"""The jobs of one owner: replaced, cancelled, dropped, closed."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.ui.jobs import jobs as module
from napari_gliocam.ui.jobs.jobs import Jobs


class Owner:
    """Notes what its jobs report."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.gate = threading.Event()

    def note(self, word: str) -> Any:
        return lambda *values: self.heard.append((word, *values))

    def wait(self) -> Generator[Progress, None, str]:
        while not self.gate.wait(0.005):
            yield Progress(0, 1, "waiting")
        return "waited"

    def refuse(self) -> object:
        raise GliocamError("No; try again.")


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner()
    yield made
    made.gate.set()


@pytest.fixture
def jobs(qtbot: Any, owner: Owner) -> Iterator[Jobs]:
    parent = QObject()
    made = Jobs(ViewerModel(), parent, owner.note("failed"))
    yield made
    made.close()
    parent.deleteLater()


QUEUED, WAITING = Progress(0, 1, "queued"), Progress(0, 1, "waiting")
ENDED = ("shown", None)


def _reports(owner: Owner) -> dict[str, Any]:
    return {word: owner.note(word) for word in ("shown", "cancelled")}


def _without_progress(owner: Owner) -> list[object]:
    return [one for one in owner.heard if one not in (("shown", QUEUED), ("shown", WAITING))]


@pytest.mark.parametrize("torch", [False, True])
def test_a_job_reports_its_end_before_its_result(
    qtbot: Any, jobs: Jobs, owner: Owner, torch: bool
) -> None:
    job = jobs.run("work", owner.wait, owner.note("done"), torch=torch, **_reports(owner))
    assert jobs.running("work") is job
    assert owner.heard == [("shown", QUEUED)]
    qtbot.waitUntil(lambda: len(owner.heard) > 1)
    owner.gate.set()
    qtbot.waitUntil(lambda: job.ended)
    assert owner.heard[-2:] == [ENDED, ("done", "waited")]
    assert owner.heard[1] == ("shown", WAITING)
    assert jobs.running("work") is None


def test_cancel_and_failure_end_it_too(qtbot: Any, jobs: Jobs, owner: Owner) -> None:
    reports = _reports(owner)
    job = jobs.run("work", owner.wait, owner.note("done"), **reports)
    jobs.cancel("work")
    jobs.cancel("nothing of this kind")
    assert jobs.running("work") is job, "until it has stopped"
    qtbot.waitUntil(lambda: job.ended)
    job = jobs.run("work", owner.refuse, owner.note("done"), **reports)
    qtbot.waitUntil(lambda: job.ended)
    job = jobs.run("work", owner.refuse, quiet=True)
    qtbot.waitUntil(lambda: job.ended)
    failed = ("failed", "No; try again.")
    assert _without_progress(owner) == [ENDED, ("cancelled",), ENDED, failed]


def test_a_newer_job_takes_the_place_of_an_older_one_of_its_kind(
    qtbot: Any, jobs: Jobs, owner: Owner
) -> None:
    jobs.run("work", owner.wait, owner.note("old"), **_reports(owner))
    jobs.run(("work", 2), lambda: 2, owner.note("other"))
    jobs.run("work", lambda: 1, owner.note("new"))
    assert _without_progress(owner) == [ENDED], "the state of the older one is taken back at once"
    qtbot.waitUntil(lambda: len(_without_progress(owner)) == 3)
    assert set(_without_progress(owner)[1:]) == {("other", 2), ("new", 1)}


def test_nothing_is_reported_after_close(
    qtbot: Any, jobs: Jobs, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "begin_task", lambda viewer, text, cancel: owner.note(f"end of {text}")
    )
    job = jobs.run("work", owner.wait, owner.note("done"), shown=owner.note("shown"), task="work")
    timer = jobs.timer(1, owner.note("rested"))
    timer.start()
    jobs.close()
    qtbot.wait(50)
    assert job.cancelling
    assert _without_progress(owner) == [("end of work",)], "napari need not ask any more"
