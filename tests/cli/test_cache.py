import json

import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.progress import finish

pytest.importorskip("torch")

from ..train.case_files import write_cases


def run(*line):
    return CliRunner().invoke(app, ["cache", *map(str, line)])


def test_prepared_slices_are_listed_and_removed(tmp_path):
    from napari_gliocam.train.data.case_index import SlicePreparation, indexing

    assert run(tmp_path).exit_code == 2
    finish(indexing(write_cases(tmp_path, 2), SlicePreparation()))
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert "case1" in done.stdout
    assert "3 files" in done.stdout
    listed = json.loads(run(tmp_path, "--json").stdout)
    assert {entry["case"] for entry in listed} == {"case0", "case1", ""}
    assert run(tmp_path, "--all").exit_code == 2
    assert "0 files" in run(tmp_path, "--clean").stdout
    assert "3 files" in run(tmp_path, "--clean", "--all").stdout
    assert "no prepared slices" in run(tmp_path).output.replace("\n", " ")
