"""Read recipes from TOML; every key is checked, every complaint names file and key."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import Field, asdict, fields, is_dataclass
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from napari_gliocam.errors import TrainingError
from napari_gliocam.plain import WORDS, is_of

T = TypeVar("T")

#: Lists that may have any number of entries; all others have one an exit.
_ANY_LENGTH = ("exits", "image_exits", "modalities", "targets")


def read_settings(kind: type[T], source: str | Path, named: Sequence[str]) -> T:
    """Read a dataclass of settings from TOML.

    Parameters
    ----------
    kind : type
        A dataclass of plain values and of further dataclasses.
    source : str or Path
        A name in ``named``, also with ``.toml`` where there is no such file, or the path of a TOML
        file, which may name one of them as its base.
    named : sequence of str
        Names of the files of this kind that ship.

    Raises
    ------
    TrainingError
        One sentence with the file and the key.
    """
    path = Path(source)
    name = str(source).removesuffix(".toml")
    if name in named and (name == str(source) or not path.exists()):
        path = _shipped(name)
    return build_settings(kind, _table(path, named), str(path))


def recipe_values(recipe: Any) -> dict[str, Any]:
    """Return all values of a recipe, a dataclass of any kind, as plain nested dicts, for json."""
    return json.loads(json.dumps(asdict(recipe)))  # type: ignore[no-any-return]


def differences(a: Any, b: Any, key: str = "") -> list[str]:
    """Return the dotted keys whose values differ between two `recipe_values`."""
    if isinstance(a, dict) and isinstance(b, dict):
        names = sorted(a.keys() | b.keys())
        return [d for n in names for d in differences(a.get(n), b.get(n), f"{key}.{n}".strip("."))]
    return [] if a == b else [key]


def _table(path: Path, named: Sequence[str]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise TrainingError(
            f'There is no recipe "{path}"; give the path of a TOML file or one of '
            f"{', '.join(named)}."
        ) from error
    except RecursionError as error:
        raise TrainingError(
            f'"{path}" is nested too deeply for a recipe; begin with base = "default".'
        ) from error
    except ValueError as error:  # of TOML, UTF-8 or a number
        raise TrainingError(f'"{path}" is not valid TOML ({error}); correct it there.') from error
    base = table.pop("base", None)
    if base is None:
        return table
    if base not in named:
        raise TrainingError(
            f'"{path}": base is {base!r}; choose one of {", ".join(named)}, or leave it out.'
        )
    return _merge(_table(_shipped(base), named), table)


def _shipped(name: str) -> Path:
    return Path(str(files("napari_gliocam.train.recipe") / "recipes" / f"{name}.toml"))


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def build_settings(kind: type[T], table: Any, source: str, where: str = "") -> T:
    """Build a dataclass of settings from plain nested values, as `recipe_values` returns them.

    Parameters
    ----------
    kind : type
        A dataclass of plain values and of further dataclasses.
    table : dict
        Nested values by key.
    source : str
        Origin of the values, for the messages of errors.
    where : str
        Key of the table itself, for the same messages.

    Raises
    ------
    TrainingError
        One sentence with the source and the key.
    """
    if not isinstance(table, dict):
        raise TrainingError(f'"{source}": {where} is {table!r}; it is a table, give it keys.')
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = f"{where}.{name}".strip(".")
        if name not in known:
            raise TrainingError(
                f'"{source}": {key} is no setting; the settings there are {", ".join(known)}.'
            )
        if is_dataclass(hints[name]):
            values[name] = build_settings(hints[name], value, source, key)
        elif get_origin(hints[name]) is tuple and is_dataclass(get_args(hints[name])[0]):
            values[name] = _several(get_args(hints[name])[0], value, source, key)
        else:
            values[name] = _value(hints[name], known[name], value, f'"{source}": {key}')
    try:
        return kind(**values)
    except ValueError as error:  # keys that contradict each other
        raise TrainingError(f'"{source}": {where}{" has " if where else ""}{error}.') from error


def _several(kind: type[T], tables: Any, file: str, where: str) -> tuple[T, ...]:
    if not isinstance(tables, list):
        raise TrainingError(f'"{file}": {where} is {tables!r}; head each table [[{where}]].')
    return tuple(
        build_settings(kind, t, file, f"{where}[{i}]") for i, t in enumerate(tables, start=1)
    )


def _value(hint: Any, setting: Field[Any], value: Any, name: str) -> Any:
    if get_origin(hint) is Literal:
        if not is_of(hint, value):
            raise TrainingError(f"{name} is {value!r}; choose one of {', '.join(get_args(hint))}.")
        return value
    if get_origin(hint) is dict:
        if not isinstance(value, dict) or not all(
            is_of(float, v) and v > 0 for v in value.values()
        ):
            raise TrainingError(f"{name} is {value!r}; give a table of names with numbers above 0.")
        return {key: float(number) for key, number in value.items()}
    if get_origin(hint) is tuple:
        number, default = get_args(hint)[0], setting.default
        assert isinstance(default, tuple)
        if setting.name in _ANY_LENGTH:
            if not isinstance(value, list) or not all(is_of(number, v) for v in value):
                raise TrainingError(f"{name} is {value!r}; give a list such as {list(default)}.")
            return tuple(value)
        fits = isinstance(value, list) and all(is_of(number, v) and v >= 0 for v in value)
        if not fits or len(value) != len(default):
            raise TrainingError(f"{name} is {value!r}; give {len(default)} numbers, one an exit.")
        return tuple(number(v) for v in value)
    if not is_of(hint, value):
        raise TrainingError(f"{name} is {value!r}; give {WORDS[hint]}.")
    low, high = setting.metadata.get("range", (float("-inf"), float("inf")))
    if hint in (int, float) and not (isfinite(value) and low <= value <= high):
        upper = "or more" if high == float("inf") else f"to {high:g}"
        raise TrainingError(f"{name} is {value!r}; give a number from {low:g} {upper}.")
    return hint(value)
