"""A key slice as a picture: the scan as it is, and the scan with what was found."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.colours import rgb
from napari_gliocam.grey import brain_crop, grey_plane
from napari_gliocam.report.key_slices import KeySlice

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw as Pen

#: Height of a picture in pixels, and how much finer it is drawn before it is made smaller.
HEIGHT, FINER = 420, 2
_OPACITY, _BAR_MM, _LETTERS = 0.32, 50.0, 22
_INK, _CASING = "#FFFFFF", "#000000"


def draw_slice(case: Case, key: KeySlice, *, overlay: bool) -> bytes:
    """Draw a slice as the reader sees it: the patient's right at the left, true proportions.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    key : KeySlice
        The slice to draw.
    overlay : bool
        Whether labels and lines are drawn, or the scan alone.

    Returns
    -------
    bytes
        PNG; grey without the overlay, else RGB.
    """
    from PIL import Image, ImageDraw

    crop = brain_crop(case.brain)
    _, row_mm, column_mm = case.grid.spacing
    rows, columns = (part.stop - part.start for part in crop)
    height = HEIGHT * FINER
    width = max(FINER, round(height * columns * column_mm / (rows * row_mm) / FINER) * FINER)
    plane = grey_plane(case, key.modality, key.index)[crop]
    grey = Image.fromarray(plane.clip(0, 255).astype(np.uint8))
    picture = grey.resize((width, height), Image.Resampling.BICUBIC)
    if overlay:
        picture = _overlaid(picture.convert("RGB"), key, key.labels[crop])
    pen = ImageDraw.Draw(picture)
    per_row, per_column = height / rows, width / columns
    for line in key.lines if overlay else ():
        ends = [
            ((l - crop[1].start + 0.5) * per_column, (p - crop[0].start + 0.5) * per_row)
            for _, p, l in (line.start, line.end)
        ]
        for colour, thick in ((_CASING, 5 * FINER), (_INK, 2 * FINER)):
            pen.line(ends, colour, thick)
            for x, y in ends:
                size = thick * 0.9
                pen.ellipse((x - size, y - size, x + size, y + size), colour)
    for left, side in ((6 * FINER, "R"), (width - 20 * FINER, "L")):
        _write(pen, (left, height / 2 - 12 * FINER), side)
    bar = _BAR_MM / column_mm * per_column
    left, bottom = 8 * FINER, height - 10 * FINER
    pen.line([(left, bottom), (left + bar, bottom)], _INK, 2 * FINER)
    _write(pen, (left, bottom - 30 * FINER), f"{_BAR_MM / 10:g} cm")
    small = picture.resize((width // FINER, HEIGHT), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "PNG")
    return out.getvalue()


def _overlaid(picture: Image, key: KeySlice, labels: NDArray[np.uint8]) -> Image:
    """Draw each label as a tint with a firm edge."""
    from PIL import Image
    from scipy.ndimage import binary_erosion

    large = np.asarray(
        Image.fromarray(np.ascontiguousarray(labels)).resize(picture.size, Image.Resampling.NEAREST)
    )
    pixels = np.asarray(picture).astype(np.float32)
    for value, colour in key.colours.items():
        mask = large == value
        if not mask.any():
            continue
        tint = np.array(rgb(colour), dtype=np.float32)
        pixels[mask] += (tint - pixels[mask]) * _OPACITY
        pixels[mask & ~binary_erosion(mask, iterations=2 * FINER)] = tint
    return Image.fromarray(pixels.round().astype(np.uint8))


def _write(pen: Pen, at: tuple[float, float], words: str) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(size=_LETTERS * FINER)
    pen.text(at, words, _INK, font, stroke_width=FINER, stroke_fill=_CASING)
