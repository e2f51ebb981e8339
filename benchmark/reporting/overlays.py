"""One picture per slide: the image, the truth on it, the prediction on it, and where the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.reporting.style import BLACK, BLUE, FAINT, GREEN, INK, PAPER, PURPLE, SKY, VERMILION, YELLOW, font, rgb
from benchmark.storage import whole_file

MAX_WIDTH, MIN_WIDTH, MARGIN, GAP = 1400, 1060, 16, 12
TITLE, TEXT = 24, 18
TRUTH_COLOUR, PREDICTION_COLOUR = YELLOW, SKY
ERRORS = (("true positive", GREEN), ("false positive", VERMILION), ("false negative", BLUE), ("wrong class", PURPLE))
"""What a cell of the error map can be, and its colour; a true negative stays grey."""

Pixels = NDArray[np.uint8]
Classes = NDArray[np.int8]


def overlay(
    image: Pixels,
    truth: Classes,
    predicted: Classes,
    *,
    title: str,
    scores: Mapping[str, float] | None = None,
    width: int = MAX_WIDTH,
    columns: int = 2,
) -> Pixels:
    """Four panels with a caption: image, truth, prediction with truth, error map.

    Args:
        image: height × width × 3, of any size; shown no larger than it is.
        truth: class per cell, rows × cols over the same region; 0 is negative, below 0 is left out.
        predicted: the same for the prediction; below 0 is not scored.
        title: the slide's id.
        scores: written beside the title, in order, with three digits.
        width: of the whole picture in pixels, at most.
        columns: panels per line, 1 to 4.

    Returns:
        RGB, height × width × 3.
    """
    room = (width - 2 * MARGIN - (columns - 1) * GAP) // columns
    side = min(room, image.shape[1])
    size = (side, max(1, round(side * image.shape[0] / image.shape[1])))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    wanted, found = _fitted(truth, size), _fitted(predicted, size)
    panels = {
        "image": small,
        "truth": outlined(small, wanted, TRUTH_COLOUR),
        "prediction and truth": outlined(outlined(small, wanted, TRUTH_COLOUR), found, PREDICTION_COLOUR),
        "errors": error_map(small, wanted, found),
    }
    return _page(panels, title, scores or {}, columns, _shares(wanted, found))


def outlined(image: Pixels, classes: Classes, colour: str) -> Pixels:
    """The image with a line around every region, dark-edged so that it shows on light and dark tissue."""
    width = 1 + classes.shape[1] // 600
    line = np.zeros(classes.shape, dtype=bool)
    line[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    line[1:, :] |= classes[1:, :] != classes[:-1, :]
    drawn = image.copy()
    drawn[_thicker(line, width + 1)] = rgb(BLACK)
    drawn[_thicker(line, width)] = rgb(colour)
    return drawn


def error_map(image: Pixels, truth: Classes, predicted: Classes) -> Pixels:
    """Every cell in the colour of what it is (see `ERRORS`) over the greyed image. All of one size."""
    grey = image.mean(axis=2, keepdims=True)
    pale: NDArray[np.float64] = np.repeat(grey * 0.45 + 130.0, 3, axis=2)
    for (_, colour), where in zip(ERRORS, _kinds(truth, predicted), strict=True):
        pale[where] = 0.3 * grey[where] + 0.7 * np.array(rgb(colour))
    return pale.clip(0, 255).astype(np.uint8)


def _kinds(truth: Classes, predicted: Classes) -> tuple[NDArray[np.bool_], ...]:
    scored = (truth >= 0) & (predicted >= 0)
    positive, marked, same = truth > 0, predicted > 0, truth == predicted
    return (
        scored & positive & same,
        scored & ~positive & marked,
        scored & positive & ~marked,
        scored & positive & marked & ~same,
    )


def _shares(truth: Classes, predicted: Classes) -> list[float]:
    scored = max(1, int(((truth >= 0) & (predicted >= 0)).sum()))
    return [float(where.sum()) / scored for where in _kinds(truth, predicted)]


def _fitted(classes: Classes, size: tuple[int, int]) -> Classes:
    """Nearest class at `size` (width, height)."""
    rows = ((np.arange(size[1]) + 0.5) * classes.shape[0] / size[1]).astype(int)
    cols = ((np.arange(size[0]) + 0.5) * classes.shape[1] / size[0]).astype(int)
    fitted: Classes = classes[rows[:, None], cols[None, :]]
    return fitted


def _thicker(line: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    thick = line.copy()
    for step in range(1, by + 1):
        thick[step:, :] |= line[:-step, :]
        thick[:-step, :] |= line[step:, :]
        thick[:, step:] |= line[:, :-step]
        thick[:, :-step] |= line[:, step:]
    return thick


def _page(
    panels: Mapping[str, Pixels], title: str, scores: Mapping[str, float], columns: int, shares: list[float]
) -> Pixels:
    high, wide = next(iter(panels.values())).shape[:2]
    top, label, foot = 50, 28, 40
    lines = -(-len(panels) // columns)
    width = max(MIN_WIDTH, 2 * MARGIN + columns * wide + (columns - 1) * GAP)
    page = Image.new("RGB", (width, top + lines * (high + label + GAP) + foot), PAPER)
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
    _legend(pen, width, page.height - foot + 6, shares)
    return np.asarray(page)


def _fitting(text: str, room: float) -> str:
    """`text`, shortened in the middle until it is no longer than `room` pixels."""
    kept = text
    while len(kept) > 8 and font(TITLE, bold=True).getlength(kept) > room:
        half = (len(kept) - 2) // 2
        kept = f"{text[:half]}…{text[-half:]}"
    return kept


def _legend(pen: ImageDraw.ImageDraw, width: int, y: int, shares: list[float]) -> None:
    """Colours of the error map with their share of the scored cells; at the right the colours of the lines."""
    kinds = [(name, colour, share) for (name, colour), share in zip(ERRORS, shares, strict=True)]
    x: float = MARGIN
    for name, colour, share in [*kinds, ("true negative", FAINT, 1.0 - sum(shares))]:
        if name == "wrong class" and not share:
            continue
        text = f"{name} {share:.1%}"
        pen.rectangle((x, y + 2, x + 16, y + 18), fill=colour)
        pen.text((x + 23, y), text, INK, font(TEXT - 2))
        x += 41 + font(TEXT - 2).getlength(text)
    right: float = width - MARGIN
    for name, colour in (("prediction", PREDICTION_COLOUR), ("truth", TRUTH_COLOUR)):
        right -= font(TEXT - 2).getlength(name)
        pen.text((right, y), name, INK, font(TEXT - 2))
        pen.rectangle((right - 28, y + 6, right - 6, y + 14), fill=colour, outline=BLACK)
        right -= 44


def save(pixels: Pixels, path: Path) -> None:
    """Write a picture whole or not at all: PNG, or JPEG (a tenth of the size and time) where the name ends so."""
    with whole_file(path) as temporary:
        if path.suffix in (".jpg", ".jpeg"):
            Image.fromarray(pixels).save(temporary, "JPEG", quality=85, subsampling=0)
        else:
            Image.fromarray(pixels).save(temporary, "PNG", compress_level=3)
