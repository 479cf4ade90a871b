"""Box plots of a figure over patients as SVG, a box for each row of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import escape

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP, _AXIS = 720, 240, 24, 8, 24, 24
_INK, _FAINT = "#333", "#d8d8d8"


def draw_boxes(
    values: Mapping[str, Sequence[float]], colour: str, *, top: float | None, title: str
) -> str:
    """Draw a horizontal box plot: quartiles, whiskers to the extremes, every patient as a dot.

    Parameters
    ----------
    values : mapping of str to sequence of float
        Values of the patients by the title of the row.
    colour : str
        Of the boxes.
    top : float or None
        Upper end of the axis; the largest value where it is None.
    title : str
        The figure, for readers of the picture.

    Returns
    -------
    str
        An ``svg`` element that needs nothing else.
    """
    every = [v for row in values.values() for v in row]
    most = top if top is not None else max([*every, 1.0])
    foot = _TOP + _STEP * len(values)

    def x(value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * min(value, most) / most, 1)

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {foot + _AXIS}" role="img" '
        f'aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg" '
        'font-family="sans-serif" font-size="11">'
    ]
    for tick in range(6):
        value = most * tick / 5
        parts.append(
            f'<line x1="{x(value)}" y1="{_TOP}" x2="{x(value)}" y2="{foot}" stroke="{_FAINT}"/>'
            f'<text x="{x(value)}" y="{foot + 15}" text-anchor="middle" fill="{_INK}">'
            f"{value:.3g}</text>"
        )
    for number, (name, row) in enumerate(values.items()):
        middle = _TOP + _STEP * (number + 0.5)
        short = name if len(name) <= 38 else f"{name[:37]}…"
        parts.append(
            f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end" fill="{_INK}">'
            f"{escape(short)}</text>"
        )
        if not row:
            continue
        low, first, median, third, high = np.percentile(row, (0, 25, 50, 75, 100))
        parts.append(
            f'<line x1="{x(low)}" y1="{middle}" x2="{x(high)}" y2="{middle}" stroke="{_INK}"/>'
            f'<rect x="{x(first)}" y="{middle - 7}" width="{max(x(third) - x(first), 1):.1f}" '
            f'height="14" fill="{colour}" fill-opacity="0.45" stroke="{_INK}"/>'
            f'<line x1="{x(median)}" y1="{middle - 7}" x2="{x(median)}" y2="{middle + 7}" '
            f'stroke="{_INK}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x(v)}" cy="{middle}" r="2" fill="{_INK}"/>' for v in row]
    return "".join([*parts, "</svg>"])
