"""The command line as a script sees it: exit status, standard output, files."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_gliocam import __version__
from napari_gliocam.case import Modality
from napari_gliocam.cli import batch as cli_batch
from napari_gliocam.cli.main import app
from napari_gliocam.errors import SaveError
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet

from ..small_case import on_disk

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (50, 60, 12)  # as in the file: L, P, S
MODALITIES = ("flair", "t1ce", "t2")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Random weights: quick, and where they find something does not matter here."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle")
    info = BundleInfo("tiny", "random numbers", "CC0-1.0", width=8)
    save_bundle(GliocamNet(width=8), info, folder)
    return folder


def write_case(folder: Path, name: str, *, modalities=MODALITIES, seed=0) -> Path:
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[8:-8, 10:-10, 2:] = True
    folder.mkdir(parents=True, exist_ok=True)
    for modality in modalities:
        volume = (rng.normal(300, 50, SHAPE).clip(1) * brain).astype(np.int16)
        nib.Nifti1Image(volume, AFFINE).to_filename(folder / f"{name}_{modality}.nii.gz")
    return folder


@pytest.fixture
def case(tmp_path):
    return write_case(tmp_path / "cases" / on_disk("Anna Müller [1]"), "one")


@pytest.fixture
def run(tiny_bundle):
    def run(*arguments, bundle=tiny_bundle):
        line = [str(argument) for argument in arguments]
        if line[0] == "segment" and bundle is not None:
            line[1:1] = ["--bundle", str(bundle), "--device", "cpu"]
        return CliRunner().invoke(app, line)

    return run


#: Said of the small networks of the tests, which are sure of nothing.
UNTRAINED = "No slice is sure to show a tumour"


def the_sentence(result):
    """What was said on standard error: one line, no traceback."""
    lines = [line for line in result.stderr.strip().splitlines() if UNTRAINED not in line]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


# ---- segment


def test_a_case_gets_labels_and_json_in_a_folder_of_its_name(run, case, tmp_path):
    out = tmp_path / "out"
    result = run("segment", case, "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (out / "one").iterdir()) == ["one.json", "one_seg.nii.gz"]
    labels = nib.load(out / "one" / "one_seg.nii.gz")
    assert labels.shape == SHAPE
    assert labels.get_data_dtype() == np.uint8
    assert np.array_equal(labels.affine, AFFINE)
    assert result.stdout.startswith("one: core ")
    assert str(out / "one" / "one_seg.nii.gz") in result.stdout


def test_a_refinement_is_asked_for_and_written_down(run, case, tmp_path):
    options = ("--refine", "boundary-fit+crf", "--fit-min-inside", "0.7", "--crf", "deeplab")
    result = run("segment", case, "--out", tmp_path, *options, "--components", "--json")
    assert result.exit_code == 0
    used = json.loads(result.stdout)["refinement"]
    assert used["method"] == "boundary-fit+crf"
    assert used["fit"]["min_inside"] == 0.7
    assert used["crf"]["bilateral_width"] == 80
    assert used["components"]["min_fraction"] == 0.3
    assert json.loads((tmp_path / "one" / "one.json").read_text())["refinement"] == used
    wrong = run("segment", case, "--out", tmp_path / "out", "--fit-min-inside", "0")
    assert wrong.exit_code == 2
    assert "min inside" in wrong.stderr


def test_an_earlier_result_is_made_again(run, case, tmp_path):
    options = ("--tumour-threshold", "0.2", "--refine", "none", "--no-components")
    assert run("segment", case, "--out", tmp_path / "a", *options).exit_code == 0
    first = tmp_path / "a" / "one"
    assert (
        run("segment", case, "--out", tmp_path / "b", "--like", first / "one.json").exit_code == 0
    )
    second = tmp_path / "b" / "one"
    pair = [nib.load(folder / "one_seg.nii.gz").get_fdata() for folder in (first, second)]
    assert np.array_equal(*pair)
    choices = [json.loads((folder / "one.json").read_text()) for folder in (first, second)]
    assert choices[0]["settings"] == choices[1]["settings"]
    assert choices[1]["refinement"] is None


def test_maps_are_written_on_request(run, case, tmp_path):
    assert run("segment", case, "--out", tmp_path / "out", "--save-maps").exit_code == 0
    folder = tmp_path / "out" / "one"
    for target in ("tumour", "core", "edema"):
        values = nib.load(folder / f"one_{target}_map.nii.gz").get_fdata()
        assert values.shape == SHAPE
        assert values.min() >= 0
        assert values.max() <= 1


def test_the_settings_are_those_asked_for(run, case, tmp_path):
    numbers = ["--tumour-threshold", "0.1", "--class-threshold", "0.2"]
    options = [*numbers, "--overlapping", "--no-gate", "--json"]
    result = run("segment", case, "--out", tmp_path / "out", *options)
    (line,) = map(json.loads, result.stdout.splitlines())
    settings = line["settings"]
    assert settings["tumour_threshold"] == 0.1
    assert settings["class_threshold"] == 0.2
    assert settings["exclusive"] is False
    assert settings["gate"] is False
    saved = json.loads((tmp_path / "out" / "one" / "one.json").read_text(encoding="utf-8"))
    assert saved["settings"] == settings


def test_a_case_may_be_a_file_and_its_other_files_are_the_same_case(run, case, tmp_path):
    result = run("segment", *sorted(case.iterdir()), case, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["case"] for line in result.stdout.splitlines()] == ["one"]


def test_the_files_of_a_case_may_be_named(run, tmp_path):
    write_case(tmp_path / "in", "anna", modalities=("1", "2", "3"))
    named = [
        argument
        for option, number in (("--flair", 1), ("--t1ce", 2), ("--t2", 3))
        for argument in (option, tmp_path / "in" / f"anna_{number}.nii.gz")
    ]
    result = run("segment", *named, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["case"] == "in"
    described = json.loads((tmp_path / "out" / "in" / "in.json").read_text(encoding="utf-8"))
    assert described["sources"] == {
        "t1ce": "anna_2.nii.gz",
        "t2": "anna_3.nii.gz",
        "flair": "anna_1.nii.gz",
    }
    missing = run("segment", "--flair", tmp_path / "gone.nii", "--out", tmp_path / "other")
    assert missing.exit_code == 2
    assert "gone.nii is not a file" in the_sentence(missing)


def test_a_modality_under_a_strange_name_is_asked_for_and_named_by_a_pattern(run, tmp_path):
    cases = tmp_path / "cases"
    for name in ("anna", "berta"):
        write_case(cases / name, name, modalities=("flair", "t1ce", "t1", "strange"))
    refused = run("segment", cases, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "anna_strange.nii.gz" in refused.stderr
    assert "--t2" in refused.stderr
    assert not (tmp_path / "out").exists()
    result = run("segment", cases, "--t2", "*_strange.nii.gz", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    for line in result.stdout.splitlines():
        assert json.loads(line)["missing_modalities"] == []


def test_neither_a_case_nor_a_file_is_wrong_usage(run, tmp_path):
    for command in ("segment", "evaluate", "report", "explain"):
        result = run(command, "--out", tmp_path)
        assert result.exit_code == 2
        assert "--flair" in result.stderr


def test_labels_of_another_program_are_not_overwritten(run, case, tmp_path):
    labels = tmp_path / "out" / "one" / "one_seg.nii.gz"
    labels.parent.mkdir(parents=True)
    nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE).to_filename(labels)
    before = labels.read_bytes()
    result = run("segment", case, "--out", tmp_path / "out", "--overwrite")
    assert result.exit_code == 2
    assert "is no result of this program" in the_sentence(result)
    assert labels.read_bytes() == before
    labels.unlink()
    (labels.parent / "one.json").write_text("{}")
    result = run("segment", case, "--out", tmp_path / "out", "--overwrite")
    assert "was not saved with one_seg.nii.gz" in the_sentence(result)


def test_one_failing_case_does_not_stop_the_others(run, case, tmp_path):
    cases = case.parent
    write_case(cases / "two", "two")
    flair = cases / "two" / "two_flair.nii.gz"
    flair.write_bytes(flair.read_bytes()[:1000])
    write_case(cases / "three", "three")
    result = run("segment", cases, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    status = {line["case"]: line["status"] for line in lines}
    assert status == {"one": "done", "two": "failed", "three": "done"}
    failed = next(line for line in lines if line["status"] == "failed")
    assert "two_flair.nii.gz" in failed["error"]
    assert failed["files"] == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one", "three"}
    for line in lines:
        assert all(Path(path).is_file() for path in line["files"])


def test_the_bundle_is_loaded_once(run, case, tmp_path, monkeypatch):
    write_case(case.parent / "two", "two")
    loaded = []
    original = cli_batch.open_bundle
    monkeypatch.setattr(
        cli_batch, "open_bundle", lambda request: loaded.append(1) or original(request)
    )
    assert run("segment", case.parent, "--out", tmp_path / "out").exit_code == 0
    assert len(loaded) == 1


def test_an_earlier_result_is_kept_and_no_network_runs(run, case, tmp_path, monkeypatch):
    out = tmp_path / "out"
    (out / "one").mkdir(parents=True)
    (out / "one" / "one.json").write_text("mine")
    monkeypatch.setattr(cli_batch, "open_bundle", lambda _: pytest.fail("the networks were loaded"))
    result = run("segment", case, "--out", out)
    assert result.exit_code == 2
    assert "one.json exists" in the_sentence(result)
    assert "--overwrite" in result.stderr
    assert (out / "one" / "one.json").read_text() == "mine"


def test_an_earlier_result_is_replaced_on_request_with_the_same_voxels(run, case, tmp_path):
    out = tmp_path / "out"
    labels = out / "one" / "one_seg.nii.gz"
    assert run("segment", case, "--out", out).exit_code == 0
    before = labels.read_bytes()
    assert run("segment", case, "--out", out, "--overwrite").exit_code == 0
    assert labels.read_bytes() == before


def test_the_cases_own_files_are_never_replaced(run, tmp_path):
    cases = tmp_path / "cases"
    write_case(cases / "one", "one")
    labels = cases / "one" / "one_seg.nii.gz"
    nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE).to_filename(labels)
    before = labels.read_bytes()
    result = run("segment", cases / "one", "--out", cases, "--overwrite")
    assert result.exit_code == 2
    assert "own files" in the_sentence(result)
    assert labels.read_bytes() == before


def test_of_two_cases_with_one_name_the_second_is_refused(run, case, tmp_path):
    other = write_case(tmp_path / "other", "one", seed=1)
    result = run("segment", case, other, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout.count("one: core") == 1
    sentence = the_sentence(result)
    assert str(other) in sentence
    assert "--out" in sentence


def test_expert_labels_in_disorder_stop_nothing(run, case, tmp_path):
    labels = nib.Nifti1Image(np.full(SHAPE, 77, np.uint8), AFFINE)
    labels.to_filename(case / "one_seg.nii.gz")
    assert run("segment", case, "--out", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda folder: shutil.rmtree(folder), "does not exist", id="missing"),
        pytest.param(lambda folder: [f.unlink() for f in folder.iterdir()], ".nii", id="empty"),
        pytest.param(lambda folder: (folder / "one_t2.nii.gz").unlink(), "T2", id="no T2"),
        pytest.param(
            lambda folder: shutil.copy(folder / "one_t2.nii.gz", folder / "one_t2w.nii.gz"),
            "one_t2w.nii.gz",
            id="twice",
        ),
        pytest.param(
            lambda folder: (folder / "one_t2.nii.gz").write_text("hello"),
            "one_t2.nii.gz is not a NIfTI",
            id="no NIfTI",
        ),
    ],
)
def test_bad_input_is_one_sentence(run, case, tmp_path, spoil, said):
    spoil(case)
    result = run("segment", case, "--out", tmp_path / "out")
    found = said not in ("T2", "one_t2.nii.gz is not a NIfTI")  # else only reading it tells
    assert result.exit_code == (2 if found else 1)
    assert said in the_sentence(result)
    assert not (tmp_path / "out").exists()


def test_a_bad_bundle_is_said_once_and_fails_every_case(run, case, tmp_path):
    write_case(case.parent / "two", "two")
    nowhere = tmp_path / "nowhere"
    result = run("segment", case.parent, "--out", tmp_path / "out", bundle=nowhere)
    assert result.exit_code == 2
    assert str(nowhere) in the_sentence(result)
    result = run("segment", case.parent, "--out", tmp_path / "out", "--json", bundle=nowhere)
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["failed"] * 2


def test_damaged_weights_are_one_sentence(run, case, tmp_path, tiny_bundle):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "damaged")
    weights = bundle / "bundle.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    result = run("segment", case, "--out", tmp_path / "out", bundle=bundle)
    assert result.exit_code == 2
    assert "bundle.safetensors" in the_sentence(result)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_is_one_sentence(run, case, tmp_path, tiny_bundle):
    result = run(
        "segment", case, "-o", tmp_path, "--device=cuda", "--bundle", tiny_bundle, bundle=None
    )
    assert result.exit_code == 2
    assert '"cpu"' in the_sentence(result)


@pytest.mark.parametrize(
    "options",
    [
        ["--tumour-threshold", "1.5"],
        ["--class-threshold=-0.1"],
        ["--class-threshold", "nan"],
        ["--tumour-threshold", "much"],
        ["--device", "abacus"],
        ["--unknown"],
    ],
)
def test_wrong_usage_is_status_2(run, case, tmp_path, options):
    result = run("segment", case, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_out_must_be_a_folder_that_can_be_written_to(run, case, tmp_path, monkeypatch):
    file = tmp_path / "out"
    file.write_text("mine")
    result = run("segment", case, "--out", file)
    assert result.exit_code == 2
    assert "is a file" in the_sentence(result)

    # root may write everywhere, so the answer of the system is made here
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    result = run("segment", case, "--out", tmp_path / "locked")
    assert result.exit_code == 2
    assert "cannot be written to" in the_sentence(result)


def test_when_saving_fails_nothing_new_is_left(run, case, tmp_path, monkeypatch):
    def full(*_, **__):
        raise SaveError("The disk is full; make room.")

    monkeypatch.setattr("napari_gliocam.io.save_segmentation", full)
    result = run("segment", case, "--out", tmp_path / "out", "--save-maps")
    assert result.exit_code == 1
    assert "disk is full" in the_sentence(result)
    assert not (tmp_path / "out" / "one").exists()


def test_what_nobody_foresaw_is_a_sentence_and_a_traceback_on_request(
    run, case, tmp_path, monkeypatch
):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(import_module("napari_gliocam.segmentation"), "compute_maps", broken)
    result = run("segment", case, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "--debug" in the_sentence(result)
    result = run("segment", case, "--out", tmp_path / "out", "--debug")
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr
    assert "Traceback" in result.stderr


def test_ctrl_c_ends_with_130_and_keeps_what_is_done(run, case, tmp_path, monkeypatch):
    write_case(case.parent / "two", "two")
    module = import_module("napari_gliocam.segmentation")
    original, calls = module.compute_maps, []

    def interrupted_at_the_second(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return (yield from original(*arguments, **options))

    monkeypatch.setattr(module, "compute_maps", interrupted_at_the_second)
    result = run("segment", case.parent, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "Stopped with 1 of the cases saved" in the_sentence(result)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one"]


def test_every_modality_of_a_full_case_is_accepted(run, tmp_path):
    case = write_case(tmp_path / "four", "four", modalities=[m.value for m in Modality])
    assert run("segment", case, "--out", tmp_path / "out").exit_code == 0


# ---- the other commands


def test_info_names_versions_devices_and_bundle(run, tiny_bundle):
    result = run("info", "--bundle", tiny_bundle)
    assert result.exit_code == 0
    for word in (__version__, torch.__version__.split("+")[0], "CPU", "tiny", "random numbers"):
        assert word in result.stdout


def test_info_as_json(run, tiny_bundle):
    facts = json.loads(run("info", "--bundle", tiny_bundle, "--json").stdout)
    assert facts["napari-gliocam"] == __version__
    assert facts["bundle"]["licence"] == "CC0-1.0"
    assert "cpu" in facts["devices"]
    assert facts["qt"]


def test_info_with_a_bad_bundle_still_prints_the_versions(run, tmp_path):
    result = run("info", "--bundle", tmp_path)
    assert result.exit_code == 2
    assert __version__ in result.stdout
    assert str(tmp_path) in result.stdout


def test_version_and_help(run):
    assert run("--version").stdout == f"napari-gliocam {__version__}\n"
    result = run("--help")
    assert result.exit_code == 0
    for command in ("segment", "info", "open", "demo"):
        assert command in result.stdout


def test_a_window_needs_a_screen(run, case, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for arguments in (["open", case], ["demo"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "xvfb-run" in the_sentence(result)


def test_open_refuses_what_is_not_there(run, tmp_path):
    result = run("open", tmp_path / "nothing")
    assert result.exit_code == 2
    assert "does not exist" in the_sentence(result)


def test_open_hands_the_paths_to_napari(run, case, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    opened = []
    monkeypatch.setattr("napari_gliocam.ui.demo.open_in_napari", opened.extend)
    assert run("open", case).exit_code == 0
    assert opened == [case]


def test_demo_passes_its_options_on(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    asked = []
    monkeypatch.setattr("napari_gliocam.ui.demo.run_demo", lambda *a: asked.append(a))
    assert run("demo", "--out", tmp_path, "--no-keep-open").exit_code == 0
    assert asked == [(tmp_path, False)]


# ---- as a process


def gliocam(*arguments, **options):
    line = [sys.executable, "-m", "napari_gliocam", *map(str, arguments)]
    return subprocess.run(
        line, capture_output=True, text=True, encoding="utf-8", timeout=300, **options
    )


def test_exit_status_of_the_process(case, tmp_path, tiny_bundle):
    options = ("--out", tmp_path / "out", "--bundle", tiny_bundle, "--device", "cpu", "--json")
    done = gliocam("segment", case, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    refused = gliocam("segment", case, *options)
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["status"] == "failed"
    assert gliocam("segment", case).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing on Windows")
@pytest.mark.usefixtures("heeded_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_stop_of_the_process_leaves_whole_files(case, tmp_path, tiny_bundle, number):
    for copy in range(30):
        shutil.copytree(case, case.parent / f"copy {copy}")
    out = tmp_path / "out"
    # A shell's background job ignores SIGINT, and its children with it.
    heeding = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('napari_gliocam', run_name='__main__', alter_sys=True)"
    )
    line = [sys.executable, "-c", heeding, "segment", str(case.parent), "--out", str(out)]
    line += ["--bundle", str(tiny_bundle), "--device", "cpu", "--save-maps"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "Stopped with" in errors
    folders = list(out.iterdir())
    assert 1 <= len(folders) < 31
    for folder in folders:
        assert len(list(folder.iterdir())) == 5
    assert not list(out.rglob("*.part"))


def test_help_imports_no_torch_and_no_napari():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from napari_gliocam.cli.main import app\n"
        "assert CliRunner().invoke(app, ['segment', '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'napari', 'qtpy', 'nibabel', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
