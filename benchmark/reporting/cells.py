"""Where the cells of a grid lie: their edges, not those of their patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.slides.grid import Grid

Edges = NDArray[np.float64]


def cell_edges(grid: Grid) -> tuple[Edges, Edges]:
    """Edges of the columns (cols + 1) and of the rows (rows + 1) of a lattice, in level-0 pixels.

    A cell is what lies nearer to its own centre than to its neighbours': patches larger than the stride overlap,
    cells never do, and every centre lies strictly inside its own cell. The outermost cells are symmetric about
    their centre; a single cell is its patch.
    """
    x, y = grid.centres
    return _edges(x, grid.width), _edges(y, grid.height)


def nearest_cells(edges: Edges, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of the cell that each point lies in, −1 outside the lattice."""
    found = np.searchsorted(edges, points, side="right") - 1
    return np.where((points >= edges[0]) & (points < edges[-1]), found, -1).astype(np.int64)


def _edges(centres: NDArray[np.float64], side: int) -> Edges:
    if centres.size == 1:
        return np.array([centres[0] - side / 2, centres[0] + side / 2])
    middles = (centres[:-1] + centres[1:]) / 2
    first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])
