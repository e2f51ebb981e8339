"""An annotation whose cells have a class by the share of their area, not by their centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.slides.grid import Grid


class ByShare(Annotation):
    """As `annotation`, of `classes` classes, but a cell is positive when they cover at least `share` of it.

    A positive cell has the class, other than 0, that covers most of it; of equal ones the first. Cells of one pixel
    keep the class under their centre.
    """

    def __init__(self, annotation: Annotation, classes: int, share: float) -> None:
        self.annotation = annotation
        self.share = share
        self.notes = annotation.notes
        self._classes = classes

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """Class of every cell, rows × cols."""
        if grid.width * grid.height == 1:
            return self.annotation.labels(grid)
        shares = self.annotation.fractions(grid, self._classes)[..., 1:]
        positive = shares.sum(axis=-1) >= self.share - 1e-9
        return np.where(positive, shares.argmax(axis=-1) + 1, 0).astype(np.int8)

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """As the annotation has them."""
        return self.annotation.fractions(grid, classes)

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """The objects under the centres, in positive cells."""
        return np.where(self.labels(grid) > 0, self.annotation.instances(grid), 0).astype(np.int32)

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """As the annotation has them."""
        return self.annotation.ignored(grid)

    def count(self) -> int:
        """As the annotation has them."""
        return self.annotation.count()

    def polygons(self) -> tuple[Region, ...]:
        """As they were drawn."""
        return self.annotation.polygons()
