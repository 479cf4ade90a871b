"""The terminal: names from files are text, signals stop, a full disk is a sentence."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_gliocam.cli import console

from .conftest import STOPPING


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Anna Müller, core", "Anna Müller, core"),
        ("two\nlines", "two\nlines"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\rb\tc\x07", "a\\rb\\tc\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_spelled_out(text, shown, capsys):
    assert console.printable(text) == shown
    console.echo(text)
    console.say(f"[bold]{text}[/bold]")
    out, error = capsys.readouterr()
    assert out == f"{shown}\n"
    assert error == f"[bold]{shown}[/bold]\n"


@pytest.mark.usefixtures("heeded_signals")
@pytest.mark.parametrize("number", STOPPING[1:])
def test_signals_stop_as_ctrl_c_does(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), console.stoppable():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("heeded_signals")
@pytest.mark.parametrize("number", STOPPING[1:])
def test_signals_that_are_ignored_stay_so(number):
    signal.signal(number, signal.SIG_IGN)
    with console.stoppable(), console.uninterrupted():
        signal.raise_signal(number)


@pytest.mark.usefixtures("heeded_signals")
@pytest.mark.parametrize("number", STOPPING)
def test_signals_wait_until_files_are_whole(number):
    steps = []
    with pytest.raises(KeyboardInterrupt), console.stoppable(), console.uninterrupted():  # noqa: PT012
        signal.raise_signal(number)
        steps.append("saved")
    assert steps == ["saved"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_the_output_is_a_sentence():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "napari_gliocam", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
