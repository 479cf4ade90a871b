"""The few pieces of HTML that a report is made of; all words are escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape


def swatch(colour: str) -> str:
    """A small square of a colour, before a word."""
    return f'<span class="swatch" style="background:{colour}"></span>'


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain words."""
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of numbers; the first column holds words, and cells are plain words."""
    return f"<table>{_head(head)}<tbody>{''.join(_row(row) for row in rows)}</tbody></table>"


def grouped_table(head: Sequence[str], groups: Iterable[Iterable[Sequence[str]]]) -> str:
    """As `table`, with a line between groups of rows; the second column holds words, too."""
    bodies = "".join(
        f'<tbody class="class">{"".join(_row(row) for row in rows)}</tbody>' for rows in groups
    )
    return f'<table class="grouped">{_head(head)}{bodies}</table>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values below each other."""
    return f'<table class="plain"><tbody>{"".join(_row(row) for row in rows)}</tbody></table>'


def picture(png: bytes, words: str) -> str:
    """A picture that is part of the page."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{data}">'


def _head(head: Sequence[str]) -> str:
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    return f"<thead><tr>{cells}</tr></thead>"


def _row(row: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
