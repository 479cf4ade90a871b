"""``napari-gliocam thresholds``: the 11 x 11 search, which says that it used pixel masks."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from tests.study.conftest import cohort, tiny_bundle, write_case  # noqa: F401

# ruff: noqa: F811 (fixtures are imported by name)


@pytest.fixture
def run(tiny_bundle, tmp_path):
    def run(cases, *more):
        line = ["thresholds", str(cases), "--out", str(tmp_path / "out"), "--device", "cpu"]
        line += ["--bundle", str(tiny_bundle), *map(str, more)]
        return CliRunner().invoke(app, line)

    return run


def test_every_pair_is_tried_and_the_best_is_named(run, cohort, tmp_path):
    done = run(cohort, "--method", "gradcam", "--method", "exit")
    assert done.exit_code == 0, done.output
    assert "chosen with pixel masks" in done.stdout
    found = json.loads((tmp_path / "out" / "thresholds.json").read_text())
    assert found["uses_pixel_masks"] is True
    assert found["cases"] == 2
    miou = np.array(found["miou"])
    assert miou.shape == (11, 11)
    text = (tmp_path / "out" / "thresholds.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 121
    best = max(rows, key=lambda row: float(row["miou"]))
    assert float(best["miou"]) == pytest.approx(miou.max(), abs=1e-5)
    again = run(cohort, "--method", "gradcam", "--method", "exit")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_one_map_is_refused_and_a_case_without_outlines_is_named(run, tmp_path):
    write_case(tmp_path / "cases", "good", 1)
    write_case(tmp_path / "cases", "bare", 2, labels=False)
    done = run(tmp_path / "cases")
    assert done.exit_code == 2
    assert (
        "1 method with 1 bundle would make 1 map; choose methods and bundles for 2 or 3"
        in done.stderr
    )
    done = run(tmp_path / "cases", "--method", "gradcam", "--method", "exit")
    assert done.exit_code == 1
    assert '"bare" has no expert labels' in done.stderr
    assert json.loads((tmp_path / "out" / "thresholds.json").read_text())["cases"] == 1
