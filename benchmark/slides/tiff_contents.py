"""Whether a TIFF holds one 8-bit colour image: a library that opens it may still show something else."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

LARGEST_TILE = 1 << 26
"""Pixels of a tile: OpenSlide aborts the process where it finds no memory for one."""
CONVERT_DEPTH = "vips msb IN.tif 'OUT.tif[tile,pyramid,compression=jpeg]'   # keeps the upper 8 bits"
CONVERT_PAGES = "vips bandjoin 'RED.tif GREEN.tif BLUE.tif' 'OUT.tif[tile,pyramid,compression=jpeg]'"


class ContentsError(OSError):
    """A file that opens but is not an 8-bit colour image. `fix`: what makes it one."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


def check_contents(path: Path) -> None:
    """Raise `ContentsError` for a TIFF that is not one 8-bit colour or grey image; other files are let pass.

    Pillow and libtiff show the first page of a stack and cut 16 bits down to 8 without a word. Refused are channels
    kept as grey pages, stacks of focus or time, more than 8 bits, floats, and two or more than four samples per pixel.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            _check(tiff)
    except broken_tiff():
        return  # whoever reads the pixels says what is wrong with the file


def broken_tiff() -> tuple[type[Exception], ...]:
    """What tifffile raises over a damaged header; a value of another type than it expects among them."""
    import tifffile

    return (
        tifffile.TiffFileError,
        struct.error,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
    )


def _check(tiff: TiffFile) -> None:
    page = tiff.pages.first
    _check_tiles(page)
    colour = str(getattr(page.photometric, "name", page.photometric)).lower()
    given: int | tuple[int, ...] = page.bitspersample  # tifffile keeps a tuple where the channels differ
    bits = max(given) if isinstance(given, tuple) else given
    if bits > 8 or (page.dtype is not None and page.dtype.kind == "f"):
        kind = "" if page.dtype is None else f"{page.dtype.name}, "
        what = f"it holds {bits} bits per channel ({kind}{colour}); expected 8-bit RGB"
        raise ContentsError(what, CONVERT_DEPTH)
    if page.samplesperpixel == 2 or page.samplesperpixel > 4:
        what = f"it holds {page.samplesperpixel} samples per pixel ({colour}); expected 3 (red, green, blue)"
        raise ContentsError(what, "save the colour image alone, as 8-bit RGB")
    series = tiff.series[0]
    for level in series.levels:
        _check_tiles(level.keyframe)
    stacked = {axis: length for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
    pages = math.prod(stacked.values())
    if pages > 1:
        kind = "grey pages" if page.samplesperpixel == 1 else f"{colour} pages"
        what = f"it holds {pages} {kind} of one size (axes {series.axes}{_channels(tiff)}); expected one RGB image"
        raise ContentsError(what, CONVERT_PAGES if page.samplesperpixel == 1 else "save the wanted page alone")


def _check_tiles(page: TiffPage) -> None:
    if page.is_tiled and page.tilewidth * page.tilelength > LARGEST_TILE:
        what = f"it has tiles of {page.tilewidth}×{page.tilelength} px; expected at most {LARGEST_TILE} px a tile"
        raise ContentsError(what, "copy it again; bench data verify NAME finds all broken files")


def _channels(tiff: TiffFile) -> str:
    """The names of the channels, where OME-XML has some."""
    names = re.findall(r"<Channel\b[^>]*\bName=\"([^\"]{1,40})\"", tiff.ome_metadata or "")[:6]
    return f", channels {', '.join(names)}" if names else ""
