"""Words and numbers in sentences and tables."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from math import isnan

#: Stands for a number that there is none of.
NOTHING = "–"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as ``"1 slice"`` or ``"1,204 slices"``.

    Parameters
    ----------
    number : int
        The count.
    noun : str
        In the singular.
    plural : str
        The plural; with an ``s`` by default.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a time as text, such as ``"45 s"``, ``"12 min"`` or ``"2.5 h"``."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def figure(
    value: float | None, digits: int, nothing: str = NOTHING, *, unit: str = "", sign: str = ""
) -> str:
    """Return a figure as text, such as ``"12.3 ml"``.

    Parameters
    ----------
    value : float or None
        None and NaN are figures that are not defined.
    digits : int
        After the decimal point.
    nothing : str
        The text of a figure that is not defined.
    unit : str
        Empty for a number without one.
    sign : {"", "+"}
        "+" to write the sign of positive figures, too.
    """
    if value is None or isnan(value):
        return nothing
    return f"{value:{sign}.{digits}f} {unit}".rstrip()


def digits_apart(value: float, limit: float) -> int:
    """Return with how many decimals, two or more, a value is told from the limit it is held to."""
    return next((d for d in range(2, 7) if f"{value:.{d}f}" != f"{limit:.{d}f}"), 2)


def spread(mean: float | None, sd: float | None, digits: int, *, sign: str = "") -> str:
    """Return a mean with the standard deviation, where there is one, such as ``"0.81 ± 0.09"``.

    Parameters
    ----------
    mean, sd : float or None
        None where they are not defined.
    digits, sign
        As in `figure`.
    """
    text = figure(mean, digits, sign=sign)
    return text if mean is None or sd is None else f"{text} ± {figure(sd, digits)}"


def percent(share: float) -> str:
    """Return a share as text, such as ``"71 %"`` or ``"−4 %"``; 1 is the whole."""
    return f"{100 * share:z.0f} %".replace("-", "−")


def nearest(text: object, names: Iterable[object]) -> str:
    """Return the name that is spelt most like a text, in any case; empty where none is close."""
    folded = {str(name).casefold(): str(name) for name in names}
    return next((folded[n] for n in get_close_matches(str(text).casefold(), folded, 1)), "")


def no_such(text: object, names: Iterable[object], kind: str = "") -> str:
    """Return the sentence about a name that is none of those that there are, with the nearest.

    Parameters
    ----------
    text : object
        The name that was given.
    names : iterable
        The names to choose from.
    kind : str
        What it would be, such as ``"method"``; nothing by default.
    """
    known = [str(name) for name in names]
    near = nearest(text, known)
    start = f'There is no {kind} "{text}"' if kind else f'"{text}" is no choice'
    meant = f'; did you mean "{near}"? The choices are' if near else "; choose one of"
    return f"{start}{meant} {', '.join(known)}."
