"""Steps in turns of the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_gliocam.ui.jobs.turns import Turns


def test_one_step_a_turn_and_one_after_the_other(qtbot: Any) -> None:
    parent, seen = QObject(), []
    turns, beats = Turns(parent), QTimer(parent)
    beats.timeout.connect(lambda: seen.append("beat"))
    beats.start(1)

    def steps(name: str) -> Iterator[None]:
        for number in range(3):
            seen.append(f"{name}{number}")
            yield

    turns.run(steps("a"))
    turns.run(steps("b"))
    assert seen == ["a0"], "the first at once, the others later"
    qtbot.waitUntil(lambda: turns.idle)
    work = [step for step in seen if step != "beat"]
    assert work == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert seen.count("beat") >= 4, "timers and painting have their turn between two steps"


def test_a_failure_ends_its_own_steps_alone(qtbot: Any) -> None:
    parent, seen = QObject(), []
    turns = Turns(parent)

    def failing() -> Iterator[None]:
        yield
        raise RuntimeError("gone")

    turns.run(failing())
    turns.run(iter(lambda: seen.append("next") or len(seen) > 1, True))
    with qtbot.captureExceptions() as failures:
        qtbot.waitUntil(lambda: turns.idle)
    assert [str(failure[1]) for failure in failures] == ["gone"]
    assert seen == ["next", "next"]


def test_closed_it_drops_what_is_left(qtbot: Any) -> None:
    parent, seen = QObject(), []
    turns = Turns(parent)
    turns.run(iter(lambda: seen.append(1) or False, True))
    turns.close()
    qtbot.wait(30)
    assert seen == [1]
    assert turns.idle
