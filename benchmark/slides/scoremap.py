"""What every method ends in: the probability of the positive class per cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError, PredictionError
from benchmark.slides.grid import Grid, Spans, box_counts, box_sums
from benchmark.storage import whole_file

ROUNDING = 1e-5
"""How far beyond [0, 1] a probability may lie by rounding alone; it is clipped then."""
UNSCORED = 65535
"""The grey value that stands for NaN on disk; 0..65534 are the scores 0..1."""


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """float32 rows × cols in [0, 1] on a grid; NaN where not scored (no tissue).

    Raises `PredictionError` for another shape, or for values outside [0, 1].
    """

    grid: Grid
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.shape != self.grid.shape:
            raise PredictionError(f"a score map has shape {values.shape}, its grid has {self.grid.shape} cells")
        wrong = (values < -ROUNDING) | (values > 1 + ROUNDING)
        if wrong.any():
            row, col = np.argwhere(wrong)[0]
            msg = f"{int(wrong.sum())} scores lie outside [0, 1], the first at row {row}, col {col}: {values[row, col]}"
            raise PredictionError(msg)
        object.__setattr__(self, "values", np.clip(values, 0, 1))

    def on(self, grid: Grid) -> ScoreMap:
        """The same scores on another grid.

        A cell that holds centres of own cells gets the mean of those (NaN ones left out), any other the value
        of the own cell nearest to its centre, axis by axis.
        """
        if grid.digest == self.grid.digest:
            return self
        own_x, own_y = self.grid.centres
        x, y = grid.centres
        rows, cols = grid.spans(self.grid)
        rows, cols = _or_nearest(rows, own_y, y), _or_nearest(cols, own_x, x)
        scored = ~np.isnan(self.values)
        number = box_counts(scored, rows, cols)
        total = box_sums(np.where(scored, self.values, 0.0).astype(np.float64), rows, cols)
        means = np.divide(total, number, out=np.full(grid.shape, np.nan), where=number > 0)
        return ScoreMap(grid, means.astype(np.float32))

    def units(self, units: Grid, top: int = 16) -> NDArray[np.float32]:
        """One score per unit: the mean of the `top` highest cells whose centre lies in it; NaN if none is scored.

        Source of the top-K mean: the hybrid-supervision method, K = 16 patches per slide.
        """
        result = np.full(units.shape, np.nan, np.float32)
        rows, cols = units.spans(self.grid)
        for row, (upper, lower) in enumerate(rows):
            for col, (left, right) in enumerate(cols):
                cells = self.values[upper:lower, left:right]
                cells = cells[~np.isnan(cells)]
                if cells.size:
                    number = min(top, cells.size)
                    result[row, col] = np.partition(cells, cells.size - number)[-number:].mean(dtype=np.float64)
        return result

    def save(self, path: Path) -> None:
        """Write a 16-bit grey PNG (0..65534 = score, 65535 = NaN) that carries the grid in a text chunk."""
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        grey = np.where(np.isnan(self.values), UNSCORED, np.rint(np.nan_to_num(self.values).astype(np.float64) * 65534))
        info = PngInfo()
        info.add_text("grid", json.dumps(_packed(self.grid)), zip=True)
        with whole_file(path) as temporary:
            Image.fromarray(grey.astype(np.uint16)).save(temporary, format="PNG", pnginfo=info, compress_level=1)

    @classmethod
    def load(cls, path: Path) -> ScoreMap:
        """Read what `save` wrote. Raises `DataError` for anything else."""
        from PIL import Image

        try:
            with Image.open(path) as image:
                packed = json.loads(image.info["grid"])
                grey = np.asarray(image, dtype=np.float64)
            grid = Grid(_unrun(packed["x"]), _unrun(packed["y"]), packed["width"], packed["height"])
        except (OSError, SyntaxError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path} is not a score map: {error}") from error
        return cls(grid, np.where(grey == UNSCORED, np.nan, grey / 65534).astype(np.float32))


def _or_nearest(spans: Spans, own: NDArray[np.float64], wanted: NDArray[np.float64]) -> Spans:
    right = np.searchsorted(own, wanted).clip(1, max(1, own.size - 1))
    left = right - 1
    nearest = left if own.size == 1 else np.where(wanted - own[left] <= own[right] - wanted, left, right)
    empty = spans[:, 0] == spans[:, 1]
    filled: Spans = np.where(empty[:, None], np.stack([nearest, nearest + 1], axis=1), spans)
    return filled


def _packed(grid: Grid) -> dict[str, object]:
    return {"x": _runs(grid.x), "y": _runs(grid.y), "width": grid.width, "height": grid.height}


def _runs(edges: NDArray[np.int64]) -> list[list[int]]:
    """[[first, 1], [step, times], …]: short for the nearly regular lists that edges are."""
    runs = [[int(edges[0]), 1]]
    for step in np.diff(edges).tolist():
        if len(runs) > 1 and runs[-1][0] == step:
            runs[-1][1] += 1
        else:
            runs.append([step, 1])
    return runs


def _unrun(runs: list[list[int]]) -> NDArray[np.int64]:
    steps, times = np.array(runs, dtype=np.int64).T
    return np.cumsum(np.repeat(steps, times))
