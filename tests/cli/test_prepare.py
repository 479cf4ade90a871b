"""Examinations on the command line: prepare them, segment them, bring labels back."""

from __future__ import annotations

import json
from importlib.util import find_spec

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.targets import TARGETS

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("pydicom", "highdicom", "SimpleITK"))),
    reason="needs the extras prepare and dicom",
)


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle")
    info = BundleInfo(
        "tiny", "random numbers", "CC0-1.0", width=8, tumour_threshold=0.0, class_threshold=0.0
    )
    save_bundle(GliocamNet(width=8), info, folder)
    return folder


@pytest.fixture
def examination(tmp_path):
    """DICOM of T1ce, T2 and FLAIR on one grid, skull-stripped, and a localiser."""
    from ..prepare.dicom_files import write_series
    from ..prepare.heads import AFFINE, brain_volume

    folder = tmp_path / "scans" / "night"
    for number, (name, times) in enumerate((("t1 post gd", "t1"), ("t2", "t2"), ("x", "flair"))):
        array = brain_volume(number).astype(np.int16)
        write_series(
            folder / str(number), array, AFFINE, description=name, times=times, SeriesNumber=number
        )
    write_series(folder / "loc", array, AFFINE, description="localizer", SeriesNumber=9)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_series_are_listed_with_their_reasons(examination, tmp_path):
    done = run("prepare", examination, "--out", tmp_path / "out", "--list")
    assert done.exit_code == 0, done.output
    assert "T1ce  t1 post gd (0) (the description)" in done.stdout
    assert "FLAIR x (2) (the inversion time (2500 ms))" in done.stdout
    assert "localizer (9) is left out: it is a localiser." in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_case_is_prepared_into_a_folder_and_never_replaced_unasked(examination, tmp_path):
    out = tmp_path / "out"
    done = run("prepare", examination, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert set(facts["series"]) == {"t1ce", "t2", "flair"}
    names = sorted(path.name for path in (out / "night").iterdir())
    assert names == [
        "night_flair.nii.gz",
        "night_prepare.json",
        "night_t1ce.nii.gz",
        "night_t2.nii.gz",
    ]
    text = (out / "night" / "night_prepare.json").read_text()
    assert "post gd" not in text  # no text of a header
    assert run("prepare", examination, "--out", out).exit_code == 2
    assert run("prepare", examination, "--out", out, "--overwrite").exit_code == 0


def test_listing_needs_no_folder_and_preparing_does(examination):
    assert run("prepare", examination, "--list").exit_code == 0
    done = run("prepare", examination)
    assert done.exit_code == 2
    assert "--out" in done.output


def test_another_series_can_be_named(examination, tmp_path):
    done = run("prepare", examination, "--out", tmp_path / "o", "--list", "--json", "--t2", "post")
    assert json.loads(done.stdout)["series"]["t2"].startswith("t1 post")
    wrong = run("prepare", examination, "--out", tmp_path / "o", "--list", "--t2", "dwi")
    assert wrong.exit_code == 2
    assert 'no series called "dwi"' in wrong.output


def test_an_examination_is_segmented_and_labels_come_back_as_dicom(
    examination, tmp_path, tiny_bundle
):
    import highdicom as hd

    out = tmp_path / "out"
    done = run(
        *("segment", examination, "--out", out, "--bundle", tiny_bundle, "--refine", "none"),
        *(
            "--no-components",
            "--no-gate",
            "--back",
            "t2",
            "--save-maps",
            "--dicom",
            "flair",
            "--json",
        ),
    )
    assert done.exit_code == 0, done.output
    (facts,) = [json.loads(line) for line in done.stdout.splitlines()]
    names = {path.rpartition("/")[2] for path in facts["files"]}
    assert names == {
        "night_seg.nii.gz",
        "night.json",
        "night_on_t2_gliocam_seg.nii.gz",
        *(f"night{on}_{t}_map.nii.gz" for on in ("", "_on_t2") for t in TARGETS),
        "night_flair_seg.dcm",
        "night_flair_report.dcm",
    }
    labels = nib.load(out / "night" / "night_seg.nii.gz")
    back = nib.load(out / "night" / "night_on_t2_gliocam_seg.nii.gz")
    assert np.count_nonzero(labels.dataobj) == np.count_nonzero(back.dataobj)
    seg = hd.seg.segread(out / "night" / "night_flair_seg.dcm")
    assert seg.get_volume(combine_segments=True).array.sum() > 0
    hd.sr.srread(out / "night" / "night_flair_report.dcm")


def test_a_case_of_nifti_and_other_formats_is_prepared_on_the_way(tmp_path, tiny_bundle):
    """It was refused, with the advice to prepare it first."""
    from ..prepare.heads import AFFINE, brain_volume

    folder = tmp_path / "study"
    folder.mkdir()
    nib.Nifti1Image(brain_volume(0), AFFINE).to_filename(folder / "P_t1ce.nii.gz")
    nib.Nifti1Image(brain_volume(2), AFFINE).to_filename(folder / "P_t2.nii.gz")
    nib.MGHImage(brain_volume(1), AFFINE).to_filename(folder / "P_flair.mgz")
    asked = ("segment", folder, "--out", tmp_path / "out", "--bundle", tiny_bundle)
    asked += ("--refine", "none", "--no-components")
    refused = run(*asked, "--prepare", "none")
    assert (refused.exit_code, "P_flair.mgz is not a NIfTI" in refused.output) == (1, True)
    done = run(*asked)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "P" / "P_seg.nii.gz").is_file()


def test_without_a_tumour_the_nifti_is_written_and_a_warning_says_why_no_dicom(
    examination, tmp_path, tiny_bundle
):
    done = run(
        *("segment", examination, "--out", tmp_path / "out", "--bundle", tiny_bundle, "--json"),
        *("--refine", "none", "--tumour-threshold", 1, "--dicom", "flair"),
    )
    assert done.exit_code == 0, done.output
    (facts,) = [json.loads(line) for line in done.stdout.splitlines()]
    names = {path.rpartition("/")[2] for path in facts["files"]}
    assert names == {"night_seg.nii.gz", "night.json"}
    assert "No tumour was found" in facts["warnings"][-1]


def test_dicom_is_refused_where_it_should_be_taken_as_it_is(examination, tmp_path):
    done = run("segment", examination, "--out", tmp_path / "out", "--prepare", "none")
    assert done.exit_code == 2
    assert "DICOM" in done.output
    assert "napari-gliocam prepare" in done.output


@pytest.mark.parametrize("option", ["--back", "--dicom"])
def test_a_case_that_was_not_prepared_is_refused_before_any_network_runs(
    examination, tmp_path, tiny_bundle, monkeypatch, option
):
    prepared = tmp_path / "prepared"
    assert run("prepare", examination, "--out", prepared).exit_code == 0
    monkeypatch.setattr(
        "napari_gliocam.segmentation.segmenting", lambda *_, **__: pytest.fail("segmented")
    )
    done = run(
        *("segment", prepared / "night", "--out", tmp_path / "out", "--bundle", tiny_bundle),
        *("--refine", "none", "--no-components", option, "flair"),
    )
    assert done.exit_code == 1
    assert "was not prepared" in done.output
    assert not (tmp_path / "out" / "night").exists()
