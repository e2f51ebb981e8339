"""An annotation of many classes as one of two: the positive ones and the rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.slides.grid import Grid

MOST = 128
"""Classes that an annotation can have."""


def positive_cells(labels: NDArray[np.integer], positive: Collection[int]) -> NDArray[np.bool_]:
    """Which cells of a class map (any shape) have one of the positive classes."""
    table = np.zeros(MOST, np.bool_)
    table[sorted(positive)] = True
    found: NDArray[np.bool_] = table[labels]
    return found


class TwoClasses(Annotation):
    """`annotation`, of `classes` classes, with class 1 for the `positive` ones and 0 for all others."""

    def __init__(self, annotation: Annotation, positive: Collection[int], classes: int) -> None:
        self._annotation = annotation
        self._classes = classes
        self._positive = frozenset(positive)
        self.notes = annotation.notes

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """1 where the class under the centre is positive."""
        return positive_cells(self._annotation.labels(grid), self._positive).astype(np.int8)

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """Shares of the rest and of the positive classes together."""
        shares = self._annotation.fractions(grid, self._classes)
        both = np.zeros((*grid.shape, classes))
        both[..., 1] = shares[..., sorted(self._positive)].sum(axis=-1)
        both[..., 0] = 1 - both[..., 1]
        return both

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """The objects of the positive classes."""
        return np.where(self.labels(grid) > 0, self._annotation.instances(grid), 0).astype(np.int32)

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """As before."""
        return self._annotation.ignored(grid)

    def count(self) -> int:
        """Regions of the positive classes."""
        import shapely

        return sum(int(shapely.get_num_geometries(own.geometry)) for own in self.polygons() if own.label)

    def polygons(self) -> tuple[Region, ...]:
        """All outlines, those of other classes with class 0: they cut what they overwrite."""
        return tuple(replace(own, label=int(own.label in self._positive)) for own in self._annotation.polygons())
