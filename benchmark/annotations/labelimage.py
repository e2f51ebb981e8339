"""Annotations that are images: one number per pixel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.labelpixels import HIGHEST, LabelPixels
from benchmark.annotations.notes import Note
from benchmark.annotations.outlines import count_separate, outlines_by_bands
from benchmark.annotations.pngrows import Band
from benchmark.errors import DataError
from benchmark.slides.grid import Grid


class LabelImage(Annotation):
    """A label image, from a file (read when first needed) or an array.

    `source`: image file, or integer array height × width; 0 is background. A large file is read band by band, never
    held whole. `classes`: object number → class index, numbers not listed are class 0; by default every object is
    class 1. `ignore`: numbers whose pixels count nowhere.
    `downsample`: level-0 pixels per label pixel. `origin`: where its first pixel lies, level-0 px.
    `separated`: every connected area of a class (8 neighbours) is an object, whatever the numbers say.
    """

    def __init__(
        self,
        source: Path | NDArray[Any],
        *,
        classes: Mapping[int, int] | None = None,
        ignore: Collection[int] = (),
        downsample: float = 1.0,
        origin: tuple[float, float] = (0.0, 0.0),
        separated: bool = False,
        notes: Sequence[Note] = (),
    ) -> None:
        self.path = source if isinstance(source, Path) else None
        self.downsample = downsample
        self.origin = origin
        self.separated = separated
        self.notes = tuple(notes)
        self._classes = None if classes is None else dict(classes)
        self._ignored = frozenset(ignore)
        if not isinstance(source, Path):
            self.source = LabelPixels(np.asarray(source))

    @cached_property
    def source(self) -> LabelPixels:
        """The pixels. Raises `DataError` when the file is not a readable label image."""
        assert self.path is not None
        return LabelPixels(self.path)

    @property
    def pixels(self) -> NDArray[Any]:
        """Object numbers, height × width."""
        return self.source.whole()

    @property
    def classes(self) -> NDArray[np.int8]:
        """Class index of every label pixel, height × width."""
        return self._class(self.pixels)

    @cached_property
    def _table(self) -> NDArray[np.int8]:
        """Class index of every number."""
        table = np.zeros(HIGHEST + 1, np.int8)
        if self._classes is None:
            table[1:] = 1
        for number, label in (self._classes or {}).items():
            if 0 < number < table.size:
                table[number] = label
        return table

    def _class(self, numbers: NDArray[Any]) -> NDArray[np.int8]:
        found: NDArray[np.int8] = self._table[numbers]
        return found

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in level-0 pixels."""
        height, width = self.source.shape
        return round(width * self.downsample), round(height * self.downsample)

    def check_size(self, size: tuple[int, int], slide: str) -> None:
        """Raise `DataError` unless the label image is as large as its slide (to one label pixel)."""
        if any(abs(own - other) >= self.downsample for own, other in zip(self.size, size, strict=True)):
            name = self.path or "its label image"
            msg = f"slide {slide!r} has {size[0]}×{size[1]} px but {name} covers {self.size[0]}×{self.size[1]} px"
            raise DataError(msg)

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """Class index under the centre of each cell, rows × cols; 0 outside the image."""
        return self._under(self._class, grid, np.dtype(np.int8))

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """Cells whose centre has one of the numbers to ignore, rows × cols."""
        if not self._ignored:
            return np.zeros(grid.shape, np.bool_)
        wanted = sorted(self._ignored)
        return self._under(lambda numbers: np.isin(numbers, wanted), grid, np.dtype(np.bool_))

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """The object's number under the centre of each cell, rows × cols; 0 outside the image and in class 0."""
        if self.separated:
            objects = LabelImage(self._objects, downsample=self.downsample, origin=self.origin)
            return objects.instances(grid)
        return self._under(lambda numbers: np.where(self._class(numbers) > 0, numbers, 0), grid, np.dtype(np.int32))

    @cached_property
    def _objects(self) -> NDArray[np.int32]:
        from skimage.measure import label

        found: NDArray[np.int32] = label(self.classes, background=0, connectivity=2).astype(np.int32)
        return found

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """Exact share of each patch that each class covers, rows × cols × classes; outside counts as class 0."""
        height, width = self.source.shape
        rows = _edges(grid.y - self.origin[1], grid.height, self.downsample, height)
        cols = _edges(grid.x - self.origin[0], grid.width, self.downsample, width)
        present = int(self._table[list(self.source.counts())].max(initial=0))
        if present >= classes:
            raise DataError(f"{self.path or 'a label image'} has class {present}, but there are {classes} classes")
        area = grid.width * grid.height / self.downsample**2
        covered = np.zeros((*grid.shape, classes))
        for label in range(1, present + 1):
            masks = ((first, self._class(band) == label) for first, band in self.source.bands())
            covered[..., label] = _covered(masks, rows, cols, width)
        covered[..., 0] = area - covered[..., 1:].sum(axis=-1)
        return covered / area

    def count(self) -> int:
        """Number of separate outlines: pixels of one object that only touch at a corner are separate."""
        return count_separate(self._object_bands())

    def polygons(self) -> tuple[Region, ...]:
        """One region per object along the pixel edges, so that the centre rule gives the same image back."""
        found = outlines_by_bands(self._object_bands(), self.downsample)
        if self.origin != (0.0, 0.0):
            from shapely.affinity import translate

            found = [(number, translate(shape, *self.origin)) for number, shape in found]
        return tuple(Region(shape, int(self._table[number])) for number, shape in found)

    def _object_bands(self) -> Iterator[Band]:
        for first, band in self.source.bands():
            yield first, np.where(self._class(band) > 0, band, 0)

    def _under(self, value: Callable[[NDArray[Any]], NDArray[Any]], grid: Grid, dtype: np.dtype[Any]) -> NDArray[Any]:
        x, y = (
            np.floor((centre - start) / self.downsample).astype(np.int64)
            for centre, start in zip(grid.centres, self.origin, strict=True)
        )
        found = np.zeros(grid.shape, dtype)
        inside = np.flatnonzero((x >= 0) & (x < self.source.shape[1]))
        for first, band in self.source.bands():
            rows = np.flatnonzero((y >= first) & (y < first + len(band)))
            if rows.size:
                found[np.ix_(rows, inside)] = value(band[y[rows] - first][:, x[inside]])
        return found


def _edges(starts: NDArray[Any], length: int, downsample: float, limit: int) -> NDArray[np.float64]:
    edges: NDArray[np.float64] = np.stack([starts, starts + length], axis=1) / downsample
    return edges.clip(0, limit)


def _covered(
    masks: Iterator[tuple[int, NDArray[np.bool_]]],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    width: int,
) -> NDArray[np.float64]:
    """Area of a mask in every rectangle rows[i] × cols[j]: an integral image, kept only where it is needed."""
    below = np.floor(rows)
    lines = np.unique(np.concatenate([below.ravel(), below.ravel() + 1])).astype(np.int64)
    kept = np.zeros((lines.size, len(cols)))
    above, last = np.zeros(width + 1), 0
    for first, mask in masks:
        done = 0
        for line in np.flatnonzero((lines > first) & (lines <= first + len(mask))):
            until = int(lines[line]) - first
            above[1:] += mask[done:until].sum(axis=0)
            kept[line], done = _across(above, cols), until
        above[1:] += mask[done:].sum(axis=0)
        last = first + len(mask)
    kept[lines > last] = _across(above, cols)
    ends = [kept[np.searchsorted(lines, below[:, side])] for side in (0, 1)]
    nexts = [kept[np.searchsorted(lines, below[:, side] + 1)] for side in (0, 1)]
    parts = [(rows[:, side] - below[:, side])[:, None] for side in (0, 1)]
    start, end = (ends[side] * (1 - parts[side]) + nexts[side] * parts[side] for side in (0, 1))
    area: NDArray[np.float64] = end - start
    return area


def _across(columns: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
    """What lies between the two edges of every column of patches, from the sums of the pixel columns."""
    integral = np.cumsum(columns)[:, None]
    found: NDArray[np.float64] = (_at(integral, cols[:, 1]) - _at(integral, cols[:, 0]))[:, 0]
    return found


def _at(integral: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.floor(positions).astype(np.int64)
    above = np.minimum(below + 1, integral.shape[0] - 1)
    part = (positions - below)[:, None]
    value: NDArray[np.float64] = integral[below] * (1 - part) + integral[above] * part
    return value
