"""What an annotation answers, whatever it was drawn with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

    from benchmark.annotations.notes import Note
    from benchmark.slides import Grid


@dataclass(frozen=True)
class Region:
    """One outline in level-0 pixels and the index of its class; label 0 cuts a hole into what lies below."""

    geometry: Polygon | MultiPolygon
    label: int

    def __post_init__(self) -> None:
        if not 0 <= self.label <= 127:
            raise DataError(f"a region has class index {self.label}, expected 0 to 127")


class Annotation(ABC):
    """Classes drawn over a slide. Class 0 is the negative class, and everything that is not drawn.

    `notes`: what its reader passed over, mended or supposed.
    """

    notes: tuple[Note, ...] = ()

    @abstractmethod
    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """Class index under the centre of each cell (the centre rule), rows × cols; 0 outside."""

    @abstractmethod
    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """Share of each patch that each class covers, rows × cols × classes; sums to 1 per patch.

        The part of a patch beyond the annotated area counts as class 0. Raises `DataError` when a class
        index is not below `classes`.
        """

    @abstractmethod
    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """Number of the object under the centre of each cell, rows × cols; 0 = background."""

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """Cells whose class nobody knows, rows × cols: they count nowhere, whatever `labels` says. By default none."""
        return np.zeros(grid.shape, np.bool_)

    @abstractmethod
    def count(self) -> int:
        """Number of separate regions of a positive class: what the ledger counts as coarse polygons."""

    @abstractmethod
    def polygons(self) -> tuple[Region, ...]:
        """The outlines, in level-0 pixels; later ones overwrite earlier ones."""
