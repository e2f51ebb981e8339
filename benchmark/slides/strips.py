"""Cutting patches from strips that move down the slide, so that overlapping patches are read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.slides.grid import Grid
from benchmark.slides.slide import Slide

WIDEST = 4096
"""Widest strip in px, but for single patches that are wider; a wider one no longer fits the processor's cache."""
KEPT = 64_000_000
"""Bytes of strips that a reader keeps for the row of patches below."""

Interpolation = Literal["bilinear", "bicubic"]
Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass
class PatchReader:
    """Reads patches of one slide. Strips are `block` columns of the grid wide, and patches `size` (width, height)."""

    slide: Slide
    grid: Grid
    size: tuple[int, int]
    block: int
    interpolation: Interpolation = "bilinear"
    _strips: OrderedDict[int, tuple[int, int, Pixels]] = field(default_factory=OrderedDict, init=False)

    def read(self, rows: Ints, cols: Ints) -> Iterator[Pixels]:
        """The patches of some cells, in row-major order. Raises `DataError` when their pixels cannot be read."""
        x, y, width = self.grid.x, self.grid.y, self.grid.width
        for start, stop in self._runs(rows, cols):
            left, right = int(x[cols[start]]), int(x[cols[stop - 1]]) + width
            piece = self._piece(int(cols[start]) // self.block, left, int(y[rows[start]]), right - left)
            for col in cols[start:stop].tolist():
                offset = int(x[col]) - left
                patch = self._own(piece[:, offset : offset + width], int(x[col]), int(y[rows[start]]))
                yield _resized(patch, self.size, self.interpolation)

    def _own(self, patch: Pixels, x: int, y: int) -> Pixels:
        """The patch with what does not belong to the image under its centre (another tile of a set) in black."""
        place = self.slide.own(x, y, self.grid.width, self.grid.height)
        if place is None:
            return patch
        alone = np.zeros_like(patch)
        alone[place] = patch[place]
        return alone

    def _runs(self, rows: Ints, cols: Ints) -> Iterator[tuple[int, int]]:
        """Stretches of cells (start, stop) in one row and strip whose patches touch."""
        apart = np.diff(rows).astype(np.bool_) | (np.diff(self.grid.x[cols]) > self.grid.width)
        apart |= np.diff(cols // self.block).astype(np.bool_)
        cuts = [0, *(np.flatnonzero(apart) + 1).tolist(), rows.size]
        return pairwise(cuts)

    def _piece(self, block: int, left: int, top: int, width: int) -> Pixels:
        """A piece of the strip; of rows that the piece above has in common with it, only the rest is read."""
        height = self.grid.height
        start, above, kept = self._strips.pop(block, (0, 0, np.empty((0, 0, 3), np.uint8)))
        down = top - above
        if start <= left and left + width <= start + kept.shape[1] and 0 <= down < height:
            piece = kept[down:, left - start : left - start + width]
            if down:
                piece = np.concatenate([piece, self.slide.read(left, above + height, width, down)])
        else:
            piece = self.slide.read(left, top, width, height)
        self._strips[block] = left, top, piece
        while len(self._strips) > 1 and sum(strip.nbytes for _, _, strip in self._strips.values()) > KEPT:
            self._strips.popitem(last=False)
        return piece


def columns_per_strip(grid: Grid, used: int, batch: int, readers: int) -> int:
    """So many that a strip is not too wide, and every reader has its share of a full row of a batch or of `used`."""
    stride = int(grid.x[1] - grid.x[0]) if grid.cols > 1 else grid.width
    shares = max(1, readers)
    return max(1, min((WIDEST - grid.width) // stride + 1, batch // shares, -(-used // shares)))


def _resized(patch: Pixels, size: tuple[int, int], interpolation: Interpolation) -> Pixels:
    if patch.shape[1::-1] == size:
        return patch
    from PIL import Image

    how = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(patch).resize(size, how))
