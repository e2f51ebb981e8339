"""A composed slide before it has pixels: what every tile weighs at any pixel, and the pixels by strips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .album import Pixels
from .glass import Glass
from .pieces import Piece, Pieces, Tile
from .slide_layout import Layout
from .smooth_fields import UNIT, Field, at, tiled

if TYPE_CHECKING:
    from PIL import Image

BAND = 512
"""Height of a strip in px."""

SOFT = 7.0
"""Px over which one picture passes into the next: their weights are exp(wish / SOFT)."""

PULL, REACH = 1.3, 110.0
"""How strongly, per px of distance, a lesion's outline parts normal from malignant pictures, and how far."""

WANDER = 42.0
"""Px by which noise pushes a seam to and fro."""

FRAY = 22.0
"""Px by which the edges of a picture are eaten on average; noise makes it none here and twice as many there."""

FADE, STEEP = 40.0, 90.0
"""Px before its frayed edge at which a picture begins to give way, and by how much, in px of wish, it has there."""

LAST = 8.0
"""Px over which a picture vanishes at its true edges, whatever its neighbours weigh."""

HIGHEST = 320.0
"""No pixel wants more, nor less than minus that: sums of weights times colours stay finite."""

TRACE = np.float32(1e-25)
"""Where all pictures together weigh less, there is glass."""

EDGE = 9.0
"""Px over which tissue passes into glass."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that makes the pixels of a slide. Nothing in it grows with the full resolution."""

    side: int
    layout: Layout
    tiles: tuple[Tile, ...]
    drifts: tuple[Field, Field]
    """Two noise fields on the coarse lattice; every tile begins at their corner, so neighbours see other places."""
    rough: Field
    """Fine noise for the outline of the tissue."""
    glass: Glass
    pieces: Pieces

    def bands(self) -> Iterator[NDArray[np.uint8]]:
        """The slide in strips of `BAND` px, top to bottom.

        What tiles and tissue weigh changes over several px, so it is thought out on every other pixel of every other
        row. Tiles are laid one over another, each as opaque as its part of all that was laid so far, which makes the
        weighted mean of their colours (to a grey level).
        """
        half = np.arange(0, self.side, 2)
        for top in range(0, self.side, BAND):
            rows = np.arange(top, min(top + BAND, self.side))
            cover = self.cover(rows[::2], half)
            glass = self.glass.empty(rows)
            tissue, total = glass.copy(), np.zeros_like(cover)
            for tile, piece, inner, (down, across) in self.shares(rows[::2], half):
                if not cover[inner].any():
                    continue
                weight = self.weight(tile, piece, rows[::2][inner[0]], half[inner[1]], down, across)
                total[inner] += weight
                left, high = int(half[inner[1]][0]), int(rows[::2][inner[0]][0]) - top
                shown = piece.pixels[down[0, 0] : down[-1, 0] + 2, across[0, 0] : across[0, -1] + 2]
                shown = shown[: len(rows) - high, : self.side - left]
                opaque = _doubled(weight / np.maximum(total[inner], TRACE), shown.shape)
                tissue.paste(_image(shown), (left, high), opaque)
            cover[total < TRACE] = 0
            glass.paste(tissue, (0, 0), _doubled(cover, (len(rows), self.side)))
            strip = np.array(glass)
            self.glass.dust(strip, rows)
            yield strip

    def cover(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Field:
        """How much of each pixel is tissue and not glass, in [0, 1]."""
        distance = at(self.layout.tissue, rows / UNIT, cols / UNIT)
        cover: Field = np.clip(0.5 + (distance + 7 * tiled(self.rough, rows, cols)) / EDGE, 0, 1)
        return cover

    def shares(
        self, rows: NDArray[np.intp], cols: NDArray[np.intp]
    ) -> Iterator[tuple[Tile, Piece, tuple[slice, slice], tuple[NDArray[np.intp], NDArray[np.intp]]]]:
        """Every tile that meets some of the pixels: where among `rows` and `cols`, and where in the tile."""
        for tile in self.tiles:
            width, height = tile.size
            inner_rows = slice(*np.searchsorted(rows, [tile.y, tile.y + height]).tolist())
            inner_cols = slice(*np.searchsorted(cols, [tile.x, tile.x + width]).tolist())
            down, across = rows[inner_rows] - tile.y, cols[inner_cols] - tile.x
            if down.size and across.size:
                places = np.ix_(down, across)
                yield tile, self.pieces.turned(tile), (inner_rows, inner_cols), (places[0], places[1])

    def weight(
        self,
        tile: Tile,
        piece: Piece,
        rows: NDArray[np.intp],
        cols: NDArray[np.intp],
        down: NDArray[np.intp],
        across: NDArray[np.intp],
    ) -> Field:
        """What a tile weighs at its pixels, rows × cols; the colour there is the weighted mean over tiles.

        The pixels lie at equal steps, `down` and `across` in the tile.
        """
        height, width = piece.gland.shape
        own = down[:, 0] / UNIT, across[0] / UNIT
        push = sum(
            np.float32(strength) * at(field, *own) for strength, field in zip(tile.drift, self.drifts, strict=True)
        )
        wish = piece.wish[_stepping(down[:, 0]), _stepping(across[0])] + np.float32(WANDER) * push
        pull = np.clip(PULL * at(self.layout.lesion, rows / UNIT, cols / UNIT), -PULL * REACH, PULL * REACH)
        wish += pull if tile.picture.positive else -pull
        edges = [
            np.minimum(places, length - 1 - places).astype(np.float32)
            for places, length in ((down, height), (across, width))
        ]
        frayed = np.minimum(*edges) - np.float32(FRAY) * (1 - np.clip(push, -1, 1))
        wish -= np.float32(STEEP) * np.clip(1 - frayed / np.float32(FADE), 0, 2) ** 2
        weight: Field = np.exp(np.clip(wish, -HIGHEST, HIGHEST) / SOFT)
        weight *= np.minimum(*(np.clip((edge + np.float32(0.5)) / np.float32(LAST), 0, 1) ** 3 for edge in edges))
        return weight


def _stepping(places: NDArray[np.intp]) -> slice:
    """Places at equal steps as a slice, which gives a view, not a copy."""
    return slice(int(places[0]), int(places[-1]) + 1, int(places[1] - places[0]) if len(places) > 1 else 1)


def _image(part: Pixels) -> Image.Image:
    """An image of RGB pixels that may be turned or mirrored views: Pillow turns pixels ten times as fast as NumPy."""
    from PIL import Image

    swapped = abs(part.strides[0]) < abs(part.strides[1])
    rows = part.swapaxes(0, 1) if swapped else part
    mirrored = rows.strides[1] < 0
    image = Image.fromarray(np.ascontiguousarray(rows[:, ::-1] if mirrored else rows))
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.TRANSPOSE) if swapped else image


def _doubled(part: NDArray[np.floating], shape: tuple[int, ...]) -> Image.Image:
    """Shares in [0, 1] of every other pixel as an 8-bit mask of all pixels, height × width."""
    from PIL import Image

    small = Image.fromarray(np.rint(part * np.float32(255)).astype(np.uint8))
    large = small.resize((2 * small.width, 2 * small.height), Image.Resampling.BILINEAR)
    return large.crop((0, 0, shape[1], shape[0]))
