"""``napari-gliocam phantom`` as a script sees it."""

from __future__ import annotations

from functools import partial

import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.phantom import write
from napari_gliocam.phantom.anatomy import procedural_anatomy


@pytest.fixture
def run(monkeypatch):
    brain = procedural_anatomy(0, spacing=8.0)
    monkeypatch.setattr(write, "procedural_anatomy", lambda seed: brain)
    small = partial(write.PhantomRequest, shape=(15, 30, 30), spacing=(10.0, 8.0, 8.0))
    monkeypatch.setattr(write, "PhantomRequest", small)

    def run(*arguments):
        return CliRunner().invoke(app, ["phantom", *map(str, arguments)])

    return run


def test_cases_are_written_and_named_on_standard_output(run, tmp_path):
    result = run("--out", tmp_path, "--cases", 2, "--seed", 4, "--kind", "low-grade")
    assert result.exit_code == 0, result.output
    folders = [tmp_path / f"phantom_4_{n:04d}" for n in range(2)]
    assert result.stdout.split() == [str(folder) for folder in folders]
    for folder in folders:
        assert len(list(folder.iterdir())) == 5
    again = run("--out", tmp_path, "--cases", 1, "--seed", 4)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run("--out", tmp_path, "--cases", 1, "--seed", 4, "--overwrite").exit_code == 0


def test_a_healthy_case_is_said_to_be_healthy(run, tmp_path):
    result = run("--out", tmp_path, "--cases", 1, "--kind", "healthy")
    assert result.stdout.split() == [str(tmp_path / "phantom_0_0000")]
    assert "phantom_0_0000 is healthy: it shows no tumour" in result.stderr
    mixed = run("--out", tmp_path / "mixed", "--cases", 1)
    assert "healthy" not in mixed.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cases", 0), "ask for 1 or more"),
        (("--kind", "meningioma"), "choose one of"),
        (("--kind", "enhancin"), 'did you mean "enhancing"?'),
        (("--anatomies", "nowhere"), "is no folder of anatomies"),
        (("--missing", 2), "0 to 1"),
    ],
)
def test_an_error_is_one_sentence(run, tmp_path, arguments, words):
    result = run("--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    (sentence,) = result.stderr.strip().splitlines()
    assert words in sentence
    assert "Traceback" not in sentence
    assert not (tmp_path / "out").exists()


def test_an_interruption_leaves_whole_cases(run, tmp_path, monkeypatch):
    original, drawn = write.render_scene, []

    def interrupted(*arguments):
        if drawn:
            raise KeyboardInterrupt
        drawn.append(1)
        return original(*arguments)

    monkeypatch.setattr(write, "render_scene", interrupted)
    result = run("--out", tmp_path, "--cases", 3)
    assert result.exit_code == 130
    assert "1 of 3 cases" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["phantom_0_0000"]
