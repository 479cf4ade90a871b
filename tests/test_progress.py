"""Tests of generators that yield progress, and of the functions that run them to their end."""

import inspect
import pickle
from importlib import import_module

import pytest

from napari_gliocam.progress import finished

FINISHED = [
    ("segmentation", "segment"),
    ("slices", "cut_slices"),
    ("prepare.run", "prepare"),
    ("cams.run.prepare", "prepare"),
    ("refine.adapt", "adapt"),
    ("refine.crf", "dense_crf"),
    ("trust.doubt", "doubt_of_case"),
    ("measure.evaluation.record", "evaluate_case"),
]


@pytest.mark.parametrize(("module", "name"), FINISHED)
def test_a_finished_generator_is_sent_to_other_processes_by_its_own_name(module, name):
    function = getattr(import_module(f"napari_gliocam.{module}"), name)

    assert pickle.loads(pickle.dumps(function)) is function
    assert not inspect.isgeneratorfunction(function)


def test_a_finished_generator_returns_its_result():
    def counting(start):
        yield
        return start + 1

    count = finished(counting, "count")

    assert count(1) == 2
    assert count.__name__ == "count"
