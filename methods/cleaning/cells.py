"""The cells of a slide: where they lie, what the encoder sees of them, what the coarse annotation calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.slides import Grid

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.context import Context
    from benchmark.learning.encoders.elsewhere import FeatureFolder
    from benchmark.learning.encoders.features import Features
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.slides import Slide

FINE = 16
"""A dataset whose evaluation grid is finer than this (px) has no cells of its own."""
DEFAULT_CELL = 32
"""Cells where the dataset has none, in px."""

Told = NDArray[np.int8]
"""Coarse labels of cells: 1 lesion, 0 none, -1 in an area to ignore, where a cell teaches nothing and is scored."""


@dataclass(frozen=True, eq=False)
class Cells:
    """`grid`: the cells. `tissue`: which of them exist for the method, rows × cols.

    `dropped`: tissue cells that do not, for want of features made elsewhere.
    """

    grid: Grid
    tissue: NDArray[np.bool_]
    dropped: int = 0

    @classmethod
    def of(cls, slide: Slide, context: Context, cell: int | None) -> Cells:
        """The dataset's evaluation grid, or squares of `cell` px; only cells with tissue."""
        grid = context.geometry.evaluation_grid(slide)
        if cell is not None or stride(grid) < FINE:
            grid = Grid.regular(slide.size, cell or DEFAULT_CELL)
        tissue = context.geometry.tissue(slide, grid)
        return cls(grid, np.ones(grid.shape, np.bool_) if tissue is None else tissue)

    def patches(self, side: int) -> Grid:
        """Patches of `side` px, one per cell, centred on it."""
        return Grid(
            self.grid.x + (self.grid.width - side) // 2, self.grid.y + (self.grid.height - side) // 2, side, side
        )

    def covered(self, slide: Slide, side: int, folder: FeatureFolder) -> Cells:
        """The cells of which a folder has features of patches of `side` px."""
        rest = folder.covered(slide, self.patches(side), self.tissue)
        return Cells(self.grid, rest, int(np.count_nonzero(self.tissue & ~rest)))

    def coarse(self, annotation: Annotation) -> Told:
        """What the annotation says, rows × cols."""
        inside = annotation.labels(self.grid) > 0
        return np.where(annotation.ignored(self.grid), -1, inside).astype(np.int8)

    def spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """One value per tissue cell → rows × cols, NaN elsewhere."""
        spread = np.full(self.grid.shape, np.nan, np.float32)
        spread[self.tissue] = values
        return spread


def stride(grid: Grid) -> int:
    """Distance of neighbouring cells in px; the cell's width where there is but one column."""
    return int(grid.x[1] - grid.x[0]) if grid.cols > 1 else grid.width


def rows_of(
    cells: Cells, slide: Slide, encoder: FrozenEncoder | FeatureFolder, patches: Grid, context: Context
) -> Features:
    """The frozen features of a slide's tissue cells, from the cache when they are there."""
    return context.features.of(slide, patches, cells.tissue, encoder, track=context.track)
