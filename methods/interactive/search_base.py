"""The searched patches of one or more slides under one numbering, with their stored maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError
from benchmark.learning.encoders.feature_rows import Rows
from benchmark.slides import Grid

if TYPE_CHECKING:
    import torch

    from benchmark.context import Context
    from benchmark.learning.encoders.cut import CutEncoder
    from benchmark.slides import Slide

FINE, DEFAULT_CELL = 16, 32
"""A dataset whose evaluation grid is finer than `FINE` px gets cells of `DEFAULT_CELL` px."""

Numbers = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a slide: `grid`, the `patches` around them, and which hold `tissue` (rows × cols)."""

    slide: Slide
    grid: Grid
    patches: Grid
    tissue: NDArray[np.bool_]

    @classmethod
    def of(cls, slide: Slide, context: Context, *, cell: int | None, patch: int | None) -> Cells:
        """The evaluation grid, or squares of `cell` px; patches of `patch` px, by default as large as a cell."""
        grid = context.geometry.evaluation_grid(slide)
        if cell is not None or min(grid.width, grid.height) < FINE:
            grid = Grid.regular(slide.size, cell or DEFAULT_CELL)
        side = patch or max(grid.width, grid.height)
        x, y = grid.x + (grid.width - side) // 2, grid.y + (grid.height - side) // 2
        tissue = context.geometry.tissue(slide, grid)
        return cls(slide, grid, Grid(x, y, side, side), np.ones(grid.shape, np.bool_) if tissue is None else tissue)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Row and column of those that hold tissue, n × 2, row by row."""
        return np.argwhere(self.tissue).astype(np.int64)

    @property
    def number(self) -> int:
        """How many hold tissue."""
        return len(self.places)


class SearchBase:
    """Items 0 … M-1: the tissue cells of some slides, slide by slide, row by row."""

    def __init__(self, parts: Sequence[Cells], encoder: CutEncoder, context: Context) -> None:
        self.parts = [part for part in parts if part.number]
        self.starts = np.cumsum([0, *(part.number for part in self.parts)])
        self._encoder, self._context = encoder, context

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def rows(self) -> Rows:
        """The flattened maps, memory-mapped."""
        features, trunk, track = self._context.features, self._encoder.trunk, self._context.track
        return Rows([features.of(part.slide, part.patches, part.tissue, trunk, track=track) for part in self.parts])

    def place(self, number: int) -> tuple[Cells, int, int]:
        """The slide's cells, row and column of an item."""
        part = int(np.searchsorted(self.starts, number, side="right")) - 1
        row, col = self.parts[part].places[number - self.starts[part]].tolist()
        return self.parts[part], row, col

    def items_beside(self, number: int) -> Numbers:
        """All items of the slide that an item is on."""
        part = int(np.searchsorted(self.starts, number, side="right")) - 1
        return np.arange(self.starts[part], self.starts[part + 1])

    def number(self, slide: str, row: int, col: int) -> int:
        """The item at a cell. Raises `ConfigError` where there is none: no such slide, or no tissue."""
        for start, part in zip(self.starts.tolist(), self.parts, strict=False):
            if part.slide.id == slide and part.tissue[row, col]:
                before = np.count_nonzero(part.tissue[:row]) + np.count_nonzero(part.tissue[row, :col])
                return int(start + before)
        raise ConfigError(f"cell {row}, {col} of slide {slide!r} is not among the searched patches")

    def maps(self, numbers: Numbers) -> torch.Tensor:
        """The maps of some items, n × shape."""
        import torch

        return torch.from_numpy(self.rows.take(numbers)).view(len(numbers), *self._encoder.shape)

    def spread(self, values: NDArray[T], missing: float) -> list[NDArray[T]]:
        """One value per item → rows × cols per slide, `missing` where there is no tissue."""
        spread = []
        for start, part in zip(self.starts.tolist(), self.parts, strict=False):
            full = np.full(part.grid.shape, missing, values.dtype)
            full[part.tissue] = values[start : start + part.number]
            spread.append(full)
        return spread
