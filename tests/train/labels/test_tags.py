import tracemalloc
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Grid
from napari_gliocam.errors import TrainingError
from napari_gliocam.train.labels.tag_file import load_tags, read_rows, save_tags
from napari_gliocam.train.labels.tags import SKIPPED, Tag, Tags, file_slices, tags_from_counts


def written(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "labels.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_tags_are_read_as_they_were_saved(tmp_path):
    tags = Tags()
    tags.put("b", 3, Tag(core=True))
    tags.put("a", 10, Tag(edema=True))
    tags.put("a", 2, Tag())
    tags.put("a", 4, SKIPPED)
    tags.put("a", 5, Tag())
    tags.put("a", 5, None)
    file = tmp_path / "labels.csv"
    save_tags(tags, file)
    assert file.read_text().splitlines() == [
        "case,slice,core,edema",
        "a,2,0,0",
        "a,4,,",
        "a,10,0,1",
        "b,3,1,0",
    ]
    assert load_tags(file) == (tags, ())


cells = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1),
    st.integers(0, 500),
    st.sampled_from([Tag(), Tag(core=True), Tag(edema=True), Tag(True, True), SKIPPED]),
)


@given(st.lists(cells))
def test_any_names_survive_the_file(tmp_path_factory, rows):
    tags = Tags()
    for case, number, tag in rows:
        tags.put(case, number, tag)
    file = tmp_path_factory.mktemp("any") / "labels.csv"
    save_tags(tags, file)
    assert load_tags(file)[0] == tags


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_write_is_read(tmp_path, separator, encoding):
    lines = ["Edema,Reader,CASE, slice,core", "1,me,a,3.0,yes", "0,,a,4,0", ",,a,5,", ",,,,"]
    file = written(tmp_path, "\r\n".join(lines).replace(",", separator), encoding)
    tags, warnings = load_tags(file)
    assert tags.of("a") == {3: Tag(True, True), 4: Tag(), 5: SKIPPED}
    assert not warnings


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_quoted_cells_and_any_line_ends_are_read(tmp_path, newline):
    lines = ["case;slice;core;edema", "a;3;1;0", "Jörg, 2;4;0;1"]
    quoted = [";".join(f'"{cell}"' for cell in line.split(";")) for line in lines]
    for number, rows in enumerate((lines, quoted)):
        file = tmp_path / f"{number}.csv"
        file.write_bytes(newline.join(rows).encode())
        tags, _ = load_tags(file)
        assert (tags.of("a"), tags.of("Jörg, 2")) == ({3: Tag(True, False)}, {4: Tag(False, True)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("case,slice,core\na,1,1", "no column edema"),
        ("case,slice,core,edema\na,1,2,0\na,x,1,0", r"line 2: core is '2'.*line 3: slice is 'x'"),
        ("case,slice,core,edema\na,1,1,0\na,-1,1,0", "line 3: slice is '-1'"),
        ("case,slice,core,edema\na,1,1,", "line 2: edema is ''"),
        ("case,slice,core,edema\n,1,1,0", "line 2 names no case"),
        ("case,slice,core,edema\na,1,1,0\na,2,1,0\na,1,0,0", "lines 2 and 4 contradict"),
        ("case,slice,core,edema\na,20,1,0", "line 2: a has slices 0 to 19, not 20"),
    ],
)
def test_what_cannot_be_meant_is_listed_with_its_line(tmp_path, text, words):
    file = written(tmp_path, text)
    with pytest.raises(TrainingError, match=words) as caught:
        load_tags(file, {"a": 20})
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path):
    file = tmp_path / "labels.csv"
    with pytest.raises(TrainingError, match="check the path"):
        list(read_rows(file))
    file.write_bytes(b"case,slice\xff\xfe\x81,core")  # neither UTF-8 nor Windows-1252
    with pytest.raises(TrainingError, match="CSV UTF-8"):
        list(read_rows(file))


SPREADSHEETS = {
    "a line that names the separator": (";", "sep=;\r\n", str, "utf-8-sig"),
    "decimal commas": (";", "", lambda number: f"{number},0", "utf-8-sig"),
    "Windows-1252": (";", "", str, "cp1252"),
    "UTF-16": ("\t", "", str, "utf-16"),
}


@pytest.mark.parametrize("kind", SPREADSHEETS)
def test_cases_are_found_however_a_spreadsheet_spells_them(tmp_path, kind):
    separator, first, number, encoding = SPREADSHEETS[kind]
    decomposed = unicodedata.normalize("NFD", "Jörg")
    depths = {"00042": 20, decomposed: 20, "7": 20, "007": 20}
    rows = [["case", "slice", "core", "edema"]]
    rows += [[name, number(3), number(1), number(0)] for name in ("42", "Jörg", "007", "0007")]
    text = first + "".join(separator.join(row) + "\r\n" for row in rows)
    tags, warnings = load_tags(written(tmp_path, text, encoding), depths)
    assert {case for case, *_ in tags} == {"00042", decomposed, "007"}
    assert len(warnings) == 1
    line = len(text.splitlines())
    assert f"0007 (line {line})" in warnings[0], "two cases of the folder are 7"


def test_many_complaints_are_counted(tmp_path):
    lines = ["case,slice,core,edema", *(f"a,{n},5,0" for n in range(30))]
    with pytest.raises(TrainingError, match="and 22 more"):
        load_tags(written(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("text", ["a" * 200_000, '"' + "a\n" * 100_000])
def test_a_cell_too_long_for_a_table_is_a_sentence(tmp_path, text):
    file = written(tmp_path, f"case,slice,core,edema\n{text},1,1,0\n")
    with pytest.raises(TrainingError, match="not a table"):
        load_tags(file)


def test_a_long_table_takes_little_memory(tmp_path):
    lines = (f"case{n // 100},{n % 100},{n % 2},0\n" for n in range(20_000))
    file = written(tmp_path, "case,slice,core,edema\n" + "".join(lines))
    tracemalloc.start()
    tags, _ = load_tags(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tags) == 20_000
    assert peak < 4e6  # 200 MB for a million rows


def test_names_like_formulas_are_neutral_in_the_file_and_come_back(tmp_path):
    names = ["=1+1", "@a", "-b", "'=c", "''=d", "'e", "+1", "-5"]
    tags = Tags({name: {1: Tag()} for name in names})
    save_tags(tags, tmp_path / "labels.csv")
    cells = [line.split(",")[0] for line in (tmp_path / "labels.csv").read_text().splitlines()]
    assert {"'=1+1", "'@a", "'-b", "''=c", "'''=d", "'e", "+1", "-5"} < set(cells)
    assert load_tags(tmp_path / "labels.csv")[0] == tags


def test_repeated_rows_and_strange_cases_are_told_and_do_no_harm(tmp_path):
    file = written(tmp_path, "case,slice,core,edema\na,1,1,0\na,1,1,0\nzz,900,1,0")
    tags, warnings = load_tags(file, {"a": 20})
    assert tags.of("a") == {1: Tag(core=True)}
    assert len(tags) == 1
    assert "2 and 3" in warnings[0]
    assert "zz" in warnings[1]


def test_labels_are_derived_from_counts():
    core, edema = np.array([0, 3, 9, 0]), np.array([0, 0, 20, 8])
    assert tags_from_counts(core, edema) == {
        0: Tag(),
        1: Tag(core=True),
        2: Tag(True, True),
        3: Tag(edema=True),
    }
    assert tags_from_counts(core, edema, min_pixels=8)[1] == SKIPPED
    assert tags_from_counts(core, edema, min_pixels=8, few_pixels="normal")[1] == Tag()


@pytest.mark.parametrize("step", [2.0, -2.0])
def test_slices_are_counted_as_the_file_has_them(step):
    grid = Grid(np.diag([-1.0, -1.0, step, 1.0]), (5, 6, 7))
    volume = np.zeros((5, 6, 7))
    volume[:, :, 4] = 1
    (memory,) = np.flatnonzero(grid.from_file(volume).any(axis=(1, 2)))
    assert file_slices(grid)[memory] == 4


def test_slices_are_counted_along_the_axis_that_is_axial():
    affine = np.array([[0, 0, 1.0, 0], [-2.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]])
    grid = Grid(affine, (5, 6, 7))
    volume = np.zeros((5, 6, 7))
    volume[:, 3] = 1
    (memory,) = np.flatnonzero(grid.from_file(volume).any(axis=(1, 2)))
    assert file_slices(grid)[memory] == 3
