"""Reduces probability tiles to cells as they come, so that no full-resolution map of a slide is ever held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import PredictionError
from benchmark.slides.grid import Grid, Spans, box_counts, box_sums
from benchmark.slides.scoremap import ROUNDING, ScoreMap


class ScoreAccumulator:
    """The mean, per cell of a grid, of all pixel probabilities that fell into it.

    Where tiles overlap, each of them counts: on a 1-px grid that is the mean of the overlapping tiles, on a
    coarser one a pixel seen twice weighs twice. The order of tiles does not matter (up to 1e-6).
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._total = np.zeros(grid.shape)
        self._number = np.zeros(grid.shape)

    def add(self, x: int, y: int, probabilities: NDArray[np.float32]) -> None:
        """Add a height × width tile with its upper left corner at level-0 (x, y); NaN pixels do not count.

        Raises `PredictionError` for a tile that is not two-dimensional, or holds values outside [0, 1].
        """
        tile = np.asarray(probabilities)
        if tile.ndim != 2:
            raise PredictionError(f"a tile of probabilities must be height × width, got shape {tile.shape}")
        low, high = np.fmin.reduce(tile, axis=None, initial=0), np.fmax.reduce(tile, axis=None, initial=1)
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise PredictionError(f"the tile at ({x}, {y}) has values outside [0, 1], from {low} to {high}")
        rows, row_spans = _touched(self._grid.y, self._grid.height, y, tile.shape[0])
        cols, col_spans = _touched(self._grid.x, self._grid.width, x, tile.shape[1])
        known = ~np.isnan(tile)
        self._total[rows, cols] += box_sums(np.where(known, tile, 0.0).astype(np.float64), row_spans, col_spans)
        self._number[rows, cols] += box_counts(known, row_spans, col_spans)

    def finish(self) -> ScoreMap:
        """The score map of all tiles so far; NaN in cells that no tile reached."""
        seen = self._number > 0
        means = np.divide(self._total, self._number, out=np.full(self._grid.shape, np.nan), where=seen)
        return ScoreMap(self._grid, means.astype(np.float32))


def _touched(edges: NDArray[np.int64], length: int, start: int, extent: int) -> tuple[slice, Spans]:
    """The cells along one axis that [start, start + extent) reaches, and which of its pixels each one holds."""
    first = int(np.searchsorted(edges, start - length, side="right"))
    last = int(np.searchsorted(edges, start + extent))
    cells = edges[first:last]
    spans: Spans = np.stack([cells, cells + length], axis=1) - start
    return slice(first, last), spans.clip(0, extent)
