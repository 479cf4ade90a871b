import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.errors import CaseError, SaveError, TrainingError
from napari_gliocam.io.sidecar import PHANTOM, SOFTWARE
from napari_gliocam.progress import finish
from napari_gliocam.train.data import case_index
from napari_gliocam.train.data.case_index import (
    CACHE_NAME,
    CaseIndex,
    IndexedCase,
    PreparedCase,
    SlicePreparation,
    index_file,
    indexing,
)
from napari_gliocam.train.data.case_set import derive_tags, gather_slices
from napari_gliocam.train.data.packed import pack_slices
from napari_gliocam.train.data.split import split_cases
from napari_gliocam.train.data.synthetic import Drawing, drawing_cases
from napari_gliocam.train.labels.tags import Tag, Tags
from napari_gliocam.train.recipe.maps import Data

from ..case_files import SHAPE, write_case, write_cases

HOW = SlicePreparation()


@pytest.fixture
def cases(tmp_path):
    return write_cases(tmp_path / "cases", 3)


@pytest.fixture
def prepared(monkeypatch):
    """Names of the cases that are prepared."""
    names = []
    prepare = case_index.prepare_case

    def noted(files, how, packed):
        names.append(files.name)
        return prepare(files, how, packed)

    monkeypatch.setattr(case_index, "prepare_case", noted)
    return names


def test_cases_are_prepared_once_and_again_when_a_file_changes(cases, prepared):
    index = finish(indexing(cases, HOW))
    assert prepared == ["case0", "case1", "case2"] == list(index.cases)
    assert index.depths == dict.fromkeys(prepared, SHAPE[0])
    again = finish(indexing(cases, HOW))
    assert len(prepared) == 3
    assert again.cases == index.cases

    file = cases / "case1" / "case1_flair.nii.gz"
    os.utime(file, ns=(1, 1))  # the same bytes at another time
    finish(indexing(cases, HOW))
    assert len(prepared) == 3
    write_case(cases, "case1", seed=7)
    finish(indexing(cases, HOW))
    assert prepared[3:] == ["case1"]
    index.packed("case2").write_bytes(index.packed("case2").read_bytes()[:-1])  # cut
    finish(indexing(cases, HOW))
    assert prepared[4:] == ["case2"]
    write_case(cases, "case9")
    shutil.rmtree(cases / "case0")
    assert list(finish(indexing(cases, HOW)).cases) == ["case1", "case2", "case9"]
    assert prepared[5:] == ["case9"]
    finish(indexing(cases, SlicePreparation(pixel_mm=2.0)))
    assert len(prepared) == 9


def test_what_is_prepared_stays_when_it_is_broken_off(cases, prepared):
    for _ in range(8):
        write_case(cases, f"more{_}", seed=_)
    work = indexing(cases, HOW)
    while len(prepared) < 9:
        next(work)
    work.close()
    finish(indexing(cases, HOW))
    assert len(set(prepared)) == 11
    assert len(prepared) < 11 + 9  # the first eight were not done again


def test_a_damaged_index_is_made_anew(cases, prepared):
    finish(indexing(cases, HOW))
    file = index_file(cases / CACHE_NAME, HOW)
    damaged = ("", "[]", '{"cases": []}', '{"cases": {"case0": 3}}', "[" * 100_000, "\udcff")
    for text in damaged:
        file.write_bytes(text.encode(errors="surrogateescape"))
        finish(indexing(cases, HOW))
    assert len(prepared) == 3 * (1 + len(damaged))


def test_workers_prepare_the_same(cases, tmp_path):
    here = finish(indexing(cases, HOW, cache=tmp_path / "a"))
    there = finish(indexing(cases, HOW, cache=tmp_path / "b", workers=2))
    assert here.cases == there.cases
    for name in here.cases:
        assert here.packed(name).read_bytes() == there.packed(name).read_bytes()


def test_a_case_that_cannot_be_used_does_not_stop_the_others(cases):
    write_case(cases, "lacking", without=("flair",))
    (write_case(cases, "torn") / "torn_t2.nii.gz").write_bytes(b"no nifti")
    index = finish(indexing(cases, HOW))
    assert set(index.problems) == {"lacking", "torn"}
    assert "has no FLAIR" in index.problems["lacking"]
    assert "torn_t2" in index.problems["torn"]
    assert list(index.usable) == ["case0", "case1", "case2"]


def test_what_a_bundle_can_do_without_may_be_missing(cases):
    from napari_gliocam.case import Modality

    write_case(cases, "lacking", without=("t2",))
    index = finish(indexing(cases, SlicePreparation(optional=(Modality.T2,))))
    assert not index.problems


def test_no_cases_and_no_room(tmp_path, cases):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaseError):
        finish(indexing(tmp_path / "empty", HOW))
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError):
        finish(indexing(cases, HOW, cache=tmp_path / "file"))


def test_labels_derived_from_outlines_are_those_of_the_files_own_slices(tmp_path):
    for head_first in (False, True):
        folder = tmp_path / str(head_first)
        write_case(folder, "one", head_first=head_first)
        index = finish(indexing(folder, HOW))
        tags = derive_tags(index, Data(min_pixels=1)).of("one")
        truth = np.asarray(nib.load(folder / "one" / "one_seg.nii.gz").dataobj)
        for number in range(SHAPE[0]):
            assert tags[number].core == (truth[:, :, number] == 4).any()
            assert tags[number].edema == (truth[:, :, number] == 2).any()
        assert any(tag.core for tag in tags.values())
        # and the packed slice with that number is the one that shows it
        number = next(n for n, tag in tags.items() if tag.core)
        bright, _ = gather_slices(index, Tags({"one": {number: Tag(True, True)}}))
        (image,) = bright.images[np.arange(1)]
        place = index.usable["one"].slices.index(number)
        every, _ = gather_slices(index, Tags({"one": dict.fromkeys(range(SHAPE[0]), Tag())}))
        np.testing.assert_array_equal(every.images[np.array([place])][0], image)
        assert image[2].max() > 1.5  # the lesion in FLAIR


def test_without_outlines_nothing_can_be_derived(tmp_path):
    write_case(tmp_path, "one", seg=False)
    with pytest.raises(TrainingError, match="tag slices"):
        derive_tags(finish(indexing(tmp_path, HOW)), Data())


def test_the_cache_knows_cases_by_content_however_their_folder_is_spelled(
    cases, prepared, monkeypatch
):
    first = finish(indexing(cases, HOW))
    monkeypatch.chdir(cases.parent)
    spellings = (Path("cases"), Path("./cases/../cases"), cases.parent / "." / "cases")
    for spelled in spellings:
        assert finish(indexing(spelled, HOW)).cases == first.cases
    moved = cases.rename(cases.with_name("moved"))
    index = finish(indexing(moved, HOW))
    assert index.cases == first.cases
    assert index.source("case0").is_file()
    assert len(prepared) == 3
    assert len(list((moved / CACHE_NAME).glob("*.slices"))) == 3


def test_another_way_of_making_slices_does_not_push_the_first_out(cases, prepared):
    finish(indexing(cases, HOW))
    finish(indexing(cases, SlicePreparation(pixel_mm=2.0)))
    finish(indexing(cases, HOW))
    assert len(prepared) == 6


def test_names_too_long_for_a_file_are_cut(tmp_path):
    name = "ä" * 120  # 240 bytes in UTF-8: with an ending no file system takes it
    write_case(tmp_path, "x").rename(tmp_path / name)
    for file in (tmp_path / name).iterdir():
        file.rename(file.with_name(file.name.removeprefix("x_")))
    index = finish(indexing(tmp_path, HOW))
    assert list(index.usable) == [name]
    assert index.packed(name).is_file()


def test_a_strange_case_does_not_stop_the_others(cases, monkeypatch):
    prepare = case_index.prepare_case

    def strange(files, how, packed):
        if files.name == "case1":
            raise ZeroDivisionError("a bug")
        return prepare(files, how, packed)

    monkeypatch.setattr(case_index, "prepare_case", strange)
    index = finish(indexing(cases, HOW))
    assert list(index.usable) == ["case0", "case2"]
    assert "case1 cannot be prepared (ZeroDivisionError: a bug)" in index.problems["case1"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is text")
def test_a_name_that_is_no_text_is_prepared(tmp_path):
    (tmp_path / "cases").mkdir()
    folder = write_case(tmp_path / "cases", "x")
    folder = folder.rename(folder.with_name(os.fsdecode(b"caf\xe9")))
    for file in folder.iterdir():
        file.rename(file.with_name(file.name.removeprefix("x_")))
    index = finish(indexing(tmp_path / "cases", HOW))
    (name,) = index.usable
    assert index.packed(name).is_file()
    assert finish(indexing(tmp_path / "cases", HOW)).cases == index.cases


def test_a_cache_that_cannot_be_written_is_found_before_a_case_is_read(cases, prepared, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="another folder"):
        finish(indexing(cases, HOW, cache=tmp_path / "file" / "cache"))
    assert not prepared


def test_slices_without_brain_are_left_out_with_a_word_or_kept(tmp_path):
    folder = write_case(tmp_path, "one")
    for file in folder.iterdir():
        image = nib.load(file)
        array = np.asarray(image.dataobj).copy()
        array[:, :, -3:] = 0
        nib.save(nib.Nifti1Image(array, image.affine), file)
    tags = Tags({"one": dict.fromkeys(range(SHAPE[0]), Tag())})
    made, warnings = gather_slices(finish(indexing(tmp_path, HOW)), tags)
    assert len(made) == SHAPE[0] - 3
    assert "3 labelled slices show less than 5 cm²" in warnings[0]
    index = finish(indexing(tmp_path, SlicePreparation.of(None, Data(blank="keep"))))
    made, warnings = gather_slices(index, tags)
    assert len(made) == SHAPE[0]
    assert not warnings
    empty = [not made.images[np.array([row])].any() for row in range(SHAPE[0])]
    assert sum(empty) == 3
    assert [index.usable["one"].slices[row] for row in np.flatnonzero(empty)] == [13, 14, 15]


def test_a_result_of_this_program_is_no_experts(tmp_path):
    folder = write_case(tmp_path, "one")
    file = folder / "one_seg.nii.gz"
    image = nib.load(file)
    labels = np.minimum(np.asarray(image.dataobj), 2)
    own = nib.Nifti1Image(labels, image.affine)
    own.header["descrip"] = SOFTWARE.encode()
    nib.save(own, file)
    with pytest.raises(TrainingError, match="tag slices"):
        derive_tags(finish(indexing(tmp_path, HOW)), Data())
    own.header["descrip"] = f"{PHANTOM}, truth".encode()  # made with the case, not found in it
    nib.save(own, file)
    assert len(derive_tags(finish(indexing(tmp_path, HOW)), Data()))


def test_skipped_slices_and_cases_without_tags_take_no_part(cases):
    index = finish(indexing(cases, HOW))
    tags = Tags()
    for number, tag in ((4, Tag(core=True)), (5, Tag(skipped=True)), (6, Tag(edema=True))):
        tags.put("case1", number, tag)
    made, _ = gather_slices(index, tags)
    assert made.names == ("case1",)
    np.testing.assert_array_equal(made.labels, [[1, 1, 0], [1, 0, 1]])
    with pytest.raises(TrainingError, match="has a label"):
        gather_slices(index, Tags())


def test_synthetic_cases_are_added_and_never_validated_with(cases, tmp_path):
    index = finish(indexing(cases, HOW))
    how = Drawing.of(Data())
    drawn = finish(drawing_cases(tmp_path, 2, how, 0))
    assert finish(drawing_cases(tmp_path, 2, how, 0)) == drawn
    made, _ = gather_slices(index, derive_tags(index, Data(min_pixels=1)), drawn)
    assert made.images.shape[2:] == (128, 112)
    assert set(made.case) == {-2, -1, 0, 1, 2}
    train, validation = split_cases(made, 0.34, 0)
    assert set(made.case[train]) >= {-2, -1}
    assert (made.case[validation] >= 0).all()
    assert len(set(made.case[validation])) == 1


def many(tmp_path, count):
    """An index of many cases that share one packed file."""
    pack_slices(np.zeros((155, 3, 128, 112), dtype=np.float16), tmp_path / "one.slices")
    counts = [0] * 60 + [50] * 60 + [0] * 35
    prepared = PreparedCase(155, list(range(155)), [128, 112], "one.slices", counts, counts)
    cases = {f"case{n:05d}": IndexedCase("x", {}, "", prepared) for n in range(count)}
    return CaseIndex(tmp_path, tmp_path, HOW, cases)


def test_memory_does_not_grow_with_1251_cases(tmp_path):
    """193,905 slices would be 16.7 GB; the set is a few bytes a slice."""
    index = many(tmp_path, 1251)
    tags = Tags(dict.fromkeys(index.cases, derive_tags(many(tmp_path, 1), Data()).of("case00000")))
    tracemalloc.start()
    made, _ = gather_slices(index, tags)
    _, peak = tracemalloc.get_traced_memory()
    assert made.images.shape[0] == 193_905
    train, _ = split_cases(made, 0.2, 0)
    made.images[train[:: len(train) // 32]]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6
    assert most < 60e6
