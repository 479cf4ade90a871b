import numpy as np
import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.progress import finish
from napari_gliocam.train.data.case_index import CACHE_NAME, SlicePreparation, index_file, indexing
from napari_gliocam.train.data.packed import pack_slices
from napari_gliocam.train.data.slice_cache import clean_cache, find_cache, list_cache

from ..case_files import write_case, write_cases

HOW = SlicePreparation()


@pytest.fixture
def cases(tmp_path):
    cases = write_cases(tmp_path / "cases", 2)
    finish(indexing(cases, HOW))
    write_case(cases, "case1", seed=9)  # its first slices are no longer used
    finish(indexing(cases, HOW))
    cache = cases / CACHE_NAME
    (cache / ".1234.part").write_bytes(b"killed")
    (cache / "index.json").write_text("{}")
    (cache / "notes.txt").write_text("a user's own")
    pack_slices(np.zeros((1, 3, 16, 16)), cache / "rehearsal-0-0of1-exclude8.slices")
    return cases


def test_every_file_is_listed_with_its_case(cases):
    entries = list_cache(cases)
    assert {entry.path for entry in entries} == set((cases / CACHE_NAME).iterdir()) - {
        cases / CACHE_NAME / "notes.txt"
    }
    assert sorted(e.case for e in entries if e.case) == ["case0", "case1", "synthetic case"]
    assert sum(not entry.used for entry in entries) == 3
    assert all(entry.size == entry.path.stat().st_size for entry in entries)
    assert find_cache(cases / CACHE_NAME) == find_cache(cases)


def test_cleaning_leaves_what_a_training_reads(cases):
    removed = clean_cache(cases)
    assert len(removed) == 3
    assert all(entry.used for entry in list_cache(cases))
    work = indexing(cases, HOW)
    assert [progress.what for progress in work] == ["looking for cases"]  # none is prepared again
    assert clean_cache(cases) == ()


def test_all_of_it_goes_and_nothing_else(cases):
    clean_cache(cases, everything=True)
    assert [file.name for file in (cases / CACHE_NAME).iterdir()] == ["notes.txt"]
    assert (cases / "case0").is_dir()
    with pytest.raises(TrainingError, match="no prepared slices"):
        list_cache(cases)
    finish(indexing(cases, HOW))
    assert index_file(cases / CACHE_NAME, HOW).exists()
