"""An annotation seen by LC-MIL's released rule: Pillow's polygons with erased outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.polygons import Polygons, released_raster
from benchmark.errors import DataError
from benchmark.slides.grid import Grid


class Released(Annotation):
    """`labels` by `released_raster` on any regular lattice, everything else as the annotation itself has it.

    The outlines are taken as the authors' code takes them: in the order of the file, not mended where they cross
    themselves, and without the group "Exclusion", whose capital their reader does not expect (L23). Truth and coarse
    annotation must be seen by the same rule (L10: about 8 % fewer positive cells than the centre rule on test_016).
    Raises `DataError` for a lattice that is not regular.
    """

    def __init__(self, annotation: Annotation) -> None:
        self.annotation = annotation
        self.notes = annotation.notes

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """1 in the cells that the released code calls positive, rows × cols; it knows no other class."""
        unit = _stride(grid)
        left, top = int(grid.x[0]) - (unit - grid.width) // 2, int(grid.y[0]) - (unit - grid.height) // 2
        regions = drawn_regions(self.annotation)
        if left or top:
            from shapely.affinity import translate

            regions = tuple(Region(translate(region.geometry, -left, -top), region.label) for region in regions)
        found: NDArray[np.int8] = released_raster(regions, grid.shape, unit).astype(np.int8)
        return found

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """As the annotation has them."""
        return self.annotation.ignored(grid)

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """As the annotation has them."""
        return self.annotation.fractions(grid, classes)

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """As the annotation has them."""
        return self.annotation.instances(grid)

    def count(self) -> int:
        """As the annotation has it."""
        return self.annotation.count()

    def polygons(self) -> tuple[Region, ...]:
        """As the annotation has them."""
        return self.annotation.polygons()


def drawn_regions(annotation: Annotation) -> tuple[Region, ...]:
    """The outlines as they were drawn, where the annotation still has them, else as it has them now."""
    return annotation.drawn if isinstance(annotation, Polygons) else annotation.polygons()


def _stride(grid: Grid) -> int:
    """Distance of neighbouring cells; the patch's width where there is but one."""
    steps = np.unique(np.concatenate([np.diff(grid.x), np.diff(grid.y)]))
    if steps.size > 1:
        what = f"label_rule=released needs cells at equal distances, these have {steps[0]} to {steps[-1]} px"
        raise DataError(what, fix="--set label_rule=centre")
    return int(steps[0]) if steps.size else grid.width
