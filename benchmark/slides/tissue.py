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
    * `grey-otsu-released`: grey with red and blue swapped, contrast-limited equalisation, at or below Otsu.

    Raises `DataError` when the slide cannot be read.
    """
    if mode == "all":
        return np.ones(grid.shape, np.bool_)
    if mode == "grey-otsu":
        pixels, rows, cols = _thumbnail(slide, grid, max(1.0, min(32.0, min(grid.width, grid.height) / 8)))
        dark = box_sums(_dark(pixels).astype(np.float64), rows, cols)
        area = np.outer(np.diff(rows), np.diff(cols))
        found: NDArray[np.bool_] = (dark > 0.5) & (dark >= least * area - 1e-6)
        return found
    pixels, rows, cols = _thumbnail(slide, grid, max(1.0, min(grid.width, grid.height) / 4))
    area = np.outer(np.diff(rows), np.diff(cols))
    means = [box_sums(pixels[..., channel].astype(np.float64), rows, cols) / area for channel in range(3)]
    colours = np.rint(np.stack(means, axis=-1)).astype(np.uint8)
    if mode == "rgb":
        stained: NDArray[np.bool_] = np.any(colours <= np.array(BACKGROUND), axis=-1)
        return stained
    if mode == "rgb-released":
        both: NDArray[np.bool_] = (colours[..., 0] < BACKGROUND[0]) & (colours[..., 1] < BACKGROUND[1])
        return both
    if mode == "grey-otsu-released":
        return _equalised_dark(colours)
    if mode in ("hsv-otsu", "hsv-otsu-released"):
        seen = colours[..., ::-1] if mode == "hsv-otsu-released" else colours
        hue, saturation, _ = np.moveaxis(hsv_8bit(np.ascontiguousarray(seen)), -1, 0)
        coloured: NDArray[np.bool_] = (hue > _otsu(hue)) & (saturation > _otsu(saturation))
        return coloured
    raise ConfigError(f"unknown tissue mode {mode!r}, expected one of: {', '.join(get_args(Mode))}")


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
    scanned = pixels.any(axis=-1)
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
