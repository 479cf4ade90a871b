"""Plain values, such as those of json and TOML, as the fields of dataclasses hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

#: What a field of a type takes, in words.
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def is_of(hint: Any, value: Any) -> bool:
    """Return True if a plain value is of a type, or one of a Literal; a whole number is a float.

    Parameters
    ----------
    hint : type or Literal
        bool, int, float, str or a Literal of texts and numbers; only bool takes true and false.
    value : object
        The value.
    """
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    return isinstance(value, (int, float) if hint is float else hint)


def without_none(hint: Any) -> Any:
    """Return the annotation of a value that may be None, without the None."""
    if get_origin(hint) in (Union, UnionType):
        kept = [one for one in get_args(hint) if one is not type(None)]
        return kept[0] if len(kept) == 1 else hint
    return hint


def value_of(hint: Any, value: Any) -> Any:
    """Return a plain value as a field with this annotation holds it.

    Parameters
    ----------
    hint : type or annotation
        bool, int, float, str, an enumeration, Literal, a dataclass of these, or a tuple or mapping
        of them, perhaps or None.  Names in a tuple are read as texts, whichever are allowed.
    value : object
        A number, text, list or table.

    Raises
    ------
    ValueError
        The value is none; the message says what the field takes, such as "true or false".
    """
    hint = without_none(hint)
    kind = get_origin(hint) or hint
    if kind is Literal:
        if is_of(hint, value):
            return value
        raise ValueError(f"one of {', '.join(str(one) or 'nothing' for one in get_args(hint))}")
    if kind is tuple:
        inner = get_args(hint)
        count = None if inner[-1] is Ellipsis else len(inner)
        if not isinstance(value, list) or (count is not None and len(value) != count):
            raise ValueError("a list" if count is None else f"a list of {count} entries")
        one = str if get_origin(inner[0]) is Literal else inner[0]
        return tuple(value_of(one, entry) for entry in value)
    if is_dataclass(kind):
        return _built(kind, value)
    if isinstance(kind, type) and issubclass(kind, Mapping):
        if not isinstance(value, dict):
            raise ValueError("a table")
        return {key: value_of(get_args(hint)[1], entry) for key, entry in value.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        if value not in (choices := [one.value for one in kind]):
            raise ValueError(f"one of {', '.join(map(str, choices))}")
        return kind(value)
    if not is_of(kind, value) or (kind is float and not abs(value) < 1e300):
        raise ValueError(WORDS[kind])
    return kind(value)


def _built(kind: Any, table: Any) -> Any:
    """Return a dataclass from a table of its fields."""
    hints = get_type_hints(kind)
    if not isinstance(table, dict) or not table.keys() <= hints.keys():
        raise ValueError(f"a table of {', '.join(hints)}")
    values = {}
    for name, value in table.items():
        try:
            values[name] = value_of(hints[name], value)
        except ValueError as error:
            raise ValueError(f"{error} as its {name}") from error
    return kind(**values)
