"""One picture per slide: the image, the truth on it, the prediction on it, and where the two differ.

For a method that refines a coarse annotation, that annotation is drawn too: three outlines, before, after and truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.reporting.cells import Classes, classes_in_picture, take_cells
from benchmark.reporting.overlay_page import ERRORS, GAP, MARGIN, MAX_WIDTH, compose
from benchmark.reporting.style import BLACK, PAPER, SKY, YELLOW, rgb
from benchmark.slides.grid import Grid
from benchmark.storage import whole_file

TRUTH_COLOUR, PREDICTION_COLOUR, COARSE_COLOUR = YELLOW, SKY, PAPER
DASH = 14
"""Length of the dashes, in pixels of the picture, by which lines that coincide take turns."""

Pixels = NDArray[np.uint8]


def overlay(
    image: Pixels,
    truth: Classes | None,
    predicted: Classes,
    *,
    title: str,
    scores: Mapping[str, float] | None = None,
    width: int = MAX_WIDTH,
    columns: int = 2,
    coarse: Classes | None = None,
    place: tuple[Grid, tuple[int, int]] | None = None,
) -> Pixels:
    """Four panels with a caption: image, truth, prediction with truth, error map.

    With `coarse` they are image, coarse annotation with truth, all three outlines, error map after refinement.
    Without a truth there are two: image and prediction.

    Args:
        image: height × width × 3, of any size; shown no larger than it is.
        truth: class per cell, rows × cols over the same region; 0 is negative, below 0 is left out. None: unknown.
        predicted: the same for the prediction; below 0 is not scored.
        title: the slide's id.
        scores: written beside the title, in order, with three digits.
        width: of the whole picture in pixels, at most.
        columns: panels per line, 1 to 4.
        coarse: the coarse annotation, as `truth`.
        place: the grid of the cells and the slide's (width, height), so that cells lie where they are: a lattice
            of whole cells ends short of the slide's edge or beyond it. None: they cover the image exactly.

    Returns:
        RGB, height × width × 3.
    """
    room = (width - 2 * MARGIN - (columns - 1) * GAP) // columns
    side = min(room, image.shape[1])
    size = (side, max(1, round(side * image.shape[0] / image.shape[1])))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    found = _fitted(predicted, size, place)
    if truth is None:
        layers = [(found, PREDICTION_COLOUR)]
        shown = {"image": small, "prediction": traced(small, layers)}
        return compose(shown, title, scores or {}, columns, [], {"prediction": PREDICTION_COLOUR})
    wanted = _fitted(truth, size, place)
    if coarse is None:
        legend = {"truth": TRUTH_COLOUR, "prediction": PREDICTION_COLOUR}
        layers = [(wanted, TRUTH_COLOUR), (found, PREDICTION_COLOUR)]
        drawn = {"truth": traced(small, layers[:1]), "prediction and truth": traced(small, layers)}
    else:
        legend = {"truth": TRUTH_COLOUR, "coarse": COARSE_COLOUR, "refined": PREDICTION_COLOUR}
        given = _fitted(coarse, size, place)
        layers = [(wanted, TRUTH_COLOUR), (given, COARSE_COLOUR), (found, PREDICTION_COLOUR)]
        drawn = {"coarse annotation and truth": traced(small, layers[:2]), ", ".join(legend): traced(small, layers)}
    panels = {"image": small, **drawn, "errors": error_map(small, wanted, found)}
    return compose(panels, title, scores or {}, columns, _shares(wanted, found), legend)


def outlined(image: Pixels, classes: Classes, colour: str) -> Pixels:
    """The image with a line around every region, dark-edged so that it shows on light and dark tissue."""
    return traced(image, [(classes, colour)])


def traced(image: Pixels, layers: Sequence[tuple[Classes, str]]) -> Pixels:
    """The image with a line around every region of each layer, in its colour; lines that coincide share it in dashes.

    What is left out (below 0) counts as negative, so that the edge of the tissue is not drawn.
    """
    width = 1 + image.shape[1] // 600
    borders = [_border(np.maximum(classes, 0)) for classes, _ in layers]
    lines = np.array([_thicker(border, width) for border in borders])
    drawn = image.copy()
    drawn[_thicker(np.any(borders, axis=0), width + 1)] = rgb(BLACK)
    diagonal = np.arange(image.shape[0])[:, None] + np.arange(image.shape[1])
    turn = diagonal // DASH % np.maximum(lines.sum(axis=0), 1)
    order = lines.cumsum(axis=0) - 1
    for (_, colour), line, number in zip(layers, lines, order, strict=True):
        drawn[line & (number == turn)] = rgb(colour)
    return drawn


def _border(classes: Classes) -> NDArray[np.bool_]:
    line = np.zeros(classes.shape, dtype=bool)
    line[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    line[1:, :] |= classes[1:, :] != classes[:-1, :]
    return line


def error_map(image: Pixels, truth: Classes, predicted: Classes) -> Pixels:
    """Every cell in the colour of what it is (see `ERRORS`) over the greyed image. All of one size."""
    return tinted(image, [(where, colour) for (_, colour), where in zip(ERRORS, _kinds(truth, predicted), strict=True)])


def tinted(image: Pixels, areas: Iterable[tuple[NDArray[np.bool_], str]]) -> Pixels:
    """The image in pale grey, each area in its colour over it."""
    grey = image.mean(axis=2, keepdims=True)
    pale: NDArray[np.float64] = np.repeat(grey * 0.45 + 130.0, 3, axis=2)
    for where, colour in areas:
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


def _fitted(classes: Classes, size: tuple[int, int], place: tuple[Grid, tuple[int, int]] | None) -> Classes:
    """The class under every pixel of a picture of `size` (width, height); −1 where there is no cell."""
    if place is not None:
        grid, (width, height) = place
        return classes_in_picture(classes, grid, size, (0.0, 0.0, float(width), float(height)))
    rows = ((np.arange(size[1]) + 0.5) * classes.shape[0] / size[1]).astype(np.int64)
    cols = ((np.arange(size[0]) + 0.5) * classes.shape[1] / size[0]).astype(np.int64)
    return take_cells(classes, rows, cols)


def _thicker(line: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    thick = line.copy()
    for step in range(1, by + 1):
        thick[step:, :] |= line[:-step, :]
        thick[:-step, :] |= line[step:, :]
        thick[:, step:] |= line[:, :-step]
        thick[:, :-step] |= line[:, step:]
    return thick


def save(pixels: Pixels, path: Path) -> None:
    """Write a picture whole or not at all: PNG, or JPEG (a tenth of the size and time) where the name ends so."""
    with whole_file(path) as temporary:
        if path.suffix in (".jpg", ".jpeg"):
            Image.fromarray(pixels).save(temporary, "JPEG", quality=85, subsampling=0)
        else:
            Image.fromarray(pixels).save(temporary, "PNG", compress_level=3)
