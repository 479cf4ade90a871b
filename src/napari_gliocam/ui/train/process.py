"""A training in a process of its own, followed through the file that it writes.

Nothing but files lies between the two: the window may close, or crash, and another one finds the
training again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.run.events import End, Event, event_from_json
from napari_gliocam.train.run.request import (
    ERRORS_FILE,
    REPORTS_FILE,
    REQUEST_FILE,
    TrainingRequest,
    load_request,
)
from napari_gliocam.train.run.work_folder import is_locked

_LOOK_MS = 200


class TrainProcess:
    """Starts, follows and stops one training.

    Parameters
    ----------
    parent : QObject
        The timer dies with it.
    """

    event_received = Signal(object)

    def __init__(self, parent: QObject) -> None:
        self.request: TrainingRequest | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._place = 0
        self._rest = b""
        self._looks = 0
        self._timer = QTimer(parent)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)

    @property
    def running(self) -> bool:
        """Whether a training is followed."""
        return self._timer.isActive()

    def start(self, request: TrainingRequest) -> None:
        """Start a training, or go on with one that was broken off.

        Raises
        ------
        TrainingError
            If the folder cannot be written.
        """
        file = request.save()
        request.stop_file.unlink(missing_ok=True)
        line = [sys.executable, "-m", "napari_gliocam.train.run.process", str(file)]
        windows = sys.platform == "win32"
        reports, errors = request.work_dir / REPORTS_FILE, request.work_dir / ERRORS_FILE
        with reports.open("wb") as out, errors.open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # Ctrl-C in napari's terminal is not meant for it
                creationflags=0x00000200 if windows else 0,  # CREATE_NEW_PROCESS_GROUP
                start_new_session=not windows,
            )
        self._follow(request)

    def attach(self, request: TrainingRequest) -> bool:
        """Follow a training that another window started; return False where none runs."""
        if not is_locked(request.out_dir):
            return False
        self._follow(request)
        return True

    def stop(self) -> None:
        """Ask the training to end after the step under way."""
        if self.request is not None:
            self.request.stop_file.touch()

    def close(self) -> None:
        """Follow the training no more; it works on."""
        with suppress(RuntimeError):  # the timer dies with the dock
            self._timer.stop()

    def _follow(self, request: TrainingRequest) -> None:
        self.request, self._place, self._rest, self._looks = request, 0, b"", 0
        self._timer.start()

    def _look(self) -> None:
        alive = self._alive()  # asked first: what it wrote last is read all the same
        for event in self._new_events():
            if isinstance(event, End):
                self._end()
            self.event_received.emit(event)
        if not alive and self.running:
            self._end()
            sentence = (
                "The training ended unexpectedly; Resume goes on from its last checkpoint."
                f"{self._last_words()}"
            )
            self.event_received.emit(End("failed", sentence))

    def _alive(self) -> bool:
        assert self.request is not None
        if self._process is not None:
            return self._process.poll() is None
        self._looks += 1
        return self._looks % 5 != 0 or is_locked(self.request.out_dir)

    def _end(self) -> None:
        self._timer.stop()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _new_events(self) -> list[Event]:
        assert self.request is not None
        try:
            with (self.request.work_dir / REPORTS_FILE).open("rb") as file:
                file.seek(self._place)
                raw = file.read()
                self._place = file.tell()
        except OSError:
            return []
        *lines, self._rest = (self._rest + raw).split(b"\n")
        events = []
        for line in lines:
            try:
                events.append(event_from_json(json.loads(line)))
            except (ValueError, AttributeError, RecursionError):  # a line that a full disk cut
                continue
        return events

    def _last_words(self) -> str:
        assert self.request is not None
        try:
            file = self.request.work_dir / ERRORS_FILE
            lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f" Its last words: {lines[-1]}" if lines else ""


def unfinished(folder: Path) -> list[TrainingRequest]:
    """Return trainings in a folder of bundles that run or were broken off, the newest first."""
    files = sorted(
        folder.glob(f"*/training/{REQUEST_FILE}"), key=lambda f: f.stat().st_mtime, reverse=True
    )
    requests = []
    for file in files:
        try:
            request = load_request(file)
        except TrainingError:
            continue
        inside = request.out_dir.resolve().is_relative_to(folder.resolve())
        if inside and not request.finished:
            requests.append(request)
    return requests
