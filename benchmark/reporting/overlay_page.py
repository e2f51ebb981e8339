"""The page around the panels of an overlay: title, scores, legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.reporting.style import BLACK, BLUE, FAINT, GREEN, INK, PAPER, PURPLE, VERMILION, font

MAX_WIDTH, MIN_WIDTH, MARGIN, GAP = 1400, 1060, 16, 12
TITLE, TEXT, LEGEND_LINE = 24, 18, 24
ERRORS = (("true positive", GREEN), ("false positive", VERMILION), ("false negative", BLUE), ("wrong class", PURPLE))
"""What a cell of the error map can be, and its colour; a true negative stays grey."""

Pixels = NDArray[np.uint8]


def compose(
    panels: Mapping[str, Pixels],
    title: str,
    scores: Mapping[str, float],
    columns: int,
    shares: Sequence[float],
    lines: Mapping[str, str],
) -> Pixels:
    """One page: title and scores, the panels (all of one size) in `columns`, the legend.

    `shares`: of each kind of `ERRORS` among the scored cells, none without a truth. `lines`: name → colour of the
    outlines.
    """
    high, wide = next(iter(panels.values())).shape[:2]
    high_lines = -(-len(panels) // columns)
    width = max(MIN_WIDTH, 2 * MARGIN + columns * wide + (columns - 1) * GAP)
    kinds = _kinds(shares)
    apart = _length(kinds) + _length(lines) > width - 3 * MARGIN
    top, label, foot = 50, 28, 40 + LEGEND_LINE * apart
    page = Image.new("RGB", (width, top + high_lines * (high + label + GAP) + foot), PAPER)
    pen = ImageDraw.Draw(page)
    numbers = "   ".join(f"{name} {value:.3f}" for name, value in scores.items())
    room = width - 3 * MARGIN - font(TITLE).getlength(numbers)
    pen.text((MARGIN, 12), _fitting(title, room), INK, font(TITLE, bold=True))
    pen.text((width - MARGIN, 12), numbers, INK, font(TITLE), anchor="ra")
    for number, (name, pixels) in enumerate(panels.items()):
        row, column = divmod(number, columns)
        x, y = MARGIN + column * (wide + GAP), top + row * (high + label + GAP)
        pen.text((x, y + 2), name, INK, font(TEXT))
        page.paste(Image.fromarray(pixels), (x, y + label))
    y = page.height - foot + 6
    _legend(pen, MARGIN, y, kinds)
    _legend(pen, MARGIN if apart else width - MARGIN - _length(lines), y + LEGEND_LINE * apart, lines, bar=True)
    return np.asarray(page)


def _fitting(text: str, room: float) -> str:
    """`text`, shortened in the middle until it is no longer than `room` pixels."""
    kept = text
    while len(kept) > 8 and font(TITLE, bold=True).getlength(kept) > room:
        half = (len(kept) - 2) // 2
        kept = f"{text[:half]}…{text[-half:]}"
    return kept


def _kinds(shares: Sequence[float]) -> dict[str, str]:
    """What the error map's colours mean, with their share of the scored cells → colour."""
    named = [(name, colour, share) for (name, colour), share in zip(ERRORS, shares, strict=bool(shares))]
    named += [("true negative", FAINT, 1.0 - sum(shares))] if shares else []
    return {f"{name} {share:.1%}": colour for name, colour, share in named if share or name != "wrong class"}


def _length(entries: Mapping[str, str]) -> float:
    return sum(41 + font(TEXT - 2).getlength(text) for text in entries)


def _legend(pen: ImageDraw.ImageDraw, x: float, y: int, entries: Mapping[str, str], *, bar: bool = False) -> None:
    """Entries from `x` to the right: a square of each one's colour, or a bar as lines have it, and its text."""
    for text, colour in entries.items():
        pen.rectangle((x, y + 6, x + 18, y + 14) if bar else (x, y + 2, x + 16, y + 18), colour, BLACK if bar else None)
        pen.text((x + 23, y), text, INK, font(TEXT - 2))
        x += 41 + font(TEXT - 2).getlength(text)
