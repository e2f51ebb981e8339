"""An annotation of one dataset in the classes, and at the magnification, of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.two_class_annotation import MOST
from benchmark.slides.grid import Grid


class CarriedAnnotation(Annotation):
    """`annotation` of a slide that is read `times` × coarser, with other class indices.

    `table`: index of a class there → index here, None for a class whose cells count nowhere. Grids that are asked
    about are in the larger pixels. `theirs`: such a grid in pixels of the file, by default to the nearest pixel.
    """

    def __init__(
        self,
        annotation: Annotation,
        table: Sequence[int | None],
        times: float = 1.0,
        theirs: Callable[[Grid], Grid] | None = None,
    ) -> None:
        self._annotation = annotation
        self._classes = len(table)
        self._times = times
        self._theirs = theirs or (lambda grid: rescaled_grid(grid, times))
        self._table = np.zeros(MOST, np.int8)
        self._table[: len(table)] = [own or 0 for own in table]
        self._unknown = np.zeros(MOST, np.bool_)
        self._unknown[: len(table)] = [own is None for own in table]
        self.notes = annotation.notes

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """Class under the centre of each cell; 0 where it counts nowhere."""
        found: NDArray[np.int8] = self._table[self._annotation.labels(self._theirs(grid))]
        return found

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """Shares of the classes here."""
        shares = self._annotation.fractions(self._theirs(grid), self._classes)
        own = np.zeros((*grid.shape, classes))
        for index in range(self._classes):
            own[..., self._table[index]] += shares[..., index]
        return own

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """The objects of classes that are not class 0 here."""
        theirs = self._annotation.instances(self._theirs(grid))
        return np.where(self.labels(grid) > 0, theirs, 0).astype(np.int32)

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """Cells that were ignored, and those of classes that count nowhere."""
        theirs = self._theirs(grid)
        unknown = self._annotation.ignored(theirs)
        if self._unknown.any():
            unknown = unknown | self._unknown[self._annotation.labels(theirs)]
        return unknown

    def count(self) -> int:
        """Regions of classes that are not class 0 here."""
        import shapely

        return sum(int(shapely.get_num_geometries(own.geometry)) for own in self.polygons() if own.label)

    def polygons(self) -> tuple[Region, ...]:
        """The outlines, in the larger pixels."""
        from shapely.affinity import scale

        share = 1 / self._times
        return tuple(
            replace(
                own,
                label=int(self._table[own.label]),
                geometry=own.geometry if share == 1 else scale(own.geometry, share, share, origin=(0, 0)),
            )
            for own in self._annotation.polygons()
        )


def rescaled_grid(grid: Grid, times: float) -> Grid:
    """The grid with all lengths `times` as long, in whole pixels."""
    if times == 1:
        return grid
    x, y = (np.rint(own * times).astype(np.int64) for own in (grid.x, grid.y))
    return Grid(x, y, max(1, round(grid.width * times)), max(1, round(grid.height * times)))
