"""Options come from the dataclasses they fill: names, defaults, help, checks."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import get_args, get_origin

import pytest
import typer
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.refine.parameters import METHODS, Refinement
from napari_gliocam.settings import SegmentRequest, Thresholds, field_docs

COMMANDS = [
    command.name or command.callback.__name__.replace("_", "-")
    for command in app.registered_commands
]


def asked(*line):
    """Return the request that a command line asks for, or the result where it was refused."""
    seen = []
    one = typer.Typer()

    @one.command()
    @with_shared_options
    def command(request: SegmentRequest) -> None:
        seen.append(request)

    result = CliRunner().invoke(one, [*map(str, line)])
    return seen[0] if seen else result


def another(field, value):
    """Return some other value of a field that is in its range, as text and as it is."""
    if isinstance(value, bool):
        return None, not value
    if isinstance(value, str):
        hint = SEEN[field]
        other = next(choice for choice in get_args(hint) if choice != value)
        return other, other
    if isinstance(value, int):
        return str(value + 1), value + 1
    return str(value * 0.9), value * 0.9


SEEN: dict[str, object] = {}


def parts():
    """Return every plain field of thresholds and of the parts of a refinement."""
    from typing import get_type_hints

    for part, whole in (("", Thresholds()), *vars(Refinement()).items()):
        if not is_dataclass(whole):
            continue
        hints = get_type_hints(type(whole))
        for field in fields(whole):
            SEEN[field.name] = hints[field.name]
            plain = get_origin(hints[field.name]) is not None or isinstance(
                getattr(whole, field.name), bool | int | float | str
            )
            if plain:
                yield part, field.name, getattr(whole, field.name)


@pytest.mark.parametrize(("part", "name", "default"), list(parts()))
def test_every_parameter_has_an_option(part, name, default):
    text, value = another(name, default)
    option = "--" + "-".join(filter(None, (part, name.replace("_", "-"))))
    if text is None:
        off = {"exclusive": "--overlapping", "volume": "--crf-slices"}
        line = [option] if value else [off.get(name, option.replace("--", "--no-", 1))]
    else:
        line = [option, text]
    for method in METHODS:  # whichever uses the part
        made = asked("--refine", method, *line)
        if isinstance(made, SegmentRequest):
            break
    found = getattr(made.refinement, part) if part else made.thresholds
    assert getattr(found, name) == (pytest.approx(value) if isinstance(value, float) else value)
    whole = Refinement(method) if part else Thresholds()
    wanted = replace(getattr(whole, part) if part else whole, **{name: getattr(found, name)})
    assert found == wanted


def test_nothing_given_is_the_default_of_the_dataclass():
    assert asked() == SegmentRequest()


def test_a_value_out_of_range_is_refused_by_the_dataclass():
    result = asked("--crf-iterations", "0", "--refine", "crf")
    assert result.exit_code == 2
    assert "The number of iterations is 0" in result.stderr


def test_an_option_without_effect_is_refused():
    result = asked("--refine", "none", "--crf-iterations", "3")
    assert result.exit_code == 2
    assert "--crf-iterations has no effect" in " ".join(result.stderr.split())
    unknown = asked("--crf", "mine")
    assert unknown.exit_code == 2
    assert 'no CRF "mine"' in " ".join(unknown.stderr.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_at_80_columns_shows_names_and_defaults_whole(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, [command, "--help"], terminal_width=80)
    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    click_command = typer.main.get_command(app).commands[command]
    shown = set(re.findall(r"--[a-z0-9][a-z0-9-]*", result.stdout))
    for parameter in click_command.params:
        if parameter.param_type_name == "option":
            assert {*parameter.opts, *parameter.secondary_opts} - {"-o"} <= shown


def test_the_list_of_commands_cuts_no_sentence(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, ["--help"], terminal_width=80)
    assert "..." not in result.stdout.partition("Commands:")[2]
    assert max(map(len, result.stdout.splitlines())) <= 80
    shown = " ".join(result.stdout.split())
    for command in typer.main.get_command(app).commands.values():
        first = " ".join(command.help.split("\n\n")[0].split())
        assert first in shown


def test_defaults_are_shown():
    explained = " ".join(CliRunner().invoke(app, ["explain", "--help"]).stdout.split())
    assert "[default: gradcam, layercam, exit, guided]" in explained
    segmented = " ".join(CliRunner().invoke(app, ["segment", "--help"]).stdout.split())
    assert "[default: the bundle's]" in segmented
    assert f"[default: {Refinement().method}]" in segmented


def test_help_is_the_docstring_of_the_field():
    segmented = "".join(CliRunner().invoke(app, ["segment", "--help"]).stdout.split())
    for text in field_docs(Thresholds).values():
        assert "".join(text.rstrip(".").split()) in segmented
