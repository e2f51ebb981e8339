"""Coarse annotations as annotators get them wrong: outlines too wide or narrow, lesions missed or invented, slips."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.labelimage import LabelImage
from benchmark.slides.grid import Grid

Cells = NDArray[np.bool_]
MARGIN = 1.5
"""Cells between an invented lesion and others: it is never one with them."""
TRIES = 200
"""Places that are tried for an invented lesion before it is given up."""


class NoiseOptions(BaseModel):
    """How wrong. All zero: the truth itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip_positive: float = Field(0.0, ge=0, le=1, description="share of lesion cells that are called normal")
    flip_negative: float = Field(0.0, ge=0, le=1, description="share of normal tissue cells that are called lesion")
    shift: float = Field(0.0, ge=-50, le=50, description="cells by which outlines are moved outwards (< 0: inwards)")
    missed: float = Field(0.0, ge=0, le=1, description="share of the lesions left out, at least one if not 0")
    invented: int = Field(0, ge=0, le=100, description="number of lesions drawn where there are none")


def noisy_coarse(
    truth: Annotation,
    size: tuple[int, int],
    options: NoiseOptions,
    rng: np.random.Generator,
    *,
    cell: int,
    tissue: Cells | None = None,
) -> Annotation:
    """The truth of a slide of `size` (width, height), made wrong on cells of `cell` px; class 1 is lesion.

    In this order: lesions (8-connected) are missed, outlines moved by a Euclidean distance, lesions invented (discs as
    large as a random real one, on tissue and away from the truth), cells flipped. `tissue` (rows × cols of the
    cells, default everywhere) bounds invention and flips. An invented lesion that finds no place is left out.
    """
    grid = Grid.regular(size, cell)
    real = truth.labels(grid) > 0
    places = np.ones(grid.shape, np.bool_) if tissue is None else tissue
    drawn = _shifted(_without_some(real, options.missed, rng), options.shift)
    drawn = drawn | _invented(real, places, options.invented, rng)
    slips = rng.random(grid.shape)
    drawn = np.where(real, drawn & ~(slips < options.flip_positive), drawn | (places & (slips < options.flip_negative)))
    return LabelImage(drawn.astype(np.uint8), downsample=cell)


def _without_some(real: Cells, share: float, rng: np.random.Generator) -> Cells:
    from scipy.ndimage import label

    numbers, count = label(real, structure=np.ones((3, 3)))
    order = 1 + rng.permutation(count)
    missed = order[: math.ceil(share * count - 1e-9)]
    kept: Cells = real & ~np.isin(numbers, missed)
    return kept


def _shifted(drawn: Cells, shift: float) -> Cells:
    from scipy.ndimage import distance_transform_edt

    if shift == 0 or not drawn.any() or drawn.all():
        return drawn
    if shift > 0:
        wider: Cells = distance_transform_edt(~drawn) <= shift
        return wider
    narrower: Cells = distance_transform_edt(drawn) > -shift
    return narrower


def _invented(real: Cells, places: Cells, number: int, rng: np.random.Generator) -> Cells:
    from scipy.ndimage import label

    found = np.zeros_like(real)
    numbers, count = label(real, structure=np.ones((3, 3)))
    areas = np.bincount(numbers.ravel())[1:] if count else np.array([9])
    rows, cols = np.indices(real.shape)
    for _ in range(number):
        radius = math.sqrt(float(rng.choice(areas)) / math.pi)
        for _ in range(TRIES):
            row, col = (int(rng.integers(length)) for length in real.shape)
            distance = np.hypot(rows - row, cols - col)
            if places[row, col] and not ((distance <= radius + MARGIN) & (real | found)).any():
                found |= (distance <= radius) & places
                break
    return found
