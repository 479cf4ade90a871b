"""``napari-gliocam study`` as a script sees it."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.study import run as study_run
from tests.study.conftest import (  # noqa: F401
    STUDY,
    cohort,
    study_file,
    tiny_bundle,
    write_case,
)


@pytest.fixture
def run(cohort, tiny_bundle, study_file, tmp_path):
    def run(*more, cases=cohort, study=study_file):
        line = ["study", str(study), "--cases", str(cases), "--out", str(tmp_path / "out")]
        line += ["--bundle", f"default={tiny_bundle}", "--device", "cpu", *map(str, more)]
        return CliRunner().invoke(app, line)

    return run


def figures(out: Path):
    return json.loads((out / "study.json").read_text())["figures"]


def test_a_study_writes_table_page_and_pictures_and_computes_nothing_twice(
    run, tmp_path, monkeypatch
):
    done = run()
    assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    assert {"study.html", "study.json", "figures.csv", "cases.csv"} <= {
        path.name for path in out.iterdir()
    }
    assert "GradCAM" in done.stdout
    assert "0.600 ± 0.400" in done.stdout
    pictures = sorted(path.name for path in (out / "pictures").iterdir())
    assert len(pictures) == 5 * 2  # rows and classes of the first case
    assert {name.split("_")[0] for name in pictures} == {"case-1"}
    page = (out / "study.html").read_text()
    assert page.count("data:image/png") == 10
    assert "<script" not in page
    assert page.count("<svg") == 6
    (empty,) = (
        f
        for f in figures(out)
        if (f["row"], f["over"], f["scoring"], f["target"], f["metric"])
        == ("nothing", "slices", "all-slices", "core", "dice")
    )
    assert empty["mean"] == pytest.approx(12 / 18)  # 6 of 9 slices show no core
    assert empty["n"] == 18
    before = figures(out)

    def never(*arguments, **more):
        raise AssertionError("an image is read again")

    monkeypatch.setattr("napari_gliocam.io.read_case", never)
    again = run()
    assert again.exit_code == 0, again.output
    assert figures(out) == before


def test_only_a_row_that_changed_is_computed_again(run, tmp_path, monkeypatch):
    assert run().exit_code == 0
    rows = []
    scored = study_run._CaseWork.labels

    def counting(self, row, missing):
        rows.append(row.name)
        return scored(self, row, missing)

    monkeypatch.setattr(study_run._CaseWork, "labels", counting)
    changed = tmp_path / "tiny.toml"
    changed.write_text(STUDY.replace('method = "empty"', 'method = "brain"'))
    assert run(study=changed).exit_code == 0
    assert rows == ["nothing"] * 2


def test_a_study_that_broke_off_goes_on(run, tmp_path, monkeypatch):
    scored, count = study_run._CaseWork.labels, []

    def breaking(self, row, missing):
        count.append(row.name)
        if len(count) == 4:
            raise KeyboardInterrupt
        return scored(self, row, missing)

    monkeypatch.setattr(study_run._CaseWork, "labels", breaking)
    stopped = run()
    assert stopped.exit_code == 130
    assert "goes on from there" in stopped.stderr
    assert run().exit_code == 0
    assert len(count) == 4 + (5 - 3) + 5


def test_methods_of_a_bundle_share_its_features(run, monkeypatch):
    from napari_gliocam.nets.multi_exit import MultiExitNet

    seen = []
    forward = MultiExitNet.exits_after

    def counting(self, layer, activation, exits):
        if layer == 0:
            seen.append(activation.shape[0])
        return forward(self, layer, activation, exits)

    monkeypatch.setattr(MultiExitNet, "exits_after", counting)
    stems = []
    from napari_gliocam.cams.run.batch import Batch

    activation = Batch.activation

    def stem(self, target, layer):
        network = self.net.network_of(target)
        if not self._features.get(network):
            stems.append(len(self))
        return activation(self, target, layer)

    monkeypatch.setattr(Batch, "activation", stem)
    assert run().exit_code == 0
    # 7 slices with brain: Segment's own pass, and one for GradCAM, LayerCAM and the exit together.
    assert sum(stems) == 2 * 7
    assert sum(seen) == 2 * 2 * 7


def test_a_case_without_outlines_is_named_and_the_rest_goes_on(run, cohort, tmp_path):
    folder = tmp_path / "cases"
    write_case(folder, "good", 1)
    write_case(folder, "bare", 2, labels=False)
    done = run(cases=folder)
    assert done.exit_code == 1
    assert '"bare" has no expert labels' in done.stderr
    assert list(json.loads((tmp_path / "out" / "study.json").read_text())["cases"]) == ["good"]


@pytest.mark.parametrize(("names", "status"), [((), 2), (("good",), 0), (("good", "bare"), 1)])
def test_a_plan_ends_with_the_status_of_its_cases(run, tmp_path, names, status):
    folder = tmp_path / "cases"
    folder.mkdir()
    for name in names:
        write_case(folder, name, 1, labels=name != "bare")
    planned = run("--plan", cases=folder)
    assert planned.exit_code == status
    assert bool(planned.stderr) == bool(status)


def test_a_scheduler_that_is_not_there_is_a_sentence(run, tmp_path, monkeypatch):
    from napari_gliocam.cli import cluster

    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    done = run("--scheduler", "tcp://127.0.0.1:9")
    assert done.exit_code == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr


def test_a_bundle_must_be_given_by_the_name_of_the_study(cohort, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        '[bundles.resnet34]\nrecipe = "resnet34"\n[[row]]\nname = "a"\nbundle = "resnet34"\n'
    )
    line = ["study", str(path), "--cases", str(cohort), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*line, "--bundle", "resnet=x"])
    assert done.exit_code == 2
    assert 'no bundle "resnet"' in done.stderr
    assert "--bundle resnet34=DIR" in done.stderr
    assert "recipe resnet34" in done.stderr


def test_a_folder_of_another_study_is_refused(run, tmp_path, study_file):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text('{"study": {"name": "another"}}')
    done = run()
    assert done.exit_code == 2
    assert 'holds the study "another"' in done.stderr


def test_names_stay_out_on_request(run, tmp_path):
    done = run("--no-names")
    assert done.exit_code == 0, done.output
    for name in ("study.html", "study.json", "cases.csv"):
        assert "case-1" not in (tmp_path / "out" / name).read_text()
    assert not (tmp_path / "out" / "pictures").exists()


def test_a_thousand_cases_are_planned_and_resumed_without_an_image(run, tmp_path, monkeypatch):
    from napari_gliocam.study import store
    from tests.study.test_scores import _scores

    folder = tmp_path / "many"
    for number in range(1251):
        case = folder / f"BraTS2021_{number:05d}"
        case.mkdir(parents=True)
        for what in ("flair", "t1ce", "t2", "t1", "seg"):
            (case / f"{case.name}_{what}.nii.gz").touch()
    rows = "".join(f'[[row]]\nname = "row {n}"\nthreshold = 0.{n + 1}\n' for n in range(8))
    study = tmp_path / "many.toml"
    study.write_text(rows)
    planned = run("--plan", cases=folder, study=study)
    assert "1,251 cases and 8 rows: 10,008 scores of 10,008 to compute" in planned.stdout
    scores = _scores(0)

    def faked(files, setup, *, pictured):
        known = store.CaseScores.read(setup, files)
        known.rows = dict.fromkeys(setup.keys, scores)
        known.write(setup)
        yield from ()
        return known

    monkeypatch.setattr("napari_gliocam.study.run.running_case", faked)
    few = tmp_path / "few"
    few.mkdir()
    for number in range(40):
        name = f"BraTS2021_{number:05d}"
        (few / name).symlink_to(folder / name)
    assert run("--no-names", cases=few, study=study).exit_code == 0

    def never(*arguments, **more):
        raise AssertionError("computed again")

    monkeypatch.setattr("napari_gliocam.study.run.running_case", never)
    assert run("--no-names", cases=few, study=study).exit_code == 0
