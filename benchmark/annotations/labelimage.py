"""Annotations that are images: one number per pixel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.outlines import outlines, separate
from benchmark.errors import DataError
from benchmark.slides.grid import Grid

MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Pillow modes whose pixels are plain numbers."""


class LabelImage(Annotation):
    """A label image, from a file (read when first needed) or an array.

    `source`: image file, or integer array height × width; 0 is background.
    `classes`: object number → class index, numbers not listed are class 0; by default every object is class 1.
    `downsample`: level-0 pixels per label pixel.
    """

    def __init__(
        self, source: Path | NDArray[Any], *, classes: Mapping[int, int] | None = None, downsample: float = 1.0
    ) -> None:
        self.path = source if isinstance(source, Path) else None
        self.downsample = downsample
        self._classes = None if classes is None else dict(classes)
        if not isinstance(source, Path):
            self.pixels = _numbers(np.asarray(source), "a label image")

    @cached_property
    def pixels(self) -> NDArray[Any]:
        """Object numbers, height × width. Raises `DataError` when the file is not a readable label image."""
        assert self.path is not None
        return _load(self.path)

    @cached_property
    def classes(self) -> NDArray[np.int8]:
        """Class index of every label pixel, height × width."""
        if self._classes is None:
            return (self.pixels > 0).astype(np.int8)
        table = np.zeros(int(self.pixels.max(initial=0)) + 1, np.int8)
        for number, label in self._classes.items():
            if 0 < number < table.size:
                table[number] = label
        found: NDArray[np.int8] = table[self.pixels]
        return found

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in level-0 pixels."""
        height, width = self.pixels.shape
        return round(width * self.downsample), round(height * self.downsample)

    def check_size(self, size: tuple[int, int], slide: str) -> None:
        """Raise `DataError` unless the label image is as large as its slide (to one label pixel)."""
        if any(abs(own - other) >= self.downsample for own, other in zip(self.size, size, strict=True)):
            name = self.path or "its label image"
            msg = f"slide {slide!r} has {size[0]}×{size[1]} px but {name} covers {self.size[0]}×{self.size[1]} px"
            raise DataError(msg)

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """Class index under the centre of each cell, rows × cols; 0 outside the image."""
        return self._under(self.classes, grid).astype(np.int8)

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """The pixel number under the centre of each cell, rows × cols; 0 outside the image and in class 0."""
        return self._under(np.where(self.classes > 0, self.pixels, 0), grid).astype(np.int32)

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """Exact share of each patch that each class covers, rows × cols × classes; outside counts as class 0."""
        present = int(self.classes.max(initial=0))
        if present >= classes:
            raise DataError(f"{self.path or 'a label image'} has class {present}, but there are {classes} classes")
        rows = _edges(grid.y, grid.height, self.downsample, self.pixels.shape[0])
        cols = _edges(grid.x, grid.width, self.downsample, self.pixels.shape[1])
        area = grid.width * grid.height / self.downsample**2
        covered = np.zeros((*grid.shape, classes))
        for label in range(1, present + 1):
            covered[..., label] = _covered(self.classes == label, rows, cols)
        covered[..., 0] = area - covered[..., 1:].sum(axis=-1)
        return covered / area

    def count(self) -> int:
        """Number of separate outlines: pixels of one object that only touch at a corner are separate."""
        return separate(np.where(self.classes > 0, self.pixels, 0))

    def polygons(self) -> tuple[Region, ...]:
        """One region per object along the pixel edges, so that the centre rule gives the same image back."""
        found = outlines(np.where(self.classes > 0, self.pixels, 0), self.downsample)
        return tuple(Region(shape, int(self._class_of(number))) for number, shape in found)

    def _class_of(self, number: int) -> int:
        return 1 if self._classes is None else self._classes[number]

    def _under(self, values: NDArray[Any], grid: Grid) -> NDArray[Any]:
        x, y = (np.floor(centre / self.downsample).astype(np.int64) for centre in grid.centres)
        inside_x, inside_y = (x >= 0) & (x < values.shape[1]), (y >= 0) & (y < values.shape[0])
        found = np.zeros(grid.shape, values.dtype)
        found[np.ix_(inside_y, inside_x)] = values[y[inside_y]][:, x[inside_x]]
        return found


def _load(path: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in MODES:
                msg = f"{path} is not a label image: Pillow mode {image.mode}, expected one number per pixel"
                raise DataError(msg, fix="export the annotation as an 8- or 16-bit single-channel image")
            pixels = np.asarray(image)
    except FileNotFoundError as error:
        raise DataError(f"the label image {path} does not exist", fix=f"ls {path.parent}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        msg = f"the label image {path} cannot be read: {error}"
        raise DataError(msg, fix="copy it again; bench data verify NAME finds all broken files") from error
    return _numbers(pixels, str(path))


def _numbers(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu":
        raise DataError(f"{name} must be height × width integers, got shape {pixels.shape} of {pixels.dtype}")
    low, high = int(pixels.min(initial=0)), int(pixels.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(f"{name} has numbers from {low} to {high}, expected 0 to 65535")
    return pixels.astype(np.uint8 if high < 256 else np.uint16, copy=False)


def _edges(starts: NDArray[np.int64], length: int, downsample: float, limit: int) -> NDArray[np.float64]:
    edges: NDArray[np.float64] = np.stack([starts, starts + length], axis=1) / downsample
    return edges.clip(0, limit)


def _covered(mask: NDArray[np.bool_], rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of `mask` in every rectangle rows[i] × cols[j]: an integral image, read between its points where needed."""
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.float64), axis=1, out=integral[1:, 1:])
    bands = _at(integral, rows[:, 1]) - _at(integral, rows[:, 0])
    area: NDArray[np.float64] = (_at(bands.T, cols[:, 1]) - _at(bands.T, cols[:, 0])).T
    return area


def _at(integral: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.floor(positions).astype(np.int64)
    above = np.minimum(below + 1, integral.shape[0] - 1)
    part = (positions - below)[:, None]
    value: NDArray[np.float64] = integral[below] * (1 - part) + integral[above] * part
    return value
