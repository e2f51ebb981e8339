"""A rectilinear lattice of patches over a slide, in level-0 pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError

Spans = NDArray[np.int64]
"""n × 2: start and stop (exclusive) of a run of cells along one axis."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Patches in rows and columns. Edges are listed, not computed: official tilings clamp their last row and column.

    `x`: left edge of each column's patch, ascending; `y`: top edge of each row's patch. Edges may be
    negative, and patches may reach beyond the slide or overlap (context). `width`, `height`: patch size.
    All in level-0 pixels. Two grids are the same when their `digest` is.

    Raises `ConfigError` for an empty lattice, edges that do not ascend, or a patch smaller than a pixel.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    width: int
    height: int

    def __post_init__(self) -> None:
        for axis in ("x", "y"):
            edges = np.array(getattr(self, axis), dtype=np.int64)
            if edges.ndim != 1 or edges.size == 0 or np.any(np.diff(edges) <= 0):
                raise ConfigError(f"the {axis} edges of a grid must be an ascending list with at least one entry")
            edges.setflags(write=False)
            object.__setattr__(self, axis, edges)
        _positive("patch width", self.width)
        _positive("patch height", self.height)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.y.size)

    @property
    def cols(self) -> int:
        """Number of columns."""
        return int(self.x.size)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    @cached_property
    def digest(self) -> str:
        """A hash of edges and patch size, the same in every process and on every machine."""
        head = f"{self.width},{self.height},{self.cols},{self.rows};".encode()
        body = self.x.astype("<i8").tobytes() + self.y.astype("<i8").tobytes()
        return hashlib.sha256(head + body).hexdigest()[:16]

    @property
    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre of every column (x) and of every row (y). The centre of pixel 3 is 3.5."""
        return self.x.astype(np.float64) + self.width / 2, self.y.astype(np.float64) + self.height / 2

    def patches(self) -> Iterator[tuple[int, int, int, int]]:
        """(row, col, x, y) of every patch, row by row."""
        for row, y in enumerate(self.y.tolist()):
            for col, x in enumerate(self.x.tolist()):
                yield row, col, x, y

    def cell(self, row: int, col: int) -> Grid:
        """The 1 × 1 grid of a single patch."""
        return Grid(self.x[[col]], self.y[[row]], self.width, self.height)

    def spans(self, finer: Grid) -> tuple[Spans, Spans]:
        """Which cells of another grid have their centre in each patch of this one.

        Returns rows × 2 and cols × 2, start and stop into the other grid's rows and columns. Half-open:
        a centre on the left or upper edge belongs to the patch, one on the right or lower edge does not.
        """
        cx, cy = finer.centres
        return _spans(self.y, self.height, cy), _spans(self.x, self.width, cx)

    @classmethod
    def regular(
        cls, size: tuple[int, int], stride: int, side: int | None = None, origin: tuple[int, int] = (0, 0)
    ) -> Grid:
        """Cells of `stride` px from `origin` on, and a patch of `side` px (default: the stride) centred on each.

        A slide of `size` (width, height) has round(length / stride) cells per axis, at least one: the same rule
        for every consumer, as LC-MIL's training has it (its inference truncates instead).
        """
        _positive("stride", stride)
        side = stride if side is None else side
        edges = []
        for length, start in zip(size, origin, strict=True):
            cells = max(1, round((length - start) / stride))
            edges.append(start + np.arange(cells, dtype=np.int64) * stride + (stride - side) // 2)
        return cls(edges[0], edges[1], side, side)

    @classmethod
    def windows(cls, size: tuple[int, int], side: int, stride: int) -> Grid:
        """Windows at 0, s, 2s … that end inside the slide, and one more at the very end where a rest remains.

        A slide shorter than `side` gets the single origin 0. Source: OEEM, patches 112/56 and tiles 256/192.
        """
        _positive("side", side)
        _positive("stride", stride)
        return cls(_origins(size[0], side, stride), _origins(size[1], side, stride), side, side)

    @classmethod
    def pixels(cls, size: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> Grid:
        """One cell per level-0 pixel of a region of `size` (width, height) at `origin`."""
        x, y = (start + np.arange(length, dtype=np.int64) for length, start in zip(size, origin, strict=True))
        return cls(x, y, 1, 1)

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Grid:
        """A single cell: the whole slide."""
        return cls(np.zeros(1, np.int64), np.zeros(1, np.int64), *size)


def box_sums(values: NDArray[np.float64], rows: Spans, cols: Spans) -> NDArray[np.float64]:
    """Sum of `values` (h × w) over every rectangle rows[i] × cols[j], by an integral image: len(rows) × len(cols)."""
    if np.all(np.diff(rows) == 1) and np.all(np.diff(cols) == 1):
        return values[rows[:, 0]][:, cols[:, 0]]
    integral = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0), axis=1, out=integral[1:, 1:])
    bands = integral[rows[:, 1]] - integral[rows[:, 0]]
    sums: NDArray[np.float64] = bands[:, cols[:, 1]] - bands[:, cols[:, 0]]
    return sums


def box_counts(known: NDArray[np.bool_], rows: Spans, cols: Spans) -> NDArray[np.float64]:
    """Number of known cells in every rectangle, as `box_sums`."""
    if known.all():
        return np.outer(np.diff(rows), np.diff(cols)).astype(np.float64)
    return np.rint(box_sums(known.astype(np.float64), rows, cols))


def _spans(edges: NDArray[np.int64], length: int, centres: NDArray[np.float64]) -> Spans:
    return np.stack([np.searchsorted(centres, edges), np.searchsorted(centres, edges + length)], axis=1)


def _origins(length: int, side: int, stride: int) -> NDArray[np.int64]:
    last = max(0, length - side)
    origins = np.arange(0, last + 1, stride, dtype=np.int64)
    return origins if origins[-1] == last else np.append(origins, last)


def _positive(what: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{what} must be at least 1 px, got {value}")
