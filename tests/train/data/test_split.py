"""Fixed splits and folds: by patient, in proportion to the labels, from files that are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.folds import read_folds, write_folds
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.data.split import make_folds, read_split, split_cases


def slices(cases=9, synthetic=2):
    """Four slices a case; every third shows no core."""
    number = np.repeat(np.arange(-synthetic, cases), 4)
    labels = np.ones((len(number), 3), dtype=np.float32)
    labels[number % 3 == 0, 1] = 0
    names = tuple(f"case {n}" for n in range(cases))
    return SliceSet(np.zeros((len(number), 3, 4, 4), np.float16), labels, number, names)


def test_folds_hold_every_patient_once_in_proportion_to_the_labels():
    folds = make_folds(slices(), 3, seed=1)
    assert {*folds} == {f"case {n}" for n in range(9)}
    for fold in (1, 2, 3):
        own = [int(name.split()[1]) for name, f in folds.items() if f == fold]
        assert len(own) == 3
        assert sum(n % 3 == 0 for n in own) == 1
    assert make_folds(slices(), 3, seed=1) == folds
    with pytest.raises(GliocamError, match="9 patients are too few for 10 folds"):
        make_folds(slices(), 10, seed=1)


def test_a_fixed_split_goes_before_the_seed_and_changes_the_fingerprint():
    given = slices()
    fixed = replace(given, validated=frozenset({"case 0", "case 4"}))
    train, validation = split_cases(fixed, 0.1, seed=3)
    assert {*fixed.case[validation].tolist()} == {0, 4}
    assert {*fixed.case[train].tolist()} == {-2, -1, 1, 2, 3, 5, 6, 7, 8}
    assert fixed.fingerprint() != given.fingerprint()


def test_files_are_read_back(tmp_path):
    file = tmp_path / "folds.csv"
    write_folds(file, {"b": 2, "=a": 1, "c": 1})
    assert read_folds(file) == {"=a": 1, "b": 2, "c": 1}
    split = read_split(file, ["=a", "b", "c"], fold=2)
    assert split.validation == {"b"}
    assert split.train == {"=a", "c"}
    file.write_text("case,split,age\nb,test,3\na,train,4\nc,validation,5\nunused,test,1\n")
    split = read_split(file, ["a", "b", "c"])
    assert (split.train, split.validation, split.test) == ({"a"}, {"c"}, {"b"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("case,split\na,train\n", "does not name b, c"),
        ("case,split\na,train\nb,val\nc,train\n", 'the split of b is "val"; choose one of train'),
        ("case,split\na,train\nb,train\nc,test\n", "leaves no case for validation"),
        ("name,split\na,train\n", "is no split; give a csv with the columns case and split"),
    ],
)
def test_what_is_wrong_with_a_split_is_named(tmp_path, text, sentence):
    file = tmp_path / "split.csv"
    file.write_text(text)
    with pytest.raises(GliocamError, match=sentence):
        read_split(file, ["a", "b", "c"])
    with pytest.raises(GliocamError, match="cannot be read"):
        read_split(tmp_path / "none.csv", ["a"])
