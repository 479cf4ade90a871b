"""``napari-gliocam report`` as a script sees it: exit status, standard output, files."""

from __future__ import annotations

import csv
import hashlib
import json
from importlib import import_module

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.report import picture

AFFINE = np.diag([-1.0, -1.5, 3.0, 1.0])
SHAPE = (50, 60, 12)  # as in the file: L, P, S


def write(folder, name, array, affine=AFFINE):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nii.gz"
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def truth():
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[15:30, 20:40, 5:8] = 2
    labels[20:25, 25:32, 5:8] = 1
    return labels


def write_case(folder, name, seed=0):
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[8:-8, 10:-10, 1:-1] = True
    for modality in ("flair", "t1ce", "t2"):
        volume = rng.normal(300, 50, SHAPE) + 300 * (truth() > 0)
        write(folder / name, f"{name}_{modality}", (volume.clip(1) * brain).astype(np.int16))
    write(folder / name, f"{name}_seg", truth())
    return folder / name


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(picture, "HEIGHT", 60)


@pytest.fixture
def cases(tmp_path):
    for number in (1, 2):
        write_case(tmp_path / "cases", f"BraTS2021_0000{number}", number)
    return tmp_path / "cases"


@pytest.fixture
def results(tmp_path):
    for number in (1, 2):
        name = f"BraTS2021_0000{number}"
        write(tmp_path / "results" / name, f"{name}_seg", np.roll(truth(), number, axis=0))
    return tmp_path / "results"


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def table_of(out):
    return list(csv.DictReader((out / "measures.csv").read_text(encoding="utf-8").splitlines()))


def test_a_folder_of_cases_from_saved_labels(cases, results, tmp_path):
    out = tmp_path / "out"
    done = run(cases, "--result", results, "--out", out, "--heading", "Round two")
    assert done.exit_code == 0, done.output
    names = ["BraTS2021_00001", "BraTS2021_00002"]
    for name in names:
        page = (out / name / f"{name}_report.html").read_text(encoding="utf-8")
        assert "Round two" in page
        assert str(tmp_path) not in page
        assert name in done.stdout
    rows = table_of(out)
    assert [(row["case"], row["lesion"]) for row in rows] == [
        (name, lesion) for name in names for lesion in ("case", "1")
    ]
    assert float(rows[0]["core_ml"]) == pytest.approx(5 * 7 * 3 * 0.0045)
    assert 0.5 < float(rows[0]["volume_core_dice"]) < 1


def test_nothing_is_replaced_unless_asked(cases, results, tmp_path):
    out = tmp_path / "out"
    case = cases / "BraTS2021_00001"
    assert run(case, "--result", results, "--out", out).exit_code == 0
    again = run(case, "--result", results, "--out", out)
    assert again.exit_code == 2
    assert "measures.csv exists" in again.stderr
    (out / "measures.csv").unlink()
    again = run(case, "--result", results, "--out", out)
    assert again.exit_code == 2
    assert "_report.html exists" in again.stderr
    assert run(case, "--result", results, "--out", out, "--overwrite").exit_code == 0


def test_a_bad_case_says_why_and_the_others_go_on(cases, results, tmp_path):
    (cases / "BraTS2021_00001" / "BraTS2021_00001_t2.nii.gz").write_bytes(b"no image")
    done = run(cases, "--result", results, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["status"], second["status"]) == ("failed", "done")
    assert "BraTS2021_00001_t2.nii.gz" in first["error"]
    assert second["measures"]["lesion"] == "case"
    assert {row["case"] for row in table_of(tmp_path / "out")} == {"BraTS2021_00002"}


def test_one_file_fits_one_case(cases, results, tmp_path):
    file = results / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz"
    many = run(cases, "--result", file, "--out", tmp_path / "out")
    assert many.exit_code == 2
    assert "fits one case, and 2 were given" in many.stderr
    one = run(cases / "BraTS2021_00001", "--result", file, "--out", tmp_path / "out")
    assert one.exit_code == 0, one.output
    missing = run(cases, "--result", tmp_path / "nowhere", "--out", tmp_path / "else")
    assert "nowhere does not exist; check --result" in missing.stderr


def test_labels_on_another_grid_are_a_sentence(cases, tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] = 20
    file = write(tmp_path, "moved_seg", truth(), moved)
    case = cases / "BraTS2021_00001"
    for option in ("--result", "--against"):
        extra = [] if option == "--result" else ["--result", cases / "BraTS2021_00002" / "x"]
        if extra:
            extra = ["--result", write(tmp_path, "fine_seg", truth())]
        done = run(case, option, file, *extra, "--out", tmp_path / "out")
        assert done.exit_code == 1
        assert "another grid than the case (position, by 20 mm)" in done.stderr


def test_comparing_with_another_result(cases, results, tmp_path):
    first, second = (
        results / f"BraTS2021_0000{n}" / f"BraTS2021_0000{n}_seg.nii.gz" for n in (1, 2)
    )
    out = tmp_path / "out"
    done = run(cases / "BraTS2021_00001", "--result", first, "--against", second, "--out", out)
    assert done.exit_code == 0, done.output
    text = (out / "BraTS2021_00001" / "BraTS2021_00001_report.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["compared_with"] == "BraTS2021_00002_seg.nii.gz"
    assert "seems to belong to BraTS2021_00002, not to BraTS2021_00001" in done.stderr
    shared, every = 14 * 20 * 3, 15 * 20 * 3
    assert content["comparison"]["tumour"]["volume"]["dice"] == pytest.approx(shared / every)


def test_expert_labels_are_not_compared_with_themselves(cases, tmp_path):
    case = cases / "BraTS2021_00001"
    file = case / "BraTS2021_00001_seg.nii.gz"
    done = run(case, "--result", file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "volume_core_dice" not in table_of(tmp_path / "out")[0]


def test_unknown_label_values_are_listed_and_the_rest_is_reported(cases, results, tmp_path):
    case = cases / "BraTS2021_00001"
    write(case, "BraTS2021_00001_seg", truth() * np.uint8(40))
    done = run(case, "--result", results, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Not compared with expert labels." in done.stderr
    assert "40, 80" in done.stderr
    assert "--label-scheme" not in done.stdout


def test_what_a_result_was_made_with_is_read_beside_it(cases, results, tmp_path):
    folder = results / "BraTS2021_00001"
    labels = folder / "BraTS2021_00001_seg.nii.gz"
    checksum = hashlib.sha256(labels.read_bytes()).hexdigest()
    content = {
        "software": "napari-gliocam",
        "settings": {"tumour_threshold": 0.123},
        "labels_file": {"name": labels.name, "sha256": checksum},
    }
    (folder / "BraTS2021_00001.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    assert run(cases / "BraTS2021_00001", "--result", results, "--out", out).exit_code == 0
    page = (out / "BraTS2021_00001" / "BraTS2021_00001_report.html").read_text(encoding="utf-8")
    assert "0.123" in page


def test_segmenting_and_reporting(cases, tmp_path, monkeypatch):
    """With random weights: what is found does not matter here."""
    import torch

    from napari_gliocam.nets.bundle import save_bundle
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.nets.gliocam import GliocamNet

    torch.manual_seed(0)
    save_bundle(
        GliocamNet(width=8),
        BundleInfo("tiny", "random numbers", "CC0-1.0", width=8),
        tmp_path / "bundle",
    )
    out = tmp_path / "out"
    done = run(
        cases,
        "--out",
        out,
        "--bundle",
        tmp_path / "bundle",
        "--device",
        "cpu",
        "--tumour-threshold",
        0.3,
        "--no-gate",
        "--overlapping",
        "--components",
        "--min-lesion",
        0.01,
    )
    assert done.exit_code == 0, done.output
    page = (out / "BraTS2021_00001" / "BraTS2021_00001_report.html").read_text(encoding="utf-8")
    for words in ("random numbers", "P(edema)", "may overlap", "components ("):
        assert words in page
    assert len({row["case"] for row in table_of(out)}) == 2


def test_a_bad_bundle_is_said_once(cases, tmp_path):
    done = run(cases, "--out", tmp_path / "out", "--bundle", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("is no bundle") == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_the_table_of_what_is_done(cases, results, tmp_path, monkeypatch):
    found = import_module("napari_gliocam.cli.report")
    reporting, calls = found.reporting, []

    def stop_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return reporting(*arguments)

    monkeypatch.setattr(found, "reporting", stop_at_the_second)
    done = run(cases, "--result", results, "--out", tmp_path / "out")
    assert done.exit_code == 130
    assert "Stopped with 1 of 2 cases reported" in done.stderr
    assert {row["case"] for row in table_of(tmp_path / "out")} == {"BraTS2021_00001"}


def test_a_bad_option_is_refused_before_anything_runs(cases, tmp_path):
    done = run(cases, "--out", tmp_path / "out", "--label-scheme", "mine")
    assert done.exit_code == 2
    assert 'no label scheme "mine"' in done.stderr
    file = tmp_path / "file"
    file.write_text("x")
    assert "is a file, not a folder" in run(cases, "--out", file).stderr


def test_without_names_and_pictures(cases, results, tmp_path):
    out = tmp_path / "out"
    done = run(cases, "--result", results, "--out", out, "--no-names")
    assert done.exit_code == 0, done.output
    for path in out.rglob("*"):
        assert "BraTS" not in path.name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "BraTS" not in text
            assert str(tmp_path) not in text
            assert "<img" not in text
    assert [row["case"] for row in table_of(out)] == ["case 1", "case 1", "case 2", "case 2"]
    assert run(cases, "--result", results, "--out", out, "--no-names").exit_code == 2


def test_the_enhancing_part_is_measured_on_request(cases, results, tmp_path):
    plain, asked = tmp_path / "plain", tmp_path / "asked"
    case = cases / "BraTS2021_00001"
    assert run(case, "--result", results, "--out", plain).exit_code == 0
    assert "enhancing_ml" not in table_of(plain)[0]
    done = run(case, "--result", results, "--out", asked, "--enhancing")
    assert done.exit_code == 0, done.output
    row = table_of(asked)[0]
    whole = float(row["enhancing_ml"]) + float(row["not_enhancing_core_ml"])
    assert whole == pytest.approx(float(row["core_ml"]))
    page = (asked / "BraTS2021_00001" / "BraTS2021_00001_report.html").read_text(encoding="utf-8")
    assert "A rule of intensity, no network" in page
