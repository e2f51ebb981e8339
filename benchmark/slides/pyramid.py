"""Writing tiled JPEG pyramids that OpenSlide reads, strip by strip."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.storage import whole_file

Style = Literal["tiff", "svs"]
"""`tiff`: a generic tiled TIFF, as CAMELYON16's files are read. `svs`: Aperio's order of pages and descriptions."""

BIG = 2**31
"""Pixels from which on the file is a BigTIFF."""
THUMBNAIL = 512
"""Longest side of the thumbnail that Aperio's second page holds."""
GLASS = 255
"""What fills the part of a tile beyond the slide."""


def write_pyramid(
    path: Path,
    bands: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    *,
    mpp: float | None,
    style: Style = "tiff",
    tile: int = 256,
    quality: int = 85,
    downsamples: Sequence[int] = (1, 4, 16),
) -> None:
    """Write a slide of `size` (width, height) from full-width RGB strips, top to bottom, of any heights.

    Smaller levels are box averages, made as the strips come; of them only the encoded tiles are held, so memory
    grows with a strip and with a small part of the file. A level of less than a pixel is left out. The same strips
    give the same bytes. `mpp` goes into the resolution tags (and Aperio's description); None leaves it out. The
    file appears whole or not at all.

    Raises `DataError` when the strips are not RGB of the given width or do not add up to the height.
    """
    import tifffile

    if downsamples[0] != 1:
        raise DataError(f"downsamples {tuple(downsamples)}: a pyramid begins with 1")
    levels = [_Level(size, factor, tile, quality) for factor in downsamples if factor <= min(size)]
    with whole_file(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=size[0] * size[1] > BIG) as file:
        for number, level in enumerate(levels):
            tiles = _stream(path, bands, levels) if number == 0 else iter(level.tiles)
            file.write(
                tiles,
                shape=(level.size[1], level.size[0], 3),
                dtype=np.uint8,
                tile=(tile, tile),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(1, 1),
                description=_description(level, size, tile, quality, mpp) if style == "svs" else None,
                subfiletype=0 if number == 0 or style == "svs" else 1,
                metadata=None,
                software=False,
                resolution=None if mpp is None else (1e4 / (mpp * level.factor),) * 2,
                resolutionunit=None if mpp is None else "CENTIMETER",
            )
            if style == "svs" and number == 0:
                file.write(_thumbnail(levels[-1]), photometric="rgb", metadata=None, software=False)


class _Level:
    """One level: collects rows, averages them down, and cuts and encodes tiles."""

    def __init__(self, size: tuple[int, int], factor: int, tile: int, quality: int) -> None:
        self.size = (max(1, size[0] // factor), max(1, size[1] // factor))
        self.factor = factor
        self.tiles: list[bytes] = []
        self.small = np.full((*self.size[::-1], 3), GLASS, np.uint8) if max(self.size) <= 4 * THUMBNAIL else None
        self._tile, self._quality = tile, quality
        self._source = np.empty((0, size[0], 3), np.uint8)
        self._rows = np.empty((0, self.size[0], 3), np.uint8)
        self._done = 0

    def push(self, band: NDArray[np.uint8]) -> Iterator[bytes]:
        """Take full-resolution rows; give the tiles that they complete."""
        source = np.concatenate([self._source, band]) if len(self._source) else band
        whole = len(source) // self.factor * self.factor
        self._source = source[whole:].copy()
        rows = _shrunk(source[:whole], self.factor, self.size[0])
        rows = rows[: self.size[1] - self._done]
        if self.small is not None:
            self.small[self._done : self._done + len(rows)] = rows
        self._done += len(rows)
        waiting = np.concatenate([self._rows, rows]) if len(self._rows) else rows
        while len(waiting) >= self._tile or (len(waiting) and self._done == self.size[1]):
            yield from self._cut(waiting[: self._tile])
            waiting = waiting[self._tile :]
        self._rows = waiting.copy()

    def _cut(self, rows: NDArray[np.uint8]) -> Iterator[bytes]:
        from PIL import Image

        for left in range(0, rows.shape[1], self._tile):
            part = rows[:, left : left + self._tile]
            full = np.full((self._tile, self._tile, 3), GLASS, np.uint8)
            full[: part.shape[0], : part.shape[1]] = part
            stream = io.BytesIO()
            Image.fromarray(full).save(stream, "JPEG", quality=self._quality, subsampling=0)
            yield stream.getvalue()


def _stream(path: Path, bands: Iterable[NDArray[np.uint8]], levels: Sequence[_Level]) -> Iterator[bytes]:
    """The tiles of the first level; those of the others are kept with their levels meanwhile."""
    width, height = levels[0].size
    seen = 0
    for band in bands:
        if band.ndim != 3 or band.shape[1:] != (width, 3) or band.dtype != np.uint8:
            raise DataError(
                f"{path.name}: a strip has shape {band.shape} of {band.dtype}, expected (n, {width}, 3) uint8"
            )
        seen += len(band)
        if seen > height:
            break
        for level in levels[1:]:
            level.tiles.extend(level.push(band))
        yield from levels[0].push(band)
    if seen != height:
        raise DataError(f"{path.name}: the strips have {seen} rows in all, expected {height}")


def _shrunk(rows: NDArray[np.uint8], factor: int, width: int) -> NDArray[np.uint8]:
    if factor == 1:
        return rows
    from PIL import Image

    whole = np.ascontiguousarray(rows[:, : width * factor])
    return np.asarray(Image.fromarray(whole).reduce(factor)) if len(whole) else whole[:, :width]


def _description(level: _Level, size: tuple[int, int], tile: int, quality: int, mpp: float | None) -> str:
    """What Aperio's scanners write: the line that OpenSlide knows the format by, then keys and values."""
    geometry = f"{size[0]}x{size[1]} [0,0 {size[0]}x{size[1]}] ({tile}x{tile})"
    shrunk = "" if level.factor == 1 else f" -> {level.size[0]}x{level.size[1]}"
    facts = "" if mpp is None else f"|AppMag = {_power(mpp)}|MPP = {mpp:g}"
    return f"Aperio Image Library v11.2.1\r\n{geometry}{shrunk} JPEG/RGB Q={quality}{facts}"


def _power(mpp: float) -> int:
    """The magnification that goes with a resolution: 40 at about 0.25 µm, 20 at about 0.5."""
    return min((5, 10, 20, 40), key=lambda power: abs(np.log(power * mpp / 10)))


def _thumbnail(level: _Level) -> NDArray[np.uint8]:
    from PIL import Image

    if level.small is None:
        return np.full((64, 64, 3), GLASS, np.uint8)
    image = Image.fromarray(level.small)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)
