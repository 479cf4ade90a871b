"""Processes that train at the same time: errors, and the end of the process that started them."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.run.events import TrainingReport
from napari_gliocam.train.run.fit import Machine, StoppedError
from napari_gliocam.train.run.side_by_side import Part, SideBySide

REPORT = TrainingReport("classifier.tumour", 0, 1, 0, 1)


@dataclass(frozen=True)
class Work:
    """Stands in for `Backbones`: seed 0 learns until it is stopped, seed 1 comes to grief."""

    folder: Path
    machine: Machine = field(default_factory=Machine)
    report: object = None
    fabric: object = None
    held: object = None

    def learn_part(self, part):
        if part.seed == 1:
            if part.network == "classes":
                os._exit(9)  # as the system's killer of processes does
            raise TrainingError("The loss is no number.")
        for _ in range(600):
            (self.folder / str(os.getpid())).touch()
            if self.report(REPORT):
                raise StoppedError
            time.sleep(0.1)
        (self.folder / "to the end").touch()


def parts(network):
    return [Part(None, 1, seed, network, None) for seed in (0, 1)]


def test_an_error_in_one_network_ends_the_others_and_is_raised(tmp_path):
    with (
        pytest.raises(TrainingError, match="no number"),
        SideBySide(Work(tmp_path), 2) as processes,
    ):
        processes.train(parts("tumour"))
    assert not (tmp_path / "to the end").exists()


def test_a_process_that_was_ended_from_outside_is_an_error_in_words(tmp_path):
    with (
        pytest.raises(TrainingError, match="ended from outside"),
        SideBySide(Work(tmp_path), 2) as processes,
    ):
        processes.train(parts("classes"))


def test_processes_end_with_the_one_that_started_them(tmp_path):
    """Else they would write on beside the training that is started again in their folder."""
    code = (
        "from pathlib import Path; import sys\n"
        f"from {__name__} import Part, SideBySide, Work\n"
        "with SideBySide(Work(Path(sys.argv[1])), 1) as processes:\n"
        "    processes.train([Part(None, 1, 0, 'tumour', None)])\n"
    )
    paths = [p for p in sys.path if p]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment) as parent:
        for _ in range(600):
            if any(tmp_path.iterdir()) or parent.poll() is not None:
                break
            time.sleep(0.1)
        parent.kill()
    (file,) = tmp_path.iterdir()
    time.sleep(2)
    with suppress(FileNotFoundError):
        file.unlink()
    time.sleep(1)
    assert not file.exists()  # nobody is at work any more


def test_as_many_networks_learn_at_once_as_the_memory_has_room_for(monkeypatch):
    images = np.zeros((10, 3, 8, 8), np.float16)
    monkeypatch.setattr(Machine, "device", torch.device("cuda"))
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    for copies, expected in ((3, 1), (5, 1), (9, 3), (100, 6)):
        free = int(images.nbytes * copies)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert Machine().together(6, images) == expected
        assert Machine().holds(images) == (copies > 4)
