from __future__ import annotations

import threading
import time

import pytest
import torch

from napari_gliocam.progress import Progress
from napari_gliocam.refine.threads import in_threads


def test_every_item_is_worked_on_and_counted():
    done = []

    def work(item):
        yield Progress(0, 1, "")
        done.append((item, torch.get_num_threads()))

    before = torch.get_num_threads()
    reports = list(in_threads(work, range(20), "counting"))
    assert sorted(done) == [(item, 1) for item in range(20)]
    assert reports[-1] == Progress(20, 20, "counting")
    assert torch.get_num_threads() == before
    assert list(in_threads(work, [], "nothing")) == []


def test_closing_stops_what_runs_at_its_next_yield():
    started, finished = [], []

    def work(item):
        started.append(item)
        while True:
            time.sleep(0.01)
            yield Progress(0, 1, "")
        finished.append(item)

    running = in_threads(work, range(100), "forever")
    next(running)
    running.close()
    assert len(started) < 100
    assert not finished
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]


def test_an_error_comes_out():
    def work(item):
        if item == 3:
            raise ValueError("three")
        yield Progress(0, 1, "")

    with pytest.raises(ValueError, match="three"):
        list(in_threads(work, range(5), "failing"))
