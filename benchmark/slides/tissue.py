"""Which cells hold tissue, from their colour."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError
from benchmark.slides.grid import Grid, Spans, box_sums
from benchmark.slides.slide import Slide

Mode = Literal["all", "hsv-otsu", "rgb", "grey-otsu", "hsv-otsu-released", "rgb-released", "grey-otsu-released"]
"""How tissue is told from glass; `-released` as LC-MIL's released code does it, slips included (L11 to L13)."""
BACKGROUND = (235, 210, 235)
"""Background is brighter than this in red, green and blue (the PAIP provider's rule)."""
GREY_LIMIT = 204
"""Fixed limit where Otsu has nothing to separate (hybrid supervision, released code)."""


def tissue_mask(slide: Slide, grid: Grid, mode: Mode, *, least: float = 0.0) -> NDArray[np.bool_]:
    """True for every patch of `grid` that holds tissue, rows × cols.

    `least`: with `grey-otsu`, the share of a patch that must be tissue; 0 asks for any pixel.

    * `all`: every patch (tiles, which are tissue throughout).
    * `hsv-otsu`: the mean colour of the patch has hue and saturation above their Otsu thresholds over the
      slide (LC-MIL for CAMELYON16; there red and blue are swapped by mistake, here they are not).
    * `rgb`: its mean colour is not brighter than (235, 210, 235) in all three channels (PAIP's rule).
    * `grey-otsu`: any of its pixels at about 1:32 is at or below the Otsu threshold of grey, pure black
      (beyond the scan) left out (hybrid supervision).
    * `hsv-otsu-released`: as `hsv-otsu` with red and blue swapped, as LC-MIL's code has it (L11).
    * `rgb-released`: red below 235 and green below 210; the blue threshold is without effect there (L12).
    * `grey-otsu-released`: grey with red and blue swapped, contrast-limited equalisation, at or below Otsu; the
      equalisation is scikit-image's, which differs from OpenCV's on about 2 % of the cells.

    What was never scanned is glass in every mode but `all`: transparent in OpenSlide, black in a TIFF that was decoded
    and written again. A mean colour is that of the scanned pixels; a cell without any counts as white.

    Raises `DataError` when the slide cannot be read.
    """
    if mode == "all":
        return np.ones(grid.shape, np.bool_)
    if mode == "grey-otsu":
        pixels, rows, cols = _thumbnail(slide, grid, max(1.0, min(32.0, min(grid.width, grid.height) / 8)))
        dark = box_sums(_dark(pixels).astype(np.float64), rows, cols)
        area = np.outer(np.diff(rows), np.diff(cols))
        enough: NDArray[np.bool_] = (dark > 0.5) & (dark >= least * area - 1e-6)
        return enough
    pixels, rows, cols = _thumbnail(slide, grid, max(1.0, min(grid.width, grid.height) / 4))
    colours, scanned = _mean_colours(pixels, rows, cols)
    return scanned & _stained(colours, mode)


def _mean_colours(pixels: NDArray[np.uint8], rows: Spans, cols: Spans) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Mean colour of the scanned pixels of every cell, white where there are none, and where there are some."""
    unscanned = unscanned_pixels(pixels)
    if not unscanned.any():
        area = np.outer(np.diff(rows), np.diff(cols))
        means = [box_sums(pixels[..., channel].astype(np.float64), rows, cols) / area for channel in range(3)]
        return np.rint(np.stack(means, axis=-1)).astype(np.uint8), np.ones(area.shape, np.bool_)
    area = np.rint(box_sums((~unscanned).astype(np.float64), rows, cols))
    scanned: NDArray[np.bool_] = area > 0
    seen = np.where(unscanned[..., None], 0, pixels).astype(np.float64)
    sums = [box_sums(seen[..., channel], rows, cols) for channel in range(3)]
    means = [np.divide(total, area, out=np.full(area.shape, 255.0), where=scanned) for total in sums]
    return np.rint(np.stack(means, axis=-1)).astype(np.uint8), scanned


def _stained(colours: NDArray[np.uint8], mode: Mode) -> NDArray[np.bool_]:
    """The rule of a mode on the mean colours of the cells."""
    result: NDArray[np.bool_]
    if mode == "rgb":
        result = np.any(colours <= np.array(BACKGROUND), axis=-1)
    elif mode == "rgb-released":
        result = (colours[..., 0] < BACKGROUND[0]) & (colours[..., 1] < BACKGROUND[1])
    elif mode == "grey-otsu-released":
        result = _equalised_dark(colours)
    elif mode in ("hsv-otsu", "hsv-otsu-released"):
        seen = colours[..., ::-1] if mode == "hsv-otsu-released" else colours
        hue, saturation, _ = np.moveaxis(hsv_8bit(np.ascontiguousarray(seen)), -1, 0)
        result = (hue > _otsu(hue)) & (saturation > _otsu(saturation))
    else:
        raise ConfigError(f"unknown tissue mode {mode!r}, expected one of: {', '.join(get_args(Mode))}")
    return result


def unscanned_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels of a thumbnail (height × width × 3) were never scanned: pure black, and the rim of black areas.

    Where an area of at least 3 × 3 black pixels ends, shrinking has mixed black into its neighbours; they go with it.
    Single black pixels (pen, pigment) have no such rim.
    """
    from scipy import ndimage

    black: NDArray[np.bool_] = np.logical_not(pixels.any(axis=-1))
    if not black.any():
        return black
    block = np.ones((3, 3), np.bool_)
    cores = ndimage.binary_erosion(black, block, border_value=1)
    rim = ndimage.binary_dilation(cores, block, iterations=2)
    unscanned: NDArray[np.bool_] = black | rim
    return unscanned


def hsv_8bit(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hue 0..179 (two degrees each), saturation and value 0..255 of RGB pixels … × 3, in OpenCV's 8-bit scale."""
    from skimage.color import rgb2hsv

    hsv: NDArray[np.float64] = np.rint(rgb2hsv(rgb) * (180, 255, 255))
    hsv[..., 0] %= 180
    return hsv.astype(np.uint8)


def _thumbnail(slide: Slide, grid: Grid, downsample: float) -> tuple[NDArray[np.uint8], Spans, Spans]:
    """The slide made smaller, and which of its rows and columns each row and column of patches covers."""
    width, height = slide.size
    pixels = slide.read(0, 0, width, height, downsample=downsample)
    rows = _footprint(grid.y, grid.height, height, pixels.shape[0])
    cols = _footprint(grid.x, grid.width, width, pixels.shape[1])
    return pixels, rows, cols


def _footprint(edges: NDArray[np.int64], length: int, extent: int, pixels: int) -> Spans:
    """Pixels of the thumbnail whose centre lies in each patch; where there are none, the nearest one."""
    scale = pixels / extent
    start = np.ceil(edges * scale - 0.5).astype(np.int64).clip(0, pixels - 1)
    stop = np.ceil((edges + length) * scale - 0.5).astype(np.int64).clip(0, pixels)
    return np.stack([start, np.maximum(stop, start + 1)], axis=1)


def _dark(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    from PIL import Image

    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    scanned = ~unscanned_pixels(pixels)
    values = grey[scanned]
    limit = GREY_LIMIT if values.size == 0 or values.min() == values.max() else _otsu(values)
    if limit > 235:
        limit = GREY_LIMIT
    dark: NDArray[np.bool_] = scanned & (grey <= limit)
    return dark


def _equalised_dark(colours: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Grey with the weights of red and blue swapped, equalised in 8 × 8 tiles with clip limit 40 of 256, by Otsu."""
    from skimage.exposure import equalize_adapthist

    grey = np.rint(colours @ np.array([0.114, 0.587, 0.299])).astype(np.uint8)
    tile = tuple(max(1, length // 8) for length in grey.shape)
    equal = np.rint(equalize_adapthist(grey, kernel_size=tile, clip_limit=40 / 256) * 255).astype(np.uint8)
    dark: NDArray[np.bool_] = equal <= _otsu(equal)
    return dark


def _otsu(values: NDArray[np.uint8]) -> int:
    from skimage.filters import threshold_otsu

    return int(threshold_otsu(values))
