"""Signals as a terminal has them, however the tests were started."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest

STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@pytest.fixture
def heeded_signals() -> Generator[None, None, None]:
    """No signal that stops is ignored, as some are under ``nohup`` and in the background."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
