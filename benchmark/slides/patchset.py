"""A folder of tiles as one slide-like thing, whose cells are the tiles."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError
from benchmark.slides.grid import Grid
from benchmark.slides.handles import failures, unreadable
from benchmark.slides.readers import EIGHT_BIT
from benchmark.slides.slide import Slide

KEPT = 64_000_000
"""Bytes of decoded tiles that a process keeps: what patches of one row share is decoded once."""
SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
"""Files that are taken for tiles."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PatchSet(Slide):
    """Tiles of one size, laid out as a mosaic without gaps: cell (row, col) is tile row · cols + col.

    `path`: the folder above all tiles. `tiles`: their names below it. `side`: of every tile, in px. The mosaic has as
    many rows as the largest divisor of the number of tiles that is not above its root, so that no cell is empty; a
    prime number of tiles is one row.

    Tiles that are neighbours in the mosaic are not neighbours in tissue. A patch that reaches beyond the tile under its
    centre is black there (`stream_patches`); `read` shows the mosaic as it is. No tile is opened until its pixels are
    asked for. Raises `ConfigError` for no tiles or a side below 1 px.
    """

    tiles: tuple[str, ...] = ()
    side: int = 0

    def __post_init__(self) -> None:
        if not self.tiles or self.side < 1:
            raise ConfigError(f"patch set {self.id!r}: expected tiles and their side, got {len(self.tiles)} tiles")

    def __hash__(self) -> int:
        return hash((self.id, self.path, len(self.tiles)))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the mosaic."""
        rows = mosaic_rows(len(self.tiles))
        return rows, len(self.tiles) // rows

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the mosaic in px."""
        rows, cols = self.shape
        return cols * self.side, rows * self.side

    @property
    def grid(self) -> Grid:
        """One cell per tile."""
        return Grid.regular(self.size, self.side)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every tile, in the order of the cells."""
        return tuple(self.path / name for name in self.tiles)

    def parts(self) -> Iterator[Slide]:
        """Every tile as a slide of its own."""
        for name in self.tiles:
            yield Slide(f"{self.id}/{name}", self.path / name, self.patient, self.mpp)

    def index(self, row: int, col: int) -> int:
        """Number of the tile in a cell."""
        return row * self.shape[1] + col

    def own(self, x: int, y: int, width: int, height: int) -> tuple[slice, slice] | None:
        """Rows and columns of a patch that lie in the tile under its centre; None: all of them."""
        left, top = (_start(at, extent, self.side) for at, extent in ((x, width), (y, height)))
        if x >= left and y >= top and x + width <= left + self.side and y + height <= top + self.side:
            return None
        rows = slice(max(0, top - y), max(0, min(height, top + self.side - y)))
        return rows, slice(max(0, left - x), max(0, min(width, left + self.side - x)))

    def tile(self, number: int) -> Pixels:
        """RGB pixels of one tile, side × side × 3, not to be changed. Raises `DataError` naming its file."""
        return _decoded.get(self.path / self.tiles[number], self.id, self.side)

    def read(self, x: int, y: int, width: int, height: int, *, downsample: float = 1.0) -> Pixels:
        """A region of the mosaic, as `Slide.read`: every tile is shrunk on its own, to whole pixels."""
        if width < 1 or height < 1 or downsample < 1:
            asked = f"{width}×{height} px at downsample {downsample}"
            raise ConfigError(f"patch set {self.id!r}: cannot read {asked}: all three must be at least 1")
        out = np.zeros((max(1, round(height / downsample)), max(1, round(width / downsample)), 3), np.uint8)
        rows, cols = self.shape
        across = list(_pieces(x, width, self.side, cols, out.shape[1]))
        for row, above, down in _pieces(y, height, self.side, rows, out.shape[0]):
            for col, left, right in across:
                pixels = self.tile(row * cols + col)[slice(*above), slice(*left)]
                out[slice(*down), slice(*right)] = _shrunk(pixels, (right[1] - right[0], down[1] - down[0]))
        return out


@lru_cache(64)
def mosaic_rows(number: int) -> int:
    """The largest divisor of a number that is not above its root."""
    return next(rows for rows in range(math.isqrt(number), 0, -1) if number % rows == 0)


def tile_size(path: Path, of: str) -> tuple[int, int]:
    """(width, height) of a tile from its header. Raises `DataError` naming the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except failures() as error:
        raise unreadable(path, of, error) from error


def tile_fault(path: Path, side: int) -> str | None:
    """What is wrong with a tile that should be side × side px, in words; None if nothing is. It is decoded whole."""
    try:
        _decode(path, path.parent.name, side)
    except DataError as error:
        return error.what
    return None


class _Decoded:
    """The tiles that were decoded last, by file, size and time of change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, int], Pixels] = OrderedDict()
        self._bytes = 0

    def get(self, path: Path, of: str, side: int) -> Pixels:
        try:
            stat = path.stat()
        except OSError as error:
            raise unreadable(path, of, error) from error
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept
        pixels = _decode(path, of, side)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = pixels
                self._bytes += pixels.nbytes
            while len(self._kept) > 1 and self._bytes > KEPT:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels


_decoded = _Decoded()


def _forget() -> None:
    global _decoded
    _decoded = _Decoded()


if hasattr(os, "register_at_fork"):  # the lock may be held while another thread forks
    os.register_at_fork(after_in_child=_forget)


def _decode(path: Path, of: str, side: int) -> Pixels:
    from PIL import Image

    try:
        with Image.open(path) as image:
            fault = _wrong_kind(image)
            size, pixels = image.size, _rgb(image)
    except failures() as error:
        raise unreadable(path, of, error) from error
    if fault:
        raise DataError(f"patch set {of!r}: {path} {fault}; expected one 8-bit RGB image", fix=_FIX)
    if size != (side, side):
        msg = f"patch set {of!r}: {path} has {size[0]}×{size[1]} px; expected {side}×{side}, as the others"
        raise DataError(msg, fix=_FIX)
    return pixels


_FIX = "copy the tile again, or take it out of the folder; bench data verify NAME finds all of them"


def _wrong_kind(image: object) -> str | None:
    """What Pillow would show as an 8-bit image without a word though it is none."""
    mode, frames = getattr(image, "mode", ""), getattr(image, "n_frames", 1)
    bits: Sequence[int] = getattr(image, "tag_v2", {}).get(258, (8,)) or (8,)
    deepest = max(bits) if isinstance(bits, Sequence) else int(bits)
    if mode not in EIGHT_BIT or deepest > 8:
        return f"has {deepest} bits per channel (Pillow mode {mode})"
    return f"holds {frames} images" if frames > 1 else None


def _rgb(image: object) -> Pixels:
    """Height × width × 3; what is fully transparent is black."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA"))
    return np.where(pixels[..., 3:] == 0, np.uint8(0), pixels[..., :3])


def _start(at: int, extent: int, side: int) -> int:
    """The upper or left edge of the tile under the centre of an extent."""
    return (2 * at + extent) // (2 * side) * side


def _pieces(
    start: int, extent: int, side: int, number: int, out: int
) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
    """Along one axis, the tiles of a region: number, the span in the tile, the span in the picture of `out` px.

    Tiles on which no pixel of the picture falls are left out, and never decoded.
    """
    for tile in range(max(0, start // side), min(number, -(-(start + extent) // side))):
        low, high = max(start, tile * side), min(start + extent, (tile + 1) * side)
        first, last = (round((edge - start) * out / extent) for edge in (low, high))
        if last > first:
            yield tile, (low - tile * side, high - tile * side), (first, last)


def _shrunk(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape[1::-1] == size:
        return pixels
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
