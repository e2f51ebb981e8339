"""Pictures of the page: patches alone or with their surroundings, the whole slide, and maps laid over it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.cells import cell_edges, nearest_cells

if TYPE_CHECKING:
    from benchmark.annotating.reviewing import Session
    from benchmark.slides import Grid, Slide

PATCH, CONTEXT, OVERVIEW = 256, 640, 1600
"""Longest side in px."""
AROUND = 3
"""How many patches wide the surroundings are."""
BEYOND = 128
"""Grey of what is beyond the slide, or beyond the tile."""
MOST_PARTS = 2500
"""A set of more tiles has no overview: it would decode them all."""

Pixels = NDArray[np.uint8]

COLOURS = (
    *((90, 120, 160), (0, 158, 115), (230, 159, 0), (86, 180, 233), (204, 121, 167), (213, 94, 0)),
    *((0, 114, 178), (240, 228, 66), (153, 153, 153)),
)
"""Of the classes, told apart by the colour-blind (Okabe and Ito)."""


def colour(label: int) -> tuple[int, int, int]:
    """The colour of a class."""
    return COLOURS[label % len(COLOURS)]


class Pictures:
    """The pictures of one slide, encoded."""

    def __init__(self, slide: Slide, patches: Grid, places: NDArray[np.int64]) -> None:
        self._slide, self._patches, self._places = slide, patches, places
        self.patch = lru_cache(4096)(self._patch)
        self.context = lru_cache(1024)(self._context)
        self.overview = lru_cache(1)(self._overview)

    def _box(self, item: int) -> tuple[int, int]:
        row, col = self._places[item].tolist()
        return int(self._patches.x[col]), int(self._patches.y[row])

    def _patch(self, item: int) -> bytes:
        """What is reviewed, as JPEG."""
        (x, y), side = self._box(item), self._patches.width
        return _jpeg(self._own(x, y, side, PATCH))

    def _context(self, item: int) -> bytes:
        """The patch in the middle of its surroundings, `AROUND` as wide."""
        (x, y), side = self._box(item), self._patches.width
        return _jpeg(self._own(x - (AROUND - 1) * side // 2, y - (AROUND - 1) * side // 2, AROUND * side, CONTEXT))

    def _own(self, x: int, y: int, side: int, most: int) -> Pixels:
        """A square of the slide; of a set of tiles, what belongs to the tile in its middle."""
        pixels = self._slide.read(x, y, side, side, downsample=max(1.0, side / most))
        own = self._slide.own(x, y, side, side)
        if own is None:  # what is beyond the slide is no tissue either
            width, height = self._slide.size
            own = slice(max(0, -y), max(0, min(side, height - y))), slice(max(0, -x), max(0, min(side, width - x)))
        scale, kept = pixels.shape[0] / side, np.full_like(pixels, BEYOND)
        rows, cols = (slice(round(part.start * scale), round(part.stop * scale)) for part in own)
        kept[rows, cols] = pixels[rows, cols]
        return kept

    def _overview(self) -> bytes:
        """The whole slide; plain grey for a large set of tiles."""
        width, height = self._slide.size
        if len(self._slide.files) > MOST_PARTS:
            scale = OVERVIEW / max(width, height)
            plain = np.full((max(1, round(height * scale)), max(1, round(width * scale)), 3), 200, np.uint8)
            return _jpeg(plain)
        return _jpeg(self._slide.thumbnail(OVERVIEW))


def place_of(grid: Grid, size: tuple[int, int]) -> dict[str, float]:
    """Where the cells lie on the overview, in shares of its width and height."""
    (x, y), (width, height) = cell_edges(grid), size
    return {
        "left": float(x[0]) / width,
        "top": float(y[0]) / height,
        "width": float(x[-1] - x[0]) / width,
        "height": float(y[-1] - y[0]) / height,
    }


def item_at(grid: Grid, items: NDArray[np.int64], size: tuple[int, int], x: float, y: float) -> int:
    """The item at a place given in shares of the slide's width and height; -1 where there is none."""
    across, down = cell_edges(grid)
    col, row = (
        int(nearest_cells(edges, np.array([share * length]))[0])
        for edges, share, length in zip((across, down), (x, y), size, strict=True)
    )
    return int(items[row, col]) if row >= 0 and col >= 0 else -1


def class_map(session: Session) -> bytes:
    """The most probable class of every cell, and opaque what was answered; RGBA PNG, one pixel a cell."""
    labels = [label for label, _ in session.steps.choices]
    record, view = session.record, session.view
    picture = np.zeros((*session.items.shape, 4), np.uint8)
    if view.probabilities is not None:
        palette = np.array([(*colour(label), 90 if label == 0 else 150) for label in labels], np.uint8)
        picture[tuple(session.steps.places.T)] = palette[view.probabilities.argmax(axis=1)]
    for given in (record.answers, record.examples):
        for cell, answer in given.items():
            picture[cell] = (*colour(answer.label), 255)
    return _png(picture)


def uncertainty_map(session: Session) -> bytes:
    """The entropy of every cell, from black (certain) to yellow (anything is possible); RGBA PNG, one pixel a cell."""
    from matplotlib import colormaps

    picture = np.zeros((*session.items.shape, 4), np.uint8)
    uncertain = uncertainty(session.view.probabilities)
    if uncertain is not None:
        colours = (colormaps["inferno"](uncertain) * 255).astype(np.uint8)
        colours[:, 3] = 190
        picture[tuple(session.steps.places.T)] = colours
    return _png(picture)


def uncertainty(probabilities: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
    """Entropy over its largest value, M, in [0, 1]; None before anything is learnt."""
    if probabilities is None:
        return None
    p = probabilities.astype(np.float64)
    entropy: NDArray[np.float64] = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1) / np.log(p.shape[1])
    return entropy.clip(0.0, 1.0)


def sample(number: int, seed: int, most: int, without: Sequence[int]) -> list[int]:
    """Items to look through for examples, at random."""
    left = np.setdiff1d(np.arange(number), np.asarray(without, np.int64))
    rng = np.random.default_rng(seed)
    return [int(item) for item in rng.permutation(left)[:most]]


def _jpeg(pixels: Pixels) -> bytes:
    return _encoded(pixels, "JPEG", quality=88)


def _png(pixels: Pixels) -> bytes:
    return _encoded(pixels, "PNG")


def _encoded(pixels: Pixels, form: str, **options: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()
