"""What lies between glands: fibres, lymphocytes, fibroblasts, and things that look like glands but are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Field, Flow, cloud, direction_at
from .glands import honeycomb
from .nuclei import Nuclei, beaded, strewn
from .stain import Canvas


@dataclass(frozen=True)
class Stroma:
    """The stroma of one image; lengths in px."""

    density: float
    """Eosin density of the fibres."""
    looseness: float
    """How much of the stroma is empty space between fibres (oedema)."""
    lymphocytes: float
    """Share of places taken by a lymphocyte."""
    fibroblasts: float
    """Share of places taken by a spindle nucleus."""
    cleft: float
    """Width of the shrinkage gap around glands; 0 = none."""
    vessels: int
    aggregates: int
    """Dense heaps of lymphocytes, as dark as epithelium."""
    fat: bool
    """Fat cells: round, white, walled; much like a gland full of goblets."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Stroma:
        """The stroma of one image, the same for benign and malignant tissue."""
        return cls(
            density=rng.uniform(0.34, 0.62),
            looseness=rng.uniform(-0.2, 0.9),
            lymphocytes=rng.uniform(0.12, 0.6),
            fibroblasts=rng.uniform(0.1, 0.35),
            cleft=rng.uniform(2, 7) if rng.random() < 0.35 else 0.0,
            vessels=int(rng.integers(0, 4)),
            aggregates=int(rng.random() < 0.4),
            fat=bool(rng.random() < 0.16),
        )


def paint_stroma(rng: np.random.Generator, canvas: Canvas, glands: NDArray[np.bool_], kind: Stroma) -> list[Nuclei]:
    """Paint everything outside the glands but nuclei, which are returned to be drawn with all others."""
    outside = ndimage.distance_transform_edt(~glands).astype(np.float32)
    flow = Flow.draw(rng, canvas.shape, 16)
    _fibres(rng, canvas, outside, flow, kind)
    free = outside.copy()
    crowd = np.zeros(canvas.shape, np.float32)
    nuclei = []
    if kind.fat:
        _fat(rng, canvas, free)
    for _ in range(kind.vessels):
        nuclei += _vessel(rng, canvas, free)
    for _ in range(kind.aggregates):
        _aggregate(rng, canvas, free, crowd)
    if kind.cleft:
        gap = kind.cleft * np.clip(0.5 + cloud(rng, canvas.shape, 22), 0, 1.6)
        shrunk = np.clip(gap - np.abs(outside - gap), 0, 1) * (outside > 0)
        canvas.lay(shrunk, 0.03, 0.04)
        free[shrunk > 0.3] = 0
    patchy = np.clip(kind.lymphocytes * (1 + 0.6 * cloud(rng, canvas.shape, 20)), 0.02, 0.75)
    room = (free > 3.5).astype(np.float32)
    cells = strewn(rng, room * np.maximum(patchy, crowd), 8.0)
    nuclei.append(
        Nuclei.alike(rng, cells, rng.uniform(0, np.pi, len(cells)), length=3.9, width=3.4, stain=1.75, rim=0.15)
    )
    spindles = strewn(rng, room * kind.fibroblasts, 10.0)
    nuclei.append(Nuclei.alike(rng, spindles, flow.angles(spindles), length=7.5, width=1.9, stain=1.3, rim=0.2))
    sheath = beaded(rng, outside, 3.2, 24.0, 0.5)
    along = direction_at(outside, sheath) + np.pi / 2
    nuclei.append(Nuclei.alike(rng, sheath, along, length=7.0, width=1.7, stain=1.3, rim=0.1, vary=0.1))
    return nuclei


def _fibres(rng: np.random.Generator, canvas: Canvas, outside: Field, flow: Flow, kind: Stroma) -> None:
    """Collagen bundles with gaps between them, denser where they sheathe a gland."""
    bundles = 0.6 * flow.fibres(rng, 2.6, 26) + 0.4 * cloud(rng, canvas.shape, 18)
    threads = flow.fibres(rng, 0.9, 9)
    sheath = np.exp(-(((outside - 2) / 2.5) ** 2))
    fabric = 0.85 + 0.3 * bundles + 0.2 * threads + 0.45 * sheath
    gaps = np.clip((kind.looseness - 0.75 - bundles - 0.35 * threads) * 1.4, 0, 0.92) * (1 - sheath)
    eosin = kind.density * np.clip(fabric, 0.25, 2) * (1 - gaps)
    haze = 0.10 + 0.05 * cloud(rng, canvas.shape, 25)
    grain = 1 + 0.12 * cloud(rng, canvas.shape, 1.0)
    canvas.lay(np.ones(canvas.shape, np.float32), np.clip(haze, 0.03, 1) * (1 - gaps), eosin * grain)


def _spot(rng: np.random.Generator, free: Field, radius: float) -> tuple[int, int] | None:
    """A place (y, x) where a thing of that radius fits; it is then taken. None if there is none."""
    places = np.argwhere(free > radius)
    if not len(places):
        return None
    y, x = (int(value) for value in places[rng.integers(len(places))])
    return y, x


def _around(shape: tuple[int, int], centre: tuple[int, int], wobble: Field) -> Field:
    """Distance from a centre, uneven by `wobble` px."""
    y, x = np.indices(shape, dtype=np.float32)
    away: Field = np.hypot(y - centre[0], x - centre[1]) + wobble
    return away


def _vessel(rng: np.random.Generator, canvas: Canvas, free: Field) -> list[Nuclei]:
    """A ring of muscle and flat nuclei around an empty or blood-filled lumen."""
    radius = rng.uniform(7, 22)
    centre = _spot(rng, free, radius + 5)
    if centre is None:
        return []
    away = _around(canvas.shape, centre, radius * 0.24 * cloud(rng, canvas.shape, 0.8 * radius))
    np.minimum(free, away - radius - 3, out=free)
    wall = np.clip(radius + 3 - away, 0, 1)
    canvas.lay(wall, 0.18, 0.62)
    inside = np.clip(radius - away, 0, 1)
    canvas.lay(inside, 0.02, 0.04)
    if rng.random() < 0.5:
        cells = np.clip(1.5 * cloud(rng, canvas.shape, 2.0) + rng.uniform(-0.4, 1.2), 0, 1) * inside
        canvas.lay(cells, 0.02, 0.1, 1.1 + 0.15 * cloud(rng, canvas.shape, 2.5))
    flat = beaded(rng, away, radius + 1.0, 24.0, 0.4)
    along = direction_at(away, flat) + np.pi / 2
    return [Nuclei.alike(rng, flat, along, length=6.0, width=1.6, stain=1.5, rim=0.0, vary=0.1)]


def _aggregate(rng: np.random.Generator, canvas: Canvas, free: Field, crowd: Field) -> None:
    """A heap of lymphocytes in a bluish haze."""
    radius = rng.uniform(20, 42)
    centre = _spot(rng, free, 0.75 * radius)
    if centre is None:
        return
    away = _around(canvas.shape, centre, 0.2 * radius * cloud(rng, canvas.shape, 16))
    heap = np.clip((radius - away) / 6, 0, 1) * (free > 2)
    canvas.lay(0.6 * heap, 0.42, 0.4)
    np.maximum(crowd, 0.96 * heap, out=crowd)


def _fat(rng: np.random.Generator, canvas: Canvas, free: Field) -> None:
    """A group of fat cells: white polygons with thin pink walls."""
    radius = rng.uniform(24, 55)
    centre = _spot(rng, free, 0.6 * radius)
    if centre is None:
        return
    lobule = (_around(canvas.shape, centre, 4 * cloud(rng, canvas.shape, 12)) < radius) & (free > 3)
    seeds = strewn(rng, np.ones(canvas.shape, np.float32), rng.uniform(13, 24))
    if not lobule.any():
        return
    _, wall, _ = honeycomb(seeds, lobule)
    cover = np.zeros(canvas.shape, np.float32)
    cover[lobule] = np.clip((wall - 1.0) / 1.5, 0, 1)
    canvas.lay(cover, 0.02, 0.03)
    free[lobule] = 0
