"""Nuclei: where they lie, and how one is drawn. All nuclei of an image are drawn in one vectorised pass."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from .fields import Field, cloud

Points = NDArray[np.float64]
"""N × 2 positions (y, x) in px."""


@dataclass(frozen=True)
class Nuclei:
    """Ellipses, one entry per nucleus."""

    at: Points
    angle: NDArray[np.float64]
    """Direction of the long axis, in radians from the x axis."""
    length: NDArray[np.float64]
    """Half of the long axis, px."""
    width: NDArray[np.float64]
    """Half of the short axis, px."""
    stain: NDArray[np.float64]
    """Haematoxylin density."""
    rim: NDArray[np.float64]
    """0 = evenly dark (lymphocyte), 1 = pale with a dark membrane (vesicular)."""

    @classmethod
    def alike(
        cls,
        rng: np.random.Generator,
        at: Points,
        angle: NDArray[np.float64] | float,
        *,
        length: float,
        width: float,
        stain: float,
        rim: float,
        vary: float = 0.15,
    ) -> Nuclei:
        """Nuclei of one kind whose sizes, stains and angles differ by about `vary`."""
        count = len(at)
        return cls(
            at,
            np.broadcast_to(angle, count) + rng.normal(0, 1.6 * vary, count),
            length * np.exp(rng.normal(0, vary, count)),
            width * np.exp(rng.normal(0, vary, count)),
            stain * np.exp(rng.normal(0, vary, count)),
            np.clip(rim + rng.normal(0, vary, count), 0, 1),
        )

    @classmethod
    def join(cls, groups: list[Nuclei]) -> Nuclei:
        """All nuclei of several groups."""
        return cls(*(np.concatenate([getattr(group, item.name) for group in groups]) for item in fields(cls)))


def strewn(rng: np.random.Generator, chance: Field, spacing: float) -> Points:
    """Points about `spacing` px apart, each kept with the probability that `chance` has there."""
    height, width = chance.shape
    y, x = np.mgrid[0 : height / spacing : 1, 0 : width / spacing : 1]
    x = x + 0.5 * (np.arange(len(x)) % 2)[:, None]
    points = np.stack([y.ravel(), x.ravel()], axis=1) + rng.uniform(-0.38, 0.38, (y.size, 2))
    points *= spacing
    rows, cols = points[:, 0].round().astype(int), points[:, 1].round().astype(int)
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    keep = rng.random(len(points)) < np.where(inside, chance[rows.clip(0, height - 1), cols.clip(0, width - 1)], 0)
    return points[keep]


def beaded(rng: np.random.Generator, field: Field, level: float, spacing: float, jitter: float) -> Points:
    """Points about `spacing` px apart along the lines where `field` equals `level`, off them by `jitter` px."""
    beads = [np.empty((0, 2))]
    for line in find_contours(field, level):
        steps = np.hypot(*np.diff(line, axis=0).T)
        walked = np.concatenate([[0.0], np.cumsum(steps)])
        count = int(walked[-1] / spacing)
        if count:
            stops = (np.arange(count) + rng.uniform(-0.25, 0.25, count) + 0.5) * walked[-1] / count
            beads.append(np.stack([np.interp(stops, walked, line[:, axis]) for axis in (0, 1)], axis=1))
    points = np.concatenate(beads)
    return points + rng.normal(0, jitter, points.shape)


def stamp(rng: np.random.Generator, nuclei: Nuclei, shape: tuple[int, int]) -> tuple[Field, Field]:
    """Cover and haematoxylin density of all nuclei: two fields, cover in [0, 1].

    Where nuclei overlap, the darker one is seen. Chromatin is a fine noise inside each nucleus.
    """
    reach = int(np.ceil(1.25 * nuclei.length.max(initial=1.0))) + 1
    window = np.arange(-reach, reach + 1)
    centre = nuclei.at.round().astype(np.int64)
    rows = centre[:, 0, None, None] + window[None, :, None]
    cols = centre[:, 1, None, None] + window[None, None, :]
    dy = (rows - nuclei.at[:, 0, None, None]).astype(np.float32)
    dx = (cols - nuclei.at[:, 1, None, None]).astype(np.float32)
    cos, sin = (trig(nuclei.angle).astype(np.float32)[:, None, None] for trig in (np.cos, np.sin))
    along = (dx * cos + dy * sin) / nuclei.length.astype(np.float32)[:, None, None]
    across = (dy * cos - dx * sin) / nuclei.width.astype(np.float32)[:, None, None]
    ring = np.sqrt(along * along + across * across)
    inside = (ring < 1.3) & (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    number, _, _ = np.nonzero(inside)
    flat = np.broadcast_to(rows * shape[1] + cols, inside.shape)[inside]
    ring = ring[inside]
    chromatin = cloud(rng, shape, 1.1).ravel()[flat]
    soft = np.clip((1 - ring) * nuclei.width.astype(np.float32)[number] / 1.2 + 0.5 + 0.12 * chromatin, 0, 1)
    membrane = np.exp(-(((ring - 0.85) / 0.2) ** 2))
    rim, stain = nuclei.rim.astype(np.float32)[number], nuclei.stain.astype(np.float32)[number]
    tone = stain * (1 - 0.45 * rim + 0.45 * rim * membrane) * (1 + (0.1 + 0.22 * rim) * chromatin)
    cover = np.zeros(shape[0] * shape[1], np.float32)
    density = cover.copy()
    np.maximum.at(cover, flat, soft)
    np.maximum.at(density, flat, soft * np.maximum(tone, 0.2))
    return cover.reshape(shape), density.reshape(shape)
