"""The glass around and behind the tissue: nearly white, uneven light, dust."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .smooth_fields import UNIT, Field, at, cloud, grain, tiled

TILE = 1024
"""Side of the noise that is repeated over the slide."""


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

    def under(self, tissue: Field, cover: Field, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """A full-width strip: `tissue` (rows × cols × 3) where `cover` is 1, glass where it is 0, dust on both."""
        cols = np.arange(self.side)
        light = at(self.light, rows / UNIT, cols / UNIT)
        shade = light + 1.1 * tiled(self.grain, rows, cols)
        image = self.colour + shade[..., None]
        image += cover[..., None] * (tissue - image)
        self._dust(image, rows)
        strip: NDArray[np.uint8] = np.clip(image + 0.5, 0, 255).astype(np.uint8)
        return strip

    def _dust(self, image: Field, rows: NDArray[np.intp]) -> None:
        for y, x, radius, share, stretch, lean in self.specks:
            reach = 3 * radius * stretch
            if y + reach < rows[0] or y - reach > rows[-1]:
                continue
            high = slice(max(0, int(y - reach) - int(rows[0])), max(0, int(y + reach) - int(rows[0])))
            wide = slice(max(0, int(x - reach)), int(x + reach))
            down, across = rows[high][:, None] - y, np.arange(self.side)[wide][None, :] - x
            along = (across * np.cos(lean) + down * np.sin(lean)) / stretch
            away = np.hypot(along, down * np.cos(lean) - across * np.sin(lean)) / radius
            image[high, wide] *= (1 - share * np.exp(-(away**4)))[..., None].astype(np.float32)
