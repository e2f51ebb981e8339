"""How a file is read through OpenSlide: as a pyramid of levels, or as a tile that is decoded once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.slides.tiff_contents import check_contents

if TYPE_CHECKING:
    import openslide
    from PIL.Image import Image

EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
"""Pillow modes that turn into 8-bit RGB without clipping."""


class Handle(Protocol):
    """An open slide. `decoded`: pixels it keeps in memory. `level` and `region` as OpenSlide has them."""

    size: tuple[int, int]
    decoded: int

    def level(self, downsample: float) -> tuple[int, float]:
        """The coarsest level that is fine enough (to 1 %), and its own downsample factor."""
        ...

    def region(self, x: int, y: int, level: int, width: int, height: int) -> NDArray[np.uint8]:
        """RGB of a level, its own to change; `x`, `y` in level-0 pixels, size in the level's; black outside."""
        ...


class Pyramid:
    """A whole-slide image, read piece by piece."""

    decoded = 0

    def __init__(self, path: Path) -> None:
        import openslide

        self._slide = openslide.OpenSlide(path)
        self.size: tuple[int, int] = self._slide.dimensions

    def level(self, downsample: float) -> tuple[int, float]:
        """See `Handle`."""
        index = self._slide.get_best_level_for_downsample(downsample * 1.01)
        return index, float(self._slide.level_downsamples[index])

    def region(self, x: int, y: int, level: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `Handle`."""
        return _rgb(self._slide.read_region((x, y), level, (width, height)))


class Tile:
    """A plain image, decoded at the first read and then kept: many small reads are slices of one array."""

    def __init__(self, path: Path) -> None:
        import openslide
        from PIL import Image as pillow

        image = pillow.open(path)
        if image.mode not in EIGHT_BIT:
            raise OSError(f"a tile must have 8 bits per channel, this one has Pillow mode {image.mode}")
        self._slide: openslide.ImageSlide | None = openslide.ImageSlide(image)
        self.size: tuple[int, int] = image.size
        self.decoded = image.size[0] * image.size[1]
        self._kept = np.empty((0, 0, 3), np.uint8)
        self._decoding = threading.Lock()

    def _pixels(self) -> NDArray[np.uint8]:
        with self._decoding:
            if self._slide is not None:
                self._kept = _rgb(self._slide.read_region((0, 0), 0, self.size))
                self._slide = None
            return self._kept

    def level(self, downsample: float) -> tuple[int, float]:
        """See `Handle`: there is but one level."""
        return 0, 1.0

    def region(self, x: int, y: int, level: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `Handle`."""
        return part_of(self._pixels(), x, y, width, height)


def part_of(pixels: NDArray[np.uint8], x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
    """A copy of a region of an image; black outside."""
    result = np.zeros((height, width, 3), np.uint8)
    left, top = max(x, 0), max(y, 0)
    right, bottom = max(left, min(x + width, pixels.shape[1])), max(top, min(y + height, pixels.shape[0]))
    result[top - y : bottom - y, left - x : right - x] = pixels[top:bottom, left:right]
    return result


def _rgb(image: Image) -> NDArray[np.uint8]:
    """Height × width × 3 of an RGBA image; what is fully transparent was never scanned and is black."""
    width, height = image.size
    # Pillow leaves the fourth byte out eight times faster than NumPy copies three of four.
    rgb = np.frombuffer(bytearray(image.tobytes("raw", "RGB")), np.uint8).reshape(height, width, 3)
    opaque = image.getchannel("A")
    if opaque.getextrema()[0] == 0:
        rgb[np.asarray(opaque) == 0] = 0
    return rgb


def open_handle(path: Path) -> Handle:
    """Open a file as what OpenSlide takes it for, else as an image that Pillow can decode.

    Raises `ContentsError` for a TIFF that opens but holds something else than one 8-bit colour image.
    """
    import openslide

    vendor = openslide.OpenSlide.detect_format(path)
    if vendor in (None, "generic-tiff"):
        check_contents(path)
    return Tile(path) if vendor is None else Pyramid(path)


def reader_version() -> str:
    """The library that decodes whole-slide images, with its version: another one may give other pixels."""
    import openslide

    return f"openslide {openslide.__library_version__}"
