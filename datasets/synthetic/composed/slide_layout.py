"""Where tissue lies on the glass and where in it the lesions are: signed distances on a coarse lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .smooth_fields import UNIT, Field, cloud

CELL = 128
"""Level-0 px of the cells that methods score; lesions are sized in them."""

LARGEST = 8192
"""Lesions grow with the side of a slide up to this one."""

NONE = -1e5
"""Signed distance in px to a lesion where there is none."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Signed distances in level-0 px at every `UNIT` px: positive inside, negative outside."""

    tissue: Field
    lesion: Field
    """`NONE` everywhere on a slide without lesions."""


def draw_layout(rng: np.random.Generator, side: int, *, lesions: bool) -> Layout:
    """One to three sections of irregular outline, some crumbs, and lesions of different size in them.

    Lesions measure about 6 to 20 cells of `CELL` px where the side is 5120, fewer on smaller slides but never
    less than three cells. Together they take 20 to 60 % of the tissue; their truth, drawn later, less.
    """
    points = side // UNIT + 2
    tissue = _distance(_sections(rng, points))
    if not lesions:
        return Layout(tissue, np.full_like(tissue, NONE))
    return Layout(tissue, _distance(_lesions(rng, tissue, side)))


def _sections(rng: np.random.Generator, points: int) -> Field:
    large = points * UNIT > 3000
    number = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2])) if large else 1
    turn = rng.uniform(0, np.pi) if number == 3 else rng.choice([0, np.pi / 2]) + rng.normal(0, 0.15)
    shape = np.full((points, points), -np.inf, np.float32)
    for index in range(number):
        away = {1: 0.0, 2: 0.24, 3: 0.27}[number]
        angle = turn + 2 * np.pi * index / number
        centre = points * (0.5 + away * np.array([np.sin(angle), np.cos(angle)]) + rng.normal(0, 0.012, 2))
        if number == 1:
            radii = points * rng.uniform(0.40, 0.47, 2)
            lean = rng.uniform(0, np.pi)
        elif number == 2:
            radii = points * np.array([rng.uniform(0.36, 0.43), rng.uniform(0.20, 0.235)])
            lean = angle + np.pi / 2
        else:
            radii = points * rng.uniform(0.19, 0.25, 2)
            lean = rng.uniform(0, np.pi)
        shape = np.maximum(shape, _blob(rng, points, centre, radii, lean, 0.13))
    if large:
        for _ in range(rng.integers(0, 5)):
            spot = np.argwhere(np.abs(shape + 0.12) < 0.06)
            crumb = rng.uniform(25, 110, 2) / UNIT
            shape = np.maximum(shape, _blob(rng, points, spot[rng.integers(len(spot))], crumb, 0, 0.2))
    edge = np.minimum(np.arange(points), np.arange(points)[::-1])
    margin = np.minimum(edge[:, None], edge[None, :]) / points
    kept: Field = (shape - 1.5 * np.exp(-((margin / 0.028) ** 2))).astype(np.float32)
    return kept


def _lesions(rng: np.random.Generator, tissue: Field, side: int) -> Field:
    """Blobs of different size, placed apart from each other, up to a share of the tissue."""
    points = len(tissue)
    free = tissue.copy()
    room = UNIT**2 * float(np.sum(tissue > 0))
    share = rng.uniform(0.2, 0.55)
    least, most = max(3.0 * CELL, 0.15 * min(side, LARGEST)), max(4.2 * CELL, 0.5 * min(side, LARGEST))
    shape = np.full_like(tissue, -np.inf)
    taken, number = 0.0, int(rng.integers(2, 7))
    sizes = np.exp(rng.uniform(np.log(least), np.log(most), number))
    sizes = np.clip(sizes * np.sqrt(share * room / (np.pi / 4 * np.sum(sizes**2))), least, most)
    for diameter in sorted(sizes.tolist(), reverse=True):
        spots = np.argwhere(free > 0.32 * diameter)
        if taken and (not len(spots) or taken + 0.6 * diameter**2 > 0.62 * room):
            continue
        spot = spots[rng.integers(len(spots))] if len(spots) else np.unravel_index(np.argmax(free), free.shape)
        radii = diameter / 2 / UNIT * np.exp(rng.normal(0, 0.16) * np.array([1, -1]))
        blob = _blob(rng, points, np.asarray(spot, float), radii, rng.uniform(0, np.pi), 0.2)
        taken += UNIT**2 * float(np.sum((blob > 0) & (tissue > 0) & (shape <= 0)))
        shape = np.maximum(shape, blob)
        free = np.minimum(free, -_distance(blob) - 0.05 * diameter)
    return shape


def _blob(
    rng: np.random.Generator, points: int, centre: np.ndarray, radii: np.ndarray, lean: float, rough: float
) -> Field:
    """Positive inside an ellipse whose outline wanders by about `rough` of its radius, coarsely and finely."""
    y, x = np.indices((points, points), dtype=np.float32)
    y, x = y - centre[0], x - centre[1]
    along, across = x * np.cos(lean) + y * np.sin(lean), y * np.cos(lean) - x * np.sin(lean)
    size = float(np.sqrt(radii[0] * radii[1]))
    wander = cloud(rng, (points, points), max(1.0, 0.36 * size)) + 0.5 * cloud(
        rng, (points, points), max(1.0, 0.11 * size)
    )
    field: Field = (1 - np.hypot(along / radii[0], across / radii[1]) + rough * wander).astype(np.float32)
    return field


def _distance(shape: Field) -> Field:
    """Signed distance in level-0 px to where `shape` is 0, smoothed over a lattice step."""
    inside = shape > 0
    within, without = ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside)
    field: Field = ndimage.gaussian_filter((within - without).astype(np.float32) * UNIT, 0.8)
    return field
