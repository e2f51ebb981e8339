"""The tissue rule of Khened et al. (Scientific Reports 2021), as released."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError

LEAST_CHANNEL = 50
"""Pixels at or below this in any channel are no tissue (pen, fold, what was not scanned)."""
CLOSING, OPENING = 20, 5
DILATION = {0: 60, 1: 60, 2: 60, 3: 35, 4: 10}
"""Side of the square by which tissue grows, px of the thumbnail, by the slide level that the thumbnail is."""


def khened_tissue(thumbnail_rgb: NDArray[np.uint8], level: int) -> NDArray[np.bool_]:
    """Tissue of a thumbnail H × W × 3 that is the slide at `level`: H × W.

    Saturation above its Otsu threshold, red, green and blue not all above theirs, every channel above 50; then closing
    (20 × 20 px), opening (5 × 5), and dilation by a square of 60 px up to level 2, 35 at 3, 10 at 4, as released.
    Squares of even side are mirrored between the halves of closing and opening, so that nothing is shifted; what lies
    beyond the border of the picture changes nothing within.

    Raises `ConfigError` for other levels, which the release refuses as well.
    """
    from skimage.color import rgb2hsv
    from skimage.filters import threshold_otsu

    if level not in DILATION:
        problem = f"level {level} was given to the tissue rule of Khened, which knows levels 0 to {max(DILATION)}"
        raise ConfigError(problem, fix="make the thumbnail from one of these levels")
    saturation = rgb2hsv(thumbnail_rgb)[..., 1]
    bright = [thumbnail_rgb[..., channel] > threshold_otsu(thumbnail_rgb[..., channel]) for channel in range(3)]
    mask = (saturation > threshold_otsu(saturation)) & ~np.logical_and.reduce(bright)
    mask &= (thumbnail_rgb > LEAST_CHANNEL).all(axis=-1)
    mask = _eroded(_dilated(mask, CLOSING), CLOSING)
    mask = _dilated(_eroded(mask, OPENING), OPENING)
    return _dilated(mask, DILATION[level])


def _dilated(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    from scipy.ndimage import grey_dilation

    return np.asarray(grey_dilation(mask.astype(np.uint8), size=(side, side), mode="constant", cval=0) > 0)


def _eroded(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    from scipy.ndimage import grey_erosion

    return np.asarray(grey_erosion(mask.astype(np.uint8), size=(side, side), mode="constant", cval=1) > 0)
