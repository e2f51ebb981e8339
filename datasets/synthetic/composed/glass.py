"""The glass around and behind the tissue: nearly white, uneven light, dust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .smooth_fields import UNIT, Field, at, cloud, grain, tiled

if TYPE_CHECKING:
    from PIL import Image

TILE = 1024
"""Side of the noise that is repeated over the slide."""

FINE = 8
"""Steps in which the shades of glass are told apart within a grey level; 256 steps hold all of them."""


@dataclass(frozen=True, eq=False)
class Glass:
    """What an empty place of one slide looks like."""

    colour: NDArray[np.float32]
    light: Field
    """Grey levels to add, on the coarse lattice."""
    grain: Field
    specks: NDArray[np.float64]
    """Specks of dust, one per row: y, x, radius in px, share of light they take, stretch, lean."""
    side: int

    @classmethod
    def draw(cls, rng: np.random.Generator, side: int) -> Glass:
        """The glass of one slide."""
        points = side // UNIT + 2
        slope = np.linspace(-1, 1, points, dtype=np.float32)
        light = 1.2 * cloud(rng, (points, points), 0.25 * points)
        light = light + rng.normal(0, 1.2) * slope + rng.normal(0, 1.2) * slope[:, None]
        colour = np.float32(rng.uniform(237, 246)) + rng.normal(0, 1.3, 3).astype(np.float32)
        number = int(rng.poisson((side / 1300) ** 2)) + 1
        specks = np.stack(
            [
                *rng.uniform(0, side, (2, number)),
                np.exp(rng.normal(1.5, 0.6, number)),
                rng.uniform(0.15, 0.6, number),
                rng.uniform(1, 2.5, number),
                rng.uniform(0, np.pi, number),
            ],
            axis=1,
        )
        return cls(colour, light.astype(np.float32), grain(rng, TILE, 0.7), specks, side)

    def empty(self, rows: NDArray[np.intp]) -> Image.Image:
        """A full-width strip of bare glass; its shades lie `FINE` to a grey level."""
        from PIL import Image

        shade = at(self.light, rows / UNIT, np.arange(self.side) / UNIT)
        shade += np.float32(1.1) * tiled(self.grain, rows, np.arange(self.side))
        shade *= FINE
        shade += np.float32(128.5)
        image = Image.fromarray(np.clip(shade, 0, 255, out=shade).astype(np.uint8), "L")
        image.putpalette(self._palette().tobytes())
        return image.convert("RGB")

    def _palette(self) -> NDArray[np.uint8]:
        """256 shades × 3."""
        colours = self.colour + (np.arange(256, dtype=np.float32)[:, None] - 128) / FINE
        palette: NDArray[np.uint8] = np.clip(colours + 0.5, 0, 255).astype(np.uint8)
        return palette

    def dust(self, strip: NDArray[np.uint8], rows: NDArray[np.intp]) -> None:
        """Darken a full-width strip, rows × cols × 3, where specks lie."""
        for y, x, radius, share, stretch, lean in self.specks:
            reach = 3 * radius * stretch
            if y + reach < rows[0] or y - reach > rows[-1]:
                continue
            high = slice(max(0, int(y - reach) - int(rows[0])), max(0, int(y + reach) - int(rows[0])))
            wide = slice(max(0, int(x - reach)), int(x + reach))
            down, across = rows[high][:, None] - y, np.arange(self.side)[wide][None, :] - x
            along = (across * np.cos(lean) + down * np.sin(lean)) / stretch
            away = np.hypot(along, down * np.cos(lean) - across * np.sin(lean)) / radius
            left = (1 - share * np.exp(-(away**4)))[..., None]
            strip[high, wide] = np.rint(strip[high, wide] * left).astype(np.uint8)
