"""A picture made ready for composing: its pixels, its glands, and how much each pixel wants to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...latest import Latest
from .album import Picture, Pixels

FULL = 96.0
"""Px from the edge of a picture at which a pixel is as good as one in its middle."""

HOLE = 9000
"""An empty area outside the glands of more px than this is glass, not lumen or cleft."""

BRIGHT = 222
"""Smoothed darkest channel from which on a pixel is empty."""

WHOLE, EMPTY = 28.0, -160.0
"""A whole gland's bonus, and what a piece of glass wants, in px."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture at its place: turned by `turns` × 90° (after mirroring), top left corner at (x, y)."""

    picture: Picture
    x: int
    y: int
    turns: int
    mirrored: bool
    drift: tuple[float, float]
    """How strongly, and to which side, two noise fields push the seams of this tile."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) on the slide."""
        width, height = self.picture.size
        return (height, width) if self.turns % 2 else (width, height)


@dataclass(frozen=True, eq=False)
class Piece:
    """The arrays of one picture, height × width."""

    pixels: Pixels
    gland: NDArray[np.bool_]
    wish: NDArray[np.float16]
    """Px: distance to the picture's edge, the same all over a gland, so that seams run round glands."""


class Pieces:
    """Pieces by picture; the latest `kept` stay in memory (about 2.5 MB each)."""

    def __init__(self, kept: int = 96) -> None:
        self._pieces: Latest[Piece] = Latest(kept)

    def of(self, picture: Picture) -> Piece:
        """Load a picture, or take it from memory."""
        return self._pieces.get(picture.name, lambda: _piece(picture))

    def add(self, name: str, piece: Piece) -> None:
        """Take in the piece of a picture that was made elsewhere, see `made`."""
        self._pieces.get(name, lambda: piece)

    def holds(self, picture: Picture) -> bool:
        """Whether the picture's piece is in memory."""
        return picture.name in self._pieces

    def turned(self, tile: Tile) -> Piece:
        """The piece of a tile as it lies on the slide."""
        piece, turns = self.of(tile.picture), tile.turns
        if tile.mirrored:
            piece = Piece(piece.pixels[:, ::-1], piece.gland[:, ::-1], piece.wish[:, ::-1])
        return Piece(np.rot90(piece.pixels, turns), np.rot90(piece.gland, turns), np.rot90(piece.wish, turns))


def made(picture: Picture) -> tuple[str, Piece]:
    """A picture's name and its piece."""
    return picture.name, _piece(picture)


def _piece(picture: Picture) -> Piece:
    pixels, objects = picture.load()
    return Piece(pixels, objects > 0, _wish(pixels, objects).astype(np.float16))


def _wish(pixels: Pixels, objects: NDArray[np.int32]) -> NDArray[np.float32]:
    """Height × width; thought out on every other pixel of every other row."""
    small = objects[::2, ::2]
    down, across = (np.minimum(np.arange(n), np.arange(n)[::-1]) * 2 + 0.5 for n in small.shape)
    wish = np.minimum(np.minimum(down[:, None], across[None, :]), FULL).astype(np.float32)
    size = np.bincount(small.ravel())
    wanted = np.bincount(small.ravel(), wish.ravel()) / np.maximum(size, 1) + WHOLE
    wanted[np.concatenate([[0], small[0], small[-1], small[:, 0], small[:, -1]])] = 0
    wish = np.where(wanted[small] > 0, wanted[small].astype(np.float32), wish)
    wish = np.where(_glass(pixels[::2, ::2], small), np.float32(EMPTY), wish)
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(wish, 2)
    return smooth.repeat(2, axis=0).repeat(2, axis=1)[: objects.shape[0], : objects.shape[1]]


def _glass(pixels: Pixels, objects: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Large empty areas outside the glands."""
    darkest = ndimage.uniform_filter(pixels.min(axis=2), 9)
    areas, number = ndimage.label((darkest > BRIGHT) & (objects == 0))
    large = np.bincount(areas.ravel(), minlength=number + 1) * 4 > HOLE
    large[0] = False
    glass: NDArray[np.bool_] = large[areas]
    return glass
