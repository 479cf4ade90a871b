"""A chart over the slices as SVG: areas of core, edema and overlap, probabilities below."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.colours import CLASS_COLOURS, TARGET_COLOURS
from napari_gliocam.measure.lesion.slice_areas import SliceAreas
from napari_gliocam.targets import BOTH, CORE, EDEMA, TUMOUR, Target

WIDTH, HEIGHT = 720, 250
_LEFT, _RIGHT, _TOP = 66, 8, 26
_STRIP, _AXIS = 11, 34
_INK, _FAINT = "#333", "#d8d8d8"


def draw_chart(
    areas: SliceAreas,
    overlap: NDArray[np.floating] | None = None,
    probabilities: Mapping[Target, NDArray[np.floating]] | None = None,
    *,
    divided: bool = True,
    slices: tuple[int, int] | None = None,
    marks: Sequence[int] = (),
) -> str:
    """Draw areas against slices.

    Parameters
    ----------
    areas : SliceAreas
        Areas of the classes by slice.
    overlap : ndarray of float, shape (S,), optional
        mm² of both classes; that of ``areas`` by default.
    probabilities : mapping of target to ndarray of float, shape (S,), optional
        Image-level, in [0, 1]; a band for each under the chart.
    divided : bool
        Whether core and edema are drawn; else the tumour is.
    slices : (first, last), optional
        What is shown of the case; everything by default.
    marks : sequence of int
        Slices with a thin line, such as those of the pictures.

    Returns
    -------
    str
        An ``svg`` element that needs nothing else.
    """
    overlap = areas.both if overlap is None else overlap
    first, last = slices or (0, len(areas.core) - 1)
    probabilities = probabilities or {}
    foot = HEIGHT - _AXIS - len(probabilities) * (_STRIP + 2)
    series = [
        ("edema", areas.edema, CLASS_COLOURS[EDEMA]),
        ("core", areas.core, CLASS_COLOURS[CORE]),
        ("overlap", overlap, CLASS_COLOURS[BOTH]),
    ]
    if not divided:
        series = [("tumour", areas.tumour, CLASS_COLOURS[TUMOUR])]
    names = " and ".join(filter(None, (", ".join(n for n, *_ in series[:-1]), series[-1][0])))
    top_mm2 = _round_up(max(1.0, *(float(values.max()) for _, values, _ in series)))
    step = (WIDTH - _LEFT - _RIGHT) / (last - first + 1)

    def x(index: float) -> float:
        return round(_LEFT + (index - first + 0.5) * step, 2)

    def y(mm2: float) -> float:
        return round(foot - (foot - _TOP) * mm2 / top_mm2, 2)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Area of {names} on each slice" '
        'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11">'
    ]
    for tick in range(5):
        mm2 = top_mm2 * tick / 4
        parts.append(_line(_LEFT, y(mm2), WIDTH - _RIGHT, y(mm2), _FAINT))
        parts.append(_text(_LEFT - 6, y(mm2) + 4, f"{mm2:g}", "end"))
    parts += [_line(x(m), _TOP, x(m), foot, "#999", dashed=True) for m in sorted(set(marks))]
    for _, values, colour in series:
        points = [(x(i), y(float(values[i]))) for i in range(first, last + 1)]
        outline = " ".join(f"{a},{b}" for a, b in points)
        area = f"{x(first)},{foot} {outline} {x(last)},{foot}"
        parts.append(f'<polygon points="{area}" fill="{colour}" fill-opacity="0.22"/>')
        parts.append(
            f'<polyline points="{outline}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    parts.append(_text(_LEFT - 60, 14, "area, mm²", "start"))
    parts += _legend([(name, colour) for name, _, colour in series])
    parts += _bands(probabilities, first, last, foot + 4, step)
    bottom = HEIGHT - _AXIS + 4
    for index in _ticks(first, last):
        parts.append(_line(x(index), bottom, x(index), bottom + 4, _INK))
        parts.append(_text(x(index), bottom + 16, str(index), "middle"))
    parts.append(_text(WIDTH - _RIGHT, bottom + 28, "slice, feet to head", "end"))
    return "".join([*parts, "</svg>"])


def _bands(
    probabilities: Mapping[Target, NDArray[np.floating]],
    first: int,
    last: int,
    top: float,
    step: float,
) -> Iterator[str]:
    """Draw a band for each target: full colour is probability 1."""
    for row, (target, values) in enumerate(probabilities.items()):
        at = top + row * (_STRIP + 2)
        yield _text(_LEFT - 6, at + 9, f"P({target})", "end")
        yield (
            f'<rect x="{_LEFT}" y="{at}" width="{WIDTH - _LEFT - _RIGHT}" height="{_STRIP}" '
            f'fill="#f4f4f4"/>'
        )
        for index in range(first, last + 1):
            value = float(values[index])
            if value >= 0.02:
                yield (
                    f'<rect x="{_LEFT + (index - first) * step:.2f}" y="{at}" '
                    f'width="{step + 0.1:.2f}" height="{_STRIP}" '
                    f'fill="{TARGET_COLOURS[target]}" fill-opacity="{value:.2f}"/>'
                )


def _legend(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    at = float(WIDTH - _RIGHT)
    for name, colour in reversed(entries):
        at -= 6.2 * len(name)
        yield _text(at, 14, name, "start")
        at -= 15
        yield f'<rect x="{at:.1f}" y="5" width="10" height="10" fill="{colour}"/>'
        at -= 16


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="2 3"' if dashed else ""
    return f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="{colour}"{dashes}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{_INK}">{words}</text>'


def _round_up(value: float) -> float:
    """Return the next number of 1, 2, 4, 6, 8 times a power of ten, so that quarters are short."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(power * m for m in (1, 2, 4, 6, 8, 10) if power * m >= value)


def _ticks(first: int, last: int) -> list[int]:
    """Round slice numbers, at most about ten."""
    span = last - first + 1
    step = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if span / s <= 10), span)
    return [i for i in range(first, last + 1) if i % step == 0]
