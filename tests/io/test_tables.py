import csv

from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.io.tables import csv_text, neutral_cell, restored_cell, write_csv

names = st.text(st.characters(codec="utf-8", exclude_categories=("C",)))
formulas = st.builds("".join, st.tuples(st.text("'", max_size=3), st.sampled_from("=+-@"), names))


@given(names | formulas)
def test_a_cell_is_no_formula_and_comes_back(text):
    cell = neutral_cell(text)
    try:
        float(cell)  # a number is no danger
    except ValueError:
        assert not cell.startswith(("=", "+", "-", "@", "\t"))
    assert restored_cell(cell) == text


def test_every_row_is_one_row(tmp_path):
    rows = [("a\rb", 1), ("c\x1b[31md", None), ('e,"f', -0.5), ("=1+1", "-0.5")]
    write_csv(tmp_path / "t.csv", ("name", "value"), rows)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.reader(file))
    assert read == [
        ["name", "value"],
        ["a b", "1"],
        ["c [31md", ""],
        ['e,"f', "-0.5"],
        ["'=1+1", "-0.5"],
    ]


def test_names_that_are_no_text_are_written_all_the_same(tmp_path):
    write_csv(tmp_path / "t.csv", ("name",), [("caf\udce9",)])
    assert (tmp_path / "t.csv").read_text() == "name\ncaf\\udce9\n"
    assert csv_text(("a",), []) == "a\n"
