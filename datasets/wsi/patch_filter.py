"""The patch filter of interactive annotation: background and patches without texture are left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.slides import Grid, Slide, stream_patches

BRIGHT, MOST_BRIGHT = 220, 0.9
"""A patch is background where more than 90 % of its pixels have a grey value above 220."""


def components(pixels: NDArray[np.uint8]) -> int:
    """8-connected components of what is at or below Otsu's threshold of grey (ITU-601 luma); 0 for one grey value."""
    from skimage.filters import threshold_otsu
    from skimage.measure import label

    grey = luma(pixels)
    if grey.min() == grey.max():
        return 0
    return int(label(grey <= threshold_otsu(grey), connectivity=2).max())


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-601 luma of RGB pixels … × 3, rounded."""
    grey: NDArray[np.uint8] = np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return grey


def kept_patches(slide: Slide, grid: Grid, least: int) -> NDArray[np.bool_]:
    """Patches of `grid` (rows × cols) that are no background and have at least `least` components.

    Every patch is read at level 0. Raises `DataError` when the slide cannot be read.
    """
    kept = np.zeros(grid.shape, np.bool_)
    for batch in stream_patches(slide, grid):
        for row, col, pixels in zip(batch.rows, batch.cols, batch.pixels, strict=True):
            tissue = np.mean(luma(pixels) > BRIGHT) <= MOST_BRIGHT
            kept[row, col] = tissue and (not least or components(pixels) >= least)
    return kept
