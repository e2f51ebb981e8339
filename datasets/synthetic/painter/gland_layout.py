"""Where the glands lie: regular crypts in benign tissue, crowded irregular masses in malignant tissue."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from .fields import Field, cloud

Labels = NDArray[np.int32]
"""Object number of every pixel, height × width; 0 = background."""

SCRAP = 900
"""What the meeting of two glands cuts off is left out below so many pixels."""


@dataclass(frozen=True)
class Arrangement:
    """How glands are strewn over one image; lengths in px."""

    pitch: float
    """Distance between neighbours."""
    fill: float
    """Radius of a gland as a share of the pitch."""
    spread: float
    """How far radii differ from each other."""
    jitter: float
    """How far a gland is off its place, as a share of the pitch."""
    missing: float
    """Share of places left empty, side by side: lakes of stroma."""
    lobes: int
    """At most so many overlapping lobes form one gland."""
    ripple: float
    """Amplitude of the outline's waves, as a share of the radius."""
    stretch: float
    """Length over width: 1 for crypts cut across, more for crypts cut lengthwise."""
    bend: float
    """How far the whole picture is warped."""
    gap: float
    """Least distance between two glands."""

    @classmethod
    def draw(cls, rng: np.random.Generator, malignant: bool) -> Arrangement:
        """The arrangement of one image."""
        if malignant:
            return cls(
                pitch=rng.uniform(105, 185), fill=rng.uniform(0.45, 0.62), spread=0.35, jitter=0.2,
                missing=rng.uniform(0.3, 0.5), lobes=4, ripple=rng.uniform(0.07, 0.13),
                stretch=rng.uniform(1.0, 1.9), bend=rng.uniform(5, 10), gap=rng.uniform(4, 10),
            )  # fmt: skip
        lengthwise = rng.random() < 0.3
        return cls(
            pitch=rng.uniform(78, 150), fill=rng.uniform(0.45, 0.53), spread=0.1, jitter=0.1,
            missing=rng.uniform(0.3, 0.5), lobes=1, ripple=rng.uniform(0.015, 0.04),
            stretch=rng.uniform(1.7, 2.6) if lengthwise else rng.uniform(1.0, 1.35),
            bend=rng.uniform(2, 5), gap=rng.uniform(4, 10),
        )  # fmt: skip


def arrange(rng: np.random.Generator, shape: tuple[int, int], plan: Arrangement) -> Labels:
    """Glands on a jittered hexagonal lattice, stretched and warped; each pixel goes to the nearest one.

    Two glands that meet are kept `plan.gap` px apart, as neighbouring crypts are by stroma.
    """
    height, width = shape
    y, x = np.indices(shape, dtype=np.float32)
    y += plan.bend * cloud(rng, shape, 26) - height / 2
    x += plan.bend * cloud(rng, shape, 26) - width / 2
    angle = rng.uniform(0, math.pi)
    along = np.asarray((x * math.cos(angle) + y * math.sin(angle)) / plan.stretch, np.float32)
    across = np.asarray(y * math.cos(angle) - x * math.sin(angle), np.float32)
    first = np.full(shape, 9.0, np.float32)
    second = first.copy()
    owner = np.zeros(shape, np.int32)
    for number, centre in enumerate(_places(rng, along, across, plan), start=1):
        radius = plan.pitch * plan.fill * float(np.exp(plan.spread * rng.uniform(-1, 1)))
        window = _window(along, across, centre, radius * (2.8 if plan.lobes > 1 else 1.4))
        if window is None:
            continue
        near = _gland(rng, along[window] - centre[0], across[window] - centre[1], radius, plan)
        best, runner_up, own = first[window], second[window], owner[window]
        closer = near < best
        np.copyto(runner_up, np.where(closer, best, np.minimum(runner_up, near)))
        np.copyto(own, number, where=closer)
        np.copyto(best, near, where=closer)
    apart = (second - first) * plan.pitch * plan.fill > plan.gap
    return sizeable(np.where((first < 1) & apart, owner, 0), SCRAP)


def sizeable(numbers: Labels, least: int) -> Labels:
    """Number the connected parts of every object anew, from 1 on, leaving out those under `least` px."""
    parts = label(numbers, connectivity=1)
    sizes = np.bincount(parts.ravel())
    kept = np.flatnonzero(sizes >= least)
    kept = kept[kept > 0]
    renumber = np.zeros(len(sizes), np.int32)
    renumber[kept] = np.arange(1, len(kept) + 1)
    renumbered: Labels = renumber[parts]
    return renumbered


def _places(rng: np.random.Generator, along: Field, across: Field, plan: Arrangement) -> list[tuple[float, float]]:
    left, right = float(along.min()) - plan.pitch, float(along.max()) + plan.pitch
    top, bottom = float(across.min()) - plan.pitch, float(across.max()) + plan.pitch
    shift = rng.uniform(0, plan.pitch, 2)
    places = []
    for row, y in enumerate(np.arange(top + shift[0], bottom, plan.pitch * 0.866)):
        for x in np.arange(left + shift[1] + (row % 2) * plan.pitch / 2, right, plan.pitch):
            dx, dy = rng.normal(0, plan.jitter * plan.pitch, 2)
            places.append((float(x + dx), float(y + dy)))
    swell = _swell(rng, np.array(places), 4.5 * plan.pitch)
    kept = swell >= np.quantile(swell, plan.missing)
    return [place for place, keep in zip(places, kept, strict=True) if keep]


def _swell(rng: np.random.Generator, at: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
    """Height of a random sea of five plane waves at N × 2 points, with some chop."""
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 5))
    x, y = at[:, :1] * 2 * np.pi / wavelength, at[:, 1:] * 2 * np.pi / wavelength
    waves = np.cos(x * np.cos(angle) + y * np.sin(angle) + phase)
    height: NDArray[np.float64] = waves.sum(axis=1) + rng.normal(0, 0.25, len(at))
    return height


def _window(along: Field, across: Field, centre: tuple[float, float], reach: float) -> tuple[slice, slice] | None:
    """The bounding box of the pixels within `reach` of a centre."""
    near = (np.abs(along - centre[0]) < reach) & (np.abs(across - centre[1]) < reach)
    rows = np.flatnonzero(near.any(axis=1))
    if not rows.size:
        return None
    cols = np.flatnonzero(near.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)


def _gland(rng: np.random.Generator, dx: Field, dy: Field, radius: float, plan: Arrangement) -> Field:
    """Distance from the gland's middle over its radius in that direction: below 1 is inside."""
    lobes = 1 if plan.lobes == 1 else int(rng.integers(2, plan.lobes + 1))
    near = np.full(dx.shape, 9.0, np.float32)
    x = y = 0.0
    for _ in range(lobes):
        part = _lobe(rng, dx - x, dy - y, radius * (1.0 if lobes == 1 else rng.uniform(0.55, 0.95)), plan.ripple)
        near = np.minimum(near, part)
        turn = rng.uniform(0, 2 * np.pi)
        x, y = x + 0.8 * radius * math.cos(turn), y + 0.8 * radius * math.sin(turn)
    return near


def _lobe(rng: np.random.Generator, dx: Field, dy: Field, radius: float, ripple: float) -> Field:
    """A disc whose outline is a short Fourier series (harmonics 2 to 6)."""
    position = dx + 1j * dy
    length = np.abs(position)
    unit = position / (length + 1e-3)
    wave = np.zeros(dx.shape, np.float32)
    power = unit
    for harmonic in range(2, 7):
        power = power * unit
        weight = ripple * float(rng.normal(0, 1)) * 2 / harmonic
        wave += np.real(power * (weight * cmath.exp(1j * rng.uniform(0, 2 * np.pi))))
    return np.asarray(length / (radius * np.maximum(1 + wave, 0.4)), np.float32)
