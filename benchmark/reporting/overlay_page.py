"""The page around the panels of an overlay: title, scores, legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.reporting.style import BLACK, BLUE, FAINT, GREEN, INK, PAPER, PURPLE, VERMILION, font

MAX_WIDTH, MIN_WIDTH, MARGIN, GAP = 1400, 1060, 16, 12
TITLE, TEXT = 24, 18
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
    top, label, foot = 50, 28, 40
    high_lines = -(-len(panels) // columns)
    width = max(MIN_WIDTH, 2 * MARGIN + columns * wide + (columns - 1) * GAP)
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
    _legend(pen, width, page.height - foot + 6, shares, lines)
    return np.asarray(page)


def _fitting(text: str, room: float) -> str:
    """`text`, shortened in the middle until it is no longer than `room` pixels."""
    kept = text
    while len(kept) > 8 and font(TITLE, bold=True).getlength(kept) > room:
        half = (len(kept) - 2) // 2
        kept = f"{text[:half]}…{text[-half:]}"
    return kept


def _legend(pen: ImageDraw.ImageDraw, width: int, y: int, shares: Sequence[float], lines: Mapping[str, str]) -> None:
    """Colours of the error map with their share of the scored cells; at the right the colours of the lines."""
    kinds = [(name, colour, share) for (name, colour), share in zip(ERRORS, shares, strict=bool(shares))]
    right_ones = [("true negative", FAINT, 1.0 - sum(shares))] if shares else []
    x: float = MARGIN
    for name, colour, share in [*kinds, *right_ones]:
        if name == "wrong class" and not share:
            continue
        text = f"{name} {share:.1%}"
        pen.rectangle((x, y + 2, x + 16, y + 18), fill=colour)
        pen.text((x + 23, y), text, INK, font(TEXT - 2))
        x += 41 + font(TEXT - 2).getlength(text)
    right: float = width - MARGIN
    for name, colour in reversed(list(lines.items())):
        right -= font(TEXT - 2).getlength(name)
        pen.text((right, y), name, INK, font(TEXT - 2))
        pen.rectangle((right - 28, y + 6, right - 6, y + 14), fill=colour, outline=BLACK)
        right -= 44
