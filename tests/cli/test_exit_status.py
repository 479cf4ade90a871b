"""Every command ends with the same statuses: 0, 1, 2 and 130, see `napari-gliocam --help`."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from napari_gliocam.cli.batch import Outcome, end
from napari_gliocam.cli.main import app

COMMANDS = typer.main.get_command(app).commands
#: What a command needs besides the folder of cases, to have its call checked.
NEEDED = {
    "segment": ["{cases}", "--out", "{out}"],
    "evaluate": ["{cases}", "--out", "{out}"],
    "explain": ["{cases}", "--out", "{out}"],
    "report": ["{cases}", "--out", "{out}"],
    "prepare": ["{cases}", "--out", "{out}"],
    "pseudo-label": ["{cases}", "--out", "{out}"],
    "thresholds": ["{cases}", "--out", "{out}", "--method", "exit", "--method", "gradcam"],
    "study": ["paper1-table1", "--cases", "{cases}", "--out", "{out}"],
    "train": ["--cases", "{cases}", "--out", "{out}"],
    "train-segmenter": ["--cases", "{cases}", "--masks", "{cases}", "--out", "{out}"],
}


def run(command: str, *extra: str, cases: Path, out: Path):
    line = [part.format(cases=cases, out=out) for part in NEEDED.get(command, [])]
    return CliRunner().invoke(app, [command, *line, *extra])


def test_every_command_on_cases_is_tested():
    on_cases = {
        name
        for name, command in COMMANDS.items()
        if {p.name for p in command.params} & {"cases", "examinations", "training__cases"}
    }
    assert on_cases - {"phantom"} == NEEDED.keys()  # of which phantom takes the number


@pytest.mark.parametrize("command", [*COMMANDS])
def test_an_unknown_option_is_a_wrong_call(command, tmp_path):
    done = run(command, "--colour", "green", cases=tmp_path, out=tmp_path / "out")
    assert done.exit_code == 2
    assert "--colour" in done.stderr


@pytest.mark.parametrize("there", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize("command", [*NEEDED])
def test_a_folder_without_cases_is_a_wrong_call(command, there, tmp_path):
    if command.startswith("train"):
        pytest.importorskip("lightning")
    cases = tmp_path / "nothing here"
    if there:
        cases.mkdir()
    done = run(command, cases=cases, out=tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert "nothing here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/**/*.nii.gz"))


def choices():
    """Return each option of each command that takes one of several names."""
    for name, command in COMMANDS.items():
        for option in command.params:
            info = getattr(getattr(option, "type_descriptor", None), "parameter_info", None)
            parse = getattr(info, "parser", None)
            if getattr(parse, "__qualname__", "").startswith("one_of"):
                yield pytest.param(name, option.opts[0], id=f"{name} {option.opts[0]}")


@pytest.mark.parametrize(("command", "option"), [*choices()])
def test_a_name_that_is_no_choice_is_a_wrong_call_and_says_what_there_is(command, option, tmp_path):
    done = run(command, option, "zzz", cases=tmp_path, out=tmp_path / "out")
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert '"zzz" is no choice; choose one of' in said


def test_the_nearest_name_is_offered(tmp_path):
    done = run("segment", "--device", "cudda", cases=tmp_path, out=tmp_path)
    assert 'did you mean "cuda"?' in " ".join(done.stderr.split())
    done = run("evaluate", "--hd95", "poold", cases=tmp_path, out=tmp_path)
    assert 'did you mean "pooled"?' in " ".join(done.stderr.split())
    done = run("explain", "--method", "gradcan", cases=tmp_path, out=tmp_path)
    assert 'There is no method "gradcan"; did you mean "gradcam"?' in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ("", 0),
        ("done done", 0),
        ("done failed", 1),
        ("failed failed", 1),
        ("done refused", 1),
        ("failed refused", 1),
        ("refused refused", 2),
    ],
)
def test_the_cases_of_a_call_give_its_status(outcomes, status):
    made = {
        "done": Outcome("case", Path(), 1),
        "failed": Outcome("case", Path(), error="It is damaged."),
        "refused": Outcome("case", Path(), error="It is not there.", refused=True),
    }
    every = [made[word] for word in outcomes.split()]
    if not status:
        end(every)
        return
    with pytest.raises(typer.Exit) as failure:
        end(every)
    assert failure.value.exit_code == status
    with pytest.raises(typer.Exit) as failure:
        end(every, stopped=True)
    assert failure.value.exit_code == 130
