"""A slide whose pixels are those of tiles, pasted at known places when they are first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError
from benchmark.slides.handles import failures, read_region, unreadable
from benchmark.slides.readers import EIGHT_BIT, part_of
from benchmark.slides.slide import Slide

KEPT = 400_000_000
"""Bytes of pasted slides that a process holds."""

GLASS = 255
"""Grey level where no piece lies."""


@dataclass(frozen=True)
class Piece:
    """A tile at its place: mirrored, then turned by `turns` × 90°, top left corner at (x, y)."""

    name: str
    x: int
    y: int
    turns: int = 0
    mirrored: bool = False


@dataclass(frozen=True)
class PastedSlide(Slide):
    """Tiles below the folder `path`, pasted on glass.

    `extent`: (width, height) in px. `side`: no piece may be larger, in px. `pool`: whose tiles they are; the audit
    compares tiles of one pool with those of others.
    """

    pieces: tuple[Piece, ...] = ()
    extent: tuple[int, int] = (1, 1)
    side: int = 0
    pool: str = ""

    def __hash__(self) -> int:
        return hash((self.id, self.path, len(self.pieces)))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        return self.extent

    @property
    def files(self) -> tuple[Path, ...]:
        """Every tile, in the order in which they are pasted."""
        return tuple(self.path / piece.name for piece in self.pieces)

    @property
    def arrangement(self) -> str:
        """Where every tile lies."""
        places = ";".join(f"{piece.x},{piece.y},{piece.turns},{piece.mirrored:d}" for piece in self.pieces)
        return f"{self.extent} {places}"

    def parts(self) -> Iterator[Slide]:
        """Every tile as a slide of its own."""
        for piece in self.pieces:
            yield Slide(f"{self.pool}/{piece.name}", self.path / piece.name, self.patient, self.mpp)

    def read(self, x: int, y: int, width: int, height: int, *, downsample: float = 1.0) -> NDArray[np.uint8]:
        """See `Slide.read`. Raises `DataError` that names the tile which cannot be read."""
        if width < 1 or height < 1 or downsample < 1:
            asked = f"{width}×{height} px at downsample {downsample}"
            raise ConfigError(f"slide {self.id!r}: cannot read {asked}: all three must be at least 1")
        out = (max(1, round(width / downsample)), max(1, round(height / downsample)))
        return read_region(_Pasted(_pasted.get(self)), (x, y, width, height), out)


class _Pasted:
    """A `Handle` on the pixels of a pasted slide."""

    decoded = 0

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self.size = (pixels.shape[1], pixels.shape[0])

    def level(self, downsample: float) -> tuple[int, float]:
        """See `Handle`: there is but one level."""
        return 0, 1.0

    def region(self, x: int, y: int, level: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `Handle`."""
        return part_of(self._pixels, x, y, width, height)


class _Latest:
    """The slides pasted last, at most `KEPT` bytes of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[PastedSlide, NDArray[np.uint8]] = OrderedDict()

    def get(self, slide: PastedSlide) -> NDArray[np.uint8]:
        with self._lock:
            if slide not in self._kept:
                self._kept[slide] = _paste(slide)
            self._kept.move_to_end(slide)
            while len(self._kept) > 1 and sum(pixels.nbytes for pixels in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[slide]


_pasted = _Latest()


def _paste(slide: PastedSlide) -> NDArray[np.uint8]:
    width, height = slide.extent
    canvas = np.full((height, width, 3), GLASS, np.uint8)
    tiles: dict[str, NDArray[np.uint8]] = {}
    for piece in slide.pieces:
        if piece.name not in tiles:
            tiles[piece.name] = decode_piece(slide.path / piece.name, slide.id, slide.side)
        pixels = tiles[piece.name][:, ::-1] if piece.mirrored else tiles[piece.name]
        pixels = np.rot90(pixels, piece.turns)
        place = canvas[piece.y : piece.y + pixels.shape[0], piece.x : piece.x + pixels.shape[1]]
        place[:] = pixels[: place.shape[0], : place.shape[1]]
    return canvas


def decode_piece(path: Path, of: str, side: int) -> NDArray[np.uint8]:
    """RGB pixels of a tile of at most side × side px. Raises `DataError` naming the slide `of` and the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            if max(width, height) > side:
                msg = f"{path} has {width}×{height} px; expected at most {side}×{side}"
                raise DataError(f"slide {of!r}: {msg}", fix="copy the tile again from the release")
            if image.mode not in EIGHT_BIT:
                raise OSError(f"8 bits per channel are expected, this one has Pillow mode {image.mode}")
            return np.array(image.convert("RGB"))
    except failures() as error:
        raise unreadable(path, of, error) from error


def piece_faults(paths: Sequence[Path], of: str, side: int) -> list[str]:
    """What is wrong with tiles that are decoded whole, in words; those that are sound have no line."""
    faults = []
    for path in paths:
        try:
            decode_piece(path, of, side)
        except DataError as error:
            faults.append(error.what)
    return faults
