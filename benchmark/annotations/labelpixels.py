"""The pixels of a label image, band by band from the top, so that memory is bounded whatever its size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.pngrows import Band, png_bands, unstretched
from benchmark.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from tifffile import TiffPage

MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Pillow modes whose pixels are plain numbers."""
WHOLE = 1 << 26
"""Pixels up to which an image is decoded and kept whole."""
BAND = 1 << 23
"""Pixels of a band of a larger one, about."""
COUNTED = 1 << 22
"""Pixels that are counted at a time: counting takes eight bytes for each."""
DECODED = 1 << 31
"""Pixels up to which a file that cannot be read in bands is decoded whole, one byte each."""
HIGHEST = 65535
WHITE = 0
"""The photometric of a TIFF in which 0 is white, as fax compressions have it; of one bit, white is the number 1."""


class LabelPixels:
    """Numbers of a label image, height × width, from a file or an array. `bands` yields them from the top."""

    def __init__(self, source: Path | NDArray[Any]) -> None:
        self.path = source if isinstance(source, Path) else None
        self._whole: NDArray[Any] | None = None
        self.notes: tuple[str, ...] = ()
        if isinstance(source, Path):
            (self.shape, self.notes), self._large = _header(source), False
            self._large = self.shape[0] * self.shape[1] > WHOLE
            if not self._large:
                self._whole = np.concatenate([band for _, band in _file_bands(source, self.shape)])
                self._whole = numbers(self._whole, str(source))
        else:
            self._whole = numbers(np.asarray(source), "a label image")
            self.shape, self._large = (self._whole.shape[0], self._whole.shape[1]), False

    def bands(self) -> Iterator[Band]:
        """(first row, rows × width of numbers), in order. Raises `DataError` when the file cannot be read."""
        if self._whole is not None:
            yield 0, self._whole
            return
        assert self.path is not None
        for first, band in _file_bands(self.path, self.shape):
            yield first, numbers(band, str(self.path))

    def whole(self) -> NDArray[Any]:
        """All numbers, height × width; of a large file they do not fit the memory that is meant for it."""
        if self._whole is not None:
            return self._whole
        return np.concatenate([band for _, band in self.bands()])

    def counts(self) -> dict[int, int]:
        """Every number there is and how many pixels have it."""
        found = np.zeros(HIGHEST + 1, np.int64)
        for _, band in self.bands():
            rows = max(1, COUNTED // max(1, band.shape[1]))
            for first in range(0, len(band), rows):
                counted = np.bincount(band[first : first + rows].ravel())
                found[: counted.size] += counted
        return {int(number): int(found[number]) for number in np.flatnonzero(found)}


def numbers(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """Pixels as 8- or 16-bit numbers. Raises `DataError` for anything but whole numbers from 0 to 65535."""
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu":
        raise DataError(f"{name} must be height × width integers, got shape {pixels.shape} of {pixels.dtype}")
    if pixels.dtype == np.uint8:
        return pixels
    low, high = int(pixels.min(initial=0)), int(pixels.max(initial=0))
    if low < 0 or high > HIGHEST:
        raise DataError(f"{name} has numbers from {low} to {high}, expected 0 to {HIGHEST}")
    return pixels.astype(np.uint8 if high < 256 else np.uint16, copy=False)


def _header(path: Path) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Height and width, and what whoever uses the numbers should know."""
    with _readable(path):
        if _is_tiff(path):
            import tifffile

            with tifffile.TiffFile(path) as tiff:
                page = _page(tiff, path)
                inverse = page.photometric == WHITE and page.bitspersample != 1
                note = (
                    "the label image has 0 as white (MinIsWhite): its numbers are taken as stored, viewers invert them"
                )
                return (int(page.imagelength), int(page.imagewidth)), (note,) * inverse
        with _opened(path) as image:
            return (image.height, image.width), ()


def _file_bands(path: Path, shape: tuple[int, int]) -> Iterator[Band]:
    with _readable(path):
        if _is_tiff(path):
            yield from _tiff_bands(path)
            return
        with _opened(path) as image:
            large = shape[0] * shape[1] > WHOLE
            strips = png_bands(path, BAND) if large else None
            if strips is not None:
                yield from strips
                return
            _refuse_beyond(shape[0] * shape[1], path, shape)
            yield 0, unstretched(path, np.asarray(image))


def _refuse_beyond(decoded: int, path: Path, shape: tuple[int, int]) -> None:
    if decoded > DECODED:
        msg = f"the label image {path} has {shape[1]}×{shape[0]} px and cannot be read in parts"
        raise DataError(msg, fix=f"vips copy {path.name} '{path.stem}-tiled.tif[tile,compression=deflate,bigtiff]'")


class _readable:
    """Turns what the decoders raise into a `DataError` that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"the label image {self._path} does not exist", fix=f"ls {self._path.parent}") from error
        broken = (
            OSError,
            SyntaxError,
            ValueError,
            EOFError,
            KeyError,
            IndexError,
            RuntimeError,
            TypeError,
            AttributeError,
            ArithmeticError,
            zlib.error,
            struct.error,
        )
        if isinstance(error, broken):
            msg = f"the label image {self._path} cannot be read: {error}"
            raise DataError(msg, fix="copy it again; bench data verify NAME finds all broken files") from error


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def _opened(path: Path) -> Image:
    """The image, not decoded. Pillow's own limit on the size is for pictures from strangers, not for masks."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    with path.open("rb") as stream:
        head = stream.read(16)
    for name in Image.ID:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(head) is True:
            try:
                image = factory(path, str(path))  # type: ignore[arg-type]
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
            if image.mode not in MODES:
                msg = f"{path} is not a label image: Pillow mode {image.mode}, expected one number per pixel"
                raise DataError(msg, fix="export the annotation as an 8- or 16-bit single-channel image")
            return image
    raise UnidentifiedImageError(f"no known image format in {path.name}")


def _page(tiff: Any, path: Path) -> TiffPage:
    """The largest page of one number per pixel. Raises `DataError` where there is none."""
    pages: list[TiffPage] = [page.aspage() for page in tiff.pages]
    fitting = [
        page for page in pages if page.samplesperpixel == 1 and page.dtype is not None and page.dtype.kind in "iub"
    ]
    if not fitting:
        first = pages[0]
        what = f"{first.samplesperpixel} samples of {first.dtype} per pixel, photometric {first.photometric}"
        msg = f"{path} is not a label image: {what}, expected one whole number per pixel"
        raise DataError(msg, fix="export the annotation as an 8- or 16-bit single-channel image")
    return max(fitting, key=lambda page: page.imagelength * page.imagewidth)


def _tiff_bands(path: Path) -> Iterator[Band]:
    """A TIFF row of tiles by row of tiles, or some strips at a time."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = _page(tiff, path)
        height, width = int(page.imagelength), int(page.imagewidth)
        tall = int(page.tilelength) if page.is_tiled else min(int(page.rowsperstrip), height)
        across = -(-width // int(page.tilewidth)) if page.is_tiled else 1
        rows = max(1, BAND // max(1, width * tall)) if not page.is_tiled else 1
        down = -(-height // tall)
        _refuse_beyond(tall * max(width, int(page.tilewidth) if page.is_tiled else 0), path, (height, width))
        for first in range(0, down, rows):
            last = min(down, first + rows)
            top = first * tall
            band = np.zeros((min(height, last * tall) - top, width), page.dtype)
            for index in range(first * across, last * across):
                _place(tiff, page, index, band, top)
            yield top, band


def _place(tiff: Any, page: TiffPage, index: int, band: NDArray[Any], top: int) -> None:
    """Decode one tile or strip into its place; what was never written is 0."""
    if index >= len(page.databytecounts) or page.databytecounts[index] == 0:
        return
    tiff.filehandle.seek(page.dataoffsets[index])
    data = tiff.filehandle.read(page.databytecounts[index])
    segment, place, shape = page.decode(data, index, jpegtables=page.jpegtables)
    if segment is None:
        return
    row, col = place[-3] - top, place[-2]
    part = segment.reshape(segment.shape[-3], segment.shape[-2])[: shape[-3], : shape[-2]]
    if page.photometric == WHITE and page.bitspersample == 1:
        part = part == 0
    target = band[row : row + part.shape[0], col : col + part.shape[1]]
    target[...] = part[: target.shape[0], : target.shape[1]]
