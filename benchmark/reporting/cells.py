"""Where the cells of a grid lie: their edges, not those of their patches; and the cell under a pixel of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.slides.grid import Grid

Edges = NDArray[np.float64]
Classes = NDArray[np.int8]


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
    numbers = np.searchsorted(edges, points, side="right") - 1
    return np.where((points >= edges[0]) & (points < edges[-1]), numbers, -1).astype(np.int64)


def classes_in_picture(
    classes: Classes, grid: Grid, size: tuple[int, int], box: tuple[float, float, float, float]
) -> Classes:
    """The class under every pixel of a picture; −1 where there is no cell.

    Args:
        classes: rows × cols of the grid.
        grid: the lattice of the cells.
        size: (width, height) of the picture.
        box: what the picture shows, as left, top, width, height in level-0 pixels.
    """
    x, y = cell_edges(grid)
    across, down = (
        start + (np.arange(side) + 0.5) * full / side for side, start, full in zip(size, box[:2], box[2:], strict=True)
    )
    return take_cells(classes, nearest_cells(y, down), nearest_cells(x, across))


def take_cells(classes: Classes, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Classes:
    """The classes of those rows and columns; −1 where a number is −1."""
    bordered = np.pad(classes, ((0, 1), (0, 1)), constant_values=-1)
    taken: Classes = bordered[rows[:, None], cols[None, :]]
    return taken


def _edges(centres: NDArray[np.float64], side: int) -> Edges:
    if centres.size == 1:
        return np.array([centres[0] - side / 2, centres[0] + side / 2])
    middles = (centres[:-1] + centres[1:]) / 2
    first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])
