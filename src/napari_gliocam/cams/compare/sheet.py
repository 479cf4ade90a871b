"""A contact sheet: methods below each other, classes and slices side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality
from napari_gliocam.colours import EXPERT_COLOUR, rgb
from napari_gliocam.grey import brain_crop, grey_plane

if TYPE_CHECKING:
    from PIL.Image import Image

#: Height of a picture, and room for words, in pixels.
TILE, ROW_TITLE, COLUMN_TITLE, GAP = 200, 168, 40, 6
_PAPER, _INK, _OUTLINE = (18, 18, 20), (235, 235, 235), (255, 255, 255)
_EXPERT = rgb(EXPERT_COLOUR)
#: Of the map inferno (matplotlib, CC0): black, purple, red, orange, pale yellow.
_COLOURS = np.array(
    [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]],
    dtype=np.float32,
)


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture.

    Parameters
    ----------
    map_ : ndarray or None
        A slice of a map in [0, 1], (P, L); None shows the scan alone.
    words : str
        On the picture, such as ``"Dice 0.81"``.
    """

    map_: NDArray[np.float32] | None
    words: str = ""


@dataclass(frozen=True, eq=False)
class SheetColumn:
    """Properties that the pictures of a column share.

    Parameters
    ----------
    title : str
        Two lines at most.
    index : int
        Slice of the case.
    modality : Modality
        The scan under the maps.
    truth : ndarray of bool or None
        An expert's outline of the class on that slice, (P, L).
    """

    title: str
    index: int
    modality: Modality
    truth: NDArray[np.bool_] | None = None


def choose_slices(weights: NDArray[np.floating], count: int = 3) -> list[int]:
    """Return slices at even steps through the lesion, by the amount of it on each.

    Parameters
    ----------
    weights : ndarray, (S,)
        Such as the area of the lesion; without any the middle slice is taken.
    count : int
        Number of them.
    """
    total = float(weights.sum())
    if total <= 0:
        return [len(weights) // 2]
    share = np.cumsum(weights) / total
    wanted = (np.arange(count) + 1) / (count + 1)
    return sorted({int(np.searchsorted(share, w)) for w in wanted})


def draw_sheet(
    case: Case,
    columns: Sequence[SheetColumn],
    rows: Sequence[tuple[str, Sequence[Tile]]],
    *,
    threshold: float,
    caption: str,
) -> bytes:
    """Draw the sheet.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    columns : sequence of SheetColumn
        Columns from left to right.
    rows : sequence of (title, tiles)
        A tile a column.
    threshold : float
        Where the white outline runs; the green one is an expert's.
    caption : str
        At the bottom.

    Returns
    -------
    bytes
        PNG, RGB.
    """
    from PIL import Image, ImageDraw, ImageFont

    crop = brain_crop(case.brain)
    _, row_mm, column_mm = case.grid.spacing
    height_mm = (crop[0].stop - crop[0].start) * row_mm
    width = round(TILE * (crop[1].stop - crop[1].start) * column_mm / height_mm)
    wide = max(ROW_TITLE + len(columns) * (width + GAP), 520)
    caption = _wrapped(caption, wide // 8)
    bottom = COLUMN_TITLE + len(rows) * (TILE + GAP)
    sheet = Image.new("RGB", (wide, bottom + 22 * (caption.count("\n") + 1)), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, column in enumerate(columns):
        left = ROW_TITLE + number * (width + GAP)
        pen.text((left + 2, 3), column.title, _INK, font)
    for line, (title, tiles) in enumerate(rows):
        top = COLUMN_TITLE + line * (TILE + GAP)
        pen.text((8, top + 4), _wrapped(title), _INK, font)
        for number, (column, tile) in enumerate(zip(columns, tiles, strict=True)):
            left = ROW_TITLE + number * (width + GAP)
            sheet.paste(_picture(case, column, tile, crop, (width, TILE), threshold), (left, top))
            pen.text(
                (left + 6, top + TILE - 22),
                tile.words,
                _INK,
                font,
                stroke_width=2,
                stroke_fill=_PAPER,
            )
    pen.text((8, bottom), caption, _INK, font)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _picture(
    case: Case,
    column: SheetColumn,
    tile: Tile,
    crop: tuple[slice, ...],
    size: tuple[int, int],
    threshold: float,
) -> Image:
    """Return one slice, the map over it, outlines on top."""
    grey = _grow(grey_plane(case, column.modality, column.index)[crop], size)
    picture: NDArray[np.float32] = np.repeat(grey[..., None], 3, axis=2)
    if tile.map_ is not None:
        map_ = _grow(tile.map_[crop], size)
        opacity = 0.75 * np.sqrt(map_)[..., None]
        picture += (_coloured(map_) - picture) * opacity
        picture[_rim(map_ > threshold)] = _OUTLINE
    if column.truth is not None and column.truth.any():
        picture[_rim(_grow(column.truth[crop].astype(np.float32), size) > 0.5)] = _EXPERT
    from PIL import Image

    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def _grow(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)


def _coloured(map_: NDArray[np.float32]) -> NDArray[np.float32]:
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(map_, stops, _COLOURS[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion

    rim: NDArray[np.bool_] = mask & ~binary_erosion(mask)
    return rim


def _wrapped(title: str, width: int = 20) -> str:
    lines = [""]
    for word in title.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
