"""Keys of rows, and bundles of a cross-validation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.folds import write_folds
from napari_gliocam.study.store import set_up
from napari_gliocam.study.toml_file import read_study


def test_a_bundle_in_folds_is_for_each_case_the_one_that_left_it_out(
    study_file, tiny_bundle, tmp_path
):
    folds = tmp_path / "folds"
    for number in (1, 2):
        shutil.copytree(tiny_bundle, folds / f"fold-{number}")
    write_folds(folds / "folds.csv", {"a": 2, "b": 1})
    study = read_study(study_file)
    setup = set_up(study, tmp_path / "out", bundles={"default": folds})
    assert setup.bundle_of("default", "a") == folds / "fold-2"
    assert setup.bundle_of("default", "b") == folds / "fold-1"
    with pytest.raises(GliocamError, match='"c" is in no fold of the bundle "default"'):
        setup.bundle_of("default", "c")
    shutil.rmtree(folds / "fold-2")
    with pytest.raises(GliocamError, match="cannot run"):
        set_up(study, tmp_path / "out", bundles={"default": folds})


def test_keys_change_with_what_changes_scores_and_with_nothing_else(
    study_file, tiny_bundle, tmp_path
):
    def keys(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return set_up(read_study(path), Path("out"), bundles={"default": tiny_bundle}).keys

    text = study_file.read_text()
    before = keys(text)
    assert len({*before}) == len(before)
    assert keys(text.replace('name = "nothing"', 'name = "empty"')) == before
    assert keys(text.replace("[0.6, 0.4]", "[0.5, 0.4]")) == before
    changed = keys(text.replace("threshold = 0.3", "threshold = 0.2"))
    assert [a == b for a, b in zip(before, changed, strict=True)] == [True, True, True, False, True]
    fewer = keys(text.replace("[table]", "[evaluation]\nmin_pixels = 5\n[table]"))
    assert not {*fewer} & {*before}
