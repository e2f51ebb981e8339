"""A score map as a pyramidal TIFF that viewers lay over its slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.cells import cell_edges, nearest_cells
from benchmark.slides import ScoreMap
from benchmark.storage import whole_file

TILE = 256
FINENESS, FEWEST = 8, 64
"""Pixels of the TIFF across a cell, at most; pixels of the longer side of its smallest level."""


def write_score_tiff(path: Path, scores: ScoreMap, size: tuple[int, int], mpp: float | None) -> None:
    """Write scores as grey values: 0 not scored, 1 to 255 the scores 0 to 1.

    The picture covers all of a slide of `size` (width, height), a pixel standing for a whole number of level-0 px, so
    that viewers which stretch an overlay over the slide (ASAP) and those that go by its microns per pixel (QuPath)
    put it in the same place. `mpp`: of the slide; None leaves the resolution out. The file appears whole or not at all.
    """
    import tifffile

    step = _step(scores)
    picture = _grey(scores, size, step)
    with whole_file(path) as temporary, tifffile.TiffWriter(temporary) as file:
        factor = 1
        while True:
            resolution = None if mpp is None else (1e4 / (mpp * step * factor),) * 2
            file.write(
                picture,
                tile=(TILE, TILE),
                photometric="minisblack",
                compression="adobe_deflate",
                subfiletype=1 if factor > 1 else 0,
                metadata=None,
                software=False,
                resolution=resolution,
                resolutionunit=None if mpp is None else "CENTIMETER",
            )
            if max(picture.shape) < 2 * FEWEST or min(picture.shape) < 2:
                return
            picture, factor = _halved(picture), factor * 2


def _step(scores: ScoreMap) -> int:
    """Level-0 px for which a pixel stands: an eighth of a cell, at least 1."""
    x, y = cell_edges(scores.grid)
    return max(1, int(min(np.diff(x).min(), np.diff(y).min())) // FINENESS)


def _grey(scores: ScoreMap, size: tuple[int, int], step: int) -> NDArray[np.uint8]:
    x, y = cell_edges(scores.grid)
    cols, rows = (
        nearest_cells(edges, (np.arange(-(-length // step), dtype=np.float64) + 0.5) * step)
        for edges, length in zip((x, y), size, strict=True)
    )
    known = np.isfinite(scores.values)
    levels = np.where(known, 1 + np.rint(254 * np.nan_to_num(scores.values)), 0).astype(np.uint8)
    bordered = np.pad(levels, ((0, 1), (0, 1)))
    grey: NDArray[np.uint8] = bordered[rows[:, None], cols[None, :]]
    return grey


def _halved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every second pixel: a mean of scored and unscored pixels would be a score that nobody gave."""
    return picture[: picture.shape[0] // 2 * 2 : 2, : picture.shape[1] // 2 * 2 : 2].copy()
