"""Random fields the painter draws with. All are float32 and depend on the generator alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
"""One number per pixel, height × width."""


def cloud(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    """Smooth noise with features of about `scale` px, mean 0 and standard deviation 1.

    Wide clouds are made on a coarse lattice and stretched, so their cost does not grow with `scale`.
    """
    step = max(1, int(scale / 2.5))
    small = (shape[0] // step + 4, shape[1] // step + 4)
    white = rng.standard_normal(small, dtype=np.float32)
    field = ndimage.gaussian_filter(white, scale / step, mode="reflect")
    if step > 1:
        field = ndimage.uniform_filter(field.repeat(step, axis=0).repeat(step, axis=1), step)
    field = field[: shape[0], : shape[1]]
    standard: Field = (field - field.mean()) / (field.std() + 1e-6)
    return standard


@dataclass(frozen=True)
class Flow:
    """Wavy parallel lines over the canvas: `along` and `across` are the coordinates of every pixel."""

    along: Field
    across: Field

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, int], waviness: float) -> Flow:
        """Lines at a random angle, bent by about `waviness` px."""
        y, x = np.indices(shape, dtype=np.float32)
        angle = rng.uniform(0, np.pi)
        bend = waviness * cloud(rng, shape, 32) + 0.35 * waviness * cloud(rng, shape, 12)
        along = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
        across = (y * np.cos(angle) - x * np.sin(angle) + bend).astype(np.float32)
        return cls(along, across)

    def fibres(self, rng: np.random.Generator, thickness: float, length: float) -> Field:
        """Streaks that follow the lines, `thickness` × `length` px, mean 0 and standard deviation 1."""
        white = rng.standard_normal((384, 384), dtype=np.float32)
        streaks = ndimage.gaussian_filter(white, (thickness, length), mode="wrap")
        streaks /= streaks.std()
        field: Field = ndimage.map_coordinates(streaks, [self.across, self.along], order=1, mode="grid-wrap")
        return field

    def angles(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Direction of the lines at N × 2 points (y, x), in radians from the x axis."""
        return direction_at(self.across, points) + np.pi / 2


def direction_at(field: Field, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle of steepest ascent of `field` at N × 2 points (y, x), in radians from the x axis."""
    height, width = field.shape
    y = np.clip(points[:, 0].round().astype(int), 2, height - 3)
    x = np.clip(points[:, 1].round().astype(int), 2, width - 3)
    rise = field[y + 2, x] - field[y - 2, x]
    run = field[y, x + 2] - field[y, x - 2]
    angle: NDArray[np.float64] = np.arctan2(rise, run).astype(np.float64)
    return angle
