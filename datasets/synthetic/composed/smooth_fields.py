"""Smooth random fields on the coarse lattice of a layout, and their values at single pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
"""One number per point of a lattice."""

UNIT = 16
"""Level-0 px between two points of the coarse lattice."""


def cloud(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    """Smooth noise with features of about `scale` points, mean 0 and standard deviation 1.

    Wide clouds are made on a coarser lattice, so their cost does not grow with `scale`.
    """
    step = max(1.0, scale / 3)
    small = (int(shape[0] / step) + 4, int(shape[1] / step) + 4)
    white = rng.standard_normal(small, dtype=np.float32)
    field = ndimage.gaussian_filter(white, scale / step, mode="reflect")
    field = at(field, np.arange(shape[0]) / step, np.arange(shape[1]) / step)
    standard: Field = (field - field.mean()) / (field.std() + np.float32(1e-6))
    return standard


def at(field: Field, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> Field:
    """Bilinear values of `field` at every crossing of `rows` and `cols`, given in its points; clamped outside."""
    low, high, part = _between(rows, field.shape[0])
    tall = field[low] * (np.float32(1) - part[:, None]) + field[high] * part[:, None]
    low, high, part = _between(cols, field.shape[1])
    values: Field = tall[:, low] * (np.float32(1) - part) + tall[:, high] * part
    return values


def _between(places: NDArray[np.floating], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Field]:
    inside = np.clip(places, 0, size - 1)
    low = np.minimum(inside.astype(np.intp), size - 2)
    return low, low + 1, (inside - low).astype(np.float32)


def grain(rng: np.random.Generator, side: int, scale: float) -> Field:
    """A square of fine noise, mean 0 and standard deviation 1, that goes on seamlessly beyond its edges."""
    white = rng.standard_normal((side, side), dtype=np.float32)
    field = ndimage.gaussian_filter(white, scale, mode="wrap") if scale else white
    standard: Field = field / field.std()
    return standard


def tiled(field: Field, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Field:
    """Values of a `grain` at every crossing of pixel `rows` and `cols`."""
    values: Field = field.take(rows % field.shape[0], axis=0).take(cols % field.shape[1], axis=1)
    return values
