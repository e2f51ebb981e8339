"""Glands from the outside in: basal nuclei, columnar cells with goblets, brush border, lumen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from .fields import Field, cloud, direction_at
from .gland_layout import Labels
from .nuclei import Nuclei, Points, beaded, strewn
from .stain import Canvas


@dataclass(frozen=True)
class Epithelium:
    """What the glands of one image have in common; lengths in px."""

    thickness: tuple[float, float]
    """From the basement membrane to the lumen, as a share of the gland's depth: least and most."""
    tallest: float
    """No epithelium is higher; what would be is lumen."""
    without_lumen: float
    """Share of glands cut outside their lumen."""
    holes: float
    """Share of the deep epithelium turned into further lumens (cribriform growth)."""
    goblets: float
    """Share of cells that are goblets."""
    rows: int
    """Rows of nuclei above the basement membrane: 1 = simple, more = pseudostratified."""
    nucleus: tuple[float, float]
    """Half axes of a nucleus."""
    spacing: float
    """Distance between nuclei of one row."""
    darkness: float
    """Haematoxylin density of the nuclei."""
    vesicular: float
    """0 = evenly dark nuclei, 1 = pale ones with a dark membrane."""
    cytoplasm: tuple[float, float]
    """Haematoxylin and eosin density of the cells' bodies."""
    debris: float
    """How much dead material lies in the lumens."""

    @classmethod
    def draw(cls, rng: np.random.Generator, malignant: bool) -> Epithelium:
        """The epithelium of one image; the ranges of the two kinds overlap, as they do in tissue."""
        if malignant:
            return cls(
                thickness=(0.5, 0.95), tallest=rng.uniform(34, 60), without_lumen=0.25,
                holes=rng.choice([0.0, 0.06, 0.14]), goblets=rng.choice([0.0, 0.0, 0.12]), rows=int(rng.integers(2, 4)),
                nucleus=(rng.uniform(5.0, 6.8), rng.uniform(3.0, 4.0)), spacing=rng.uniform(6.2, 8.0),
                darkness=rng.uniform(1.0, 1.6), vesicular=rng.uniform(0.2, 0.9),
                cytoplasm=(rng.uniform(0.28, 0.5), rng.uniform(0.42, 0.66)), debris=rng.uniform(0.0, 1.0),
            )  # fmt: skip
        return cls(
            thickness=(0.55, 0.9), tallest=rng.uniform(27, 40), without_lumen=0.15, holes=0.0,
            goblets=rng.choice([0.1, 0.45, 0.75, 0.97]), rows=int(rng.integers(1, 3)),
            nucleus=(rng.uniform(4.0, 5.6), rng.uniform(2.5, 3.2)), spacing=rng.uniform(5.6, 7.4),
            darkness=rng.uniform(1.0, 1.5), vesicular=rng.uniform(0.0, 0.6),
            cytoplasm=(rng.uniform(0.16, 0.36), rng.uniform(0.34, 0.58)), debris=rng.uniform(0.0, 0.25),
        )  # fmt: skip


def paint_glands(rng: np.random.Generator, canvas: Canvas, labels: Labels, kind: Epithelium) -> list[Nuclei]:
    """Paint every gland but for its nuclei, which are returned to be drawn with all others."""
    shape = canvas.shape
    depth = ndimage.distance_transform_edt(labels > 0).astype(np.float32)
    lumen = _lumen(rng, labels, depth, kind)
    to_lumen = ndimage.distance_transform_edt(~lumen).astype(np.float32)
    edge = np.clip(depth / 1.6, 0, 1)
    mottled = 1 + 0.16 * cloud(rng, shape, 1.1) + 0.14 * cloud(rng, shape, 9)
    basal = np.exp(-((depth / 11) ** 2))
    canvas.lay(edge, (kind.cytoplasm[0] + 0.16 * basal) * mottled, kind.cytoplasm[1] * mottled)
    _goblets(rng, canvas, labels, depth, to_lumen, kind)
    brush = edge * np.exp(-(((to_lumen - 1.5) / 1.5) ** 2)) * (~lumen)
    canvas.lay(0.55 * brush, kind.cytoplasm[0] + 0.1, kind.cytoplasm[1] + 0.25)
    _fill(rng, canvas, lumen, to_lumen, kind)
    return _nuclei(rng, labels, depth, lumen, to_lumen, kind)


def _lumen(rng: np.random.Generator, labels: Labels, depth: Field, kind: Epithelium) -> NDArray[np.bool_]:
    count = int(labels.max(initial=0))
    deepest = ndimage.maximum(depth, labels, np.arange(1, count + 1)) if count else []
    wall = np.full(count + 1, np.inf, np.float32)
    for number, most in enumerate(deepest, start=1):
        share = rng.uniform(*kind.thickness)
        if rng.random() >= kind.without_lumen or most > kind.tallest:
            wall[number] = np.clip(share * most, 13.0, kind.tallest)
    ragged = depth + 1.6 * cloud(rng, depth.shape, 5) + 1.6 * cloud(rng, depth.shape, 14)
    lumen: NDArray[np.bool_] = ragged > wall[labels]
    if kind.holes:
        field = cloud(rng, depth.shape, 6.5)
        lumen |= (field > np.quantile(field, 1 - kind.holes)) & (depth > 15)
    return lumen & (labels > 0)


def _goblets(
    rng: np.random.Generator, canvas: Canvas, labels: Labels, depth: Field, to_lumen: Field, kind: Epithelium
) -> None:
    """Pale vacuoles above the nuclei: cells of a Voronoi diagram of seeds in rows along the wall."""
    width = rng.uniform(10, 17)
    first = 8.0 + 3.0 * kind.rows
    levels = np.arange(first + width * 0.45, float(depth.max(initial=0)), width)
    seeds = np.concatenate([np.empty((0, 2)), *(beaded(rng, depth, level, width, 0.8) for level in levels)])
    band = (labels > 0) & (depth > first - 2) & (to_lumen > 0)
    if len(seeds) < 2 or not band.any():
        return
    wet = rng.random(len(seeds)) < kind.goblets
    near, wall, seed = honeycomb(seeds, band)
    vacuole = np.zeros(canvas.shape, np.float32)
    size = width * rng.uniform(0.4, 0.62, len(seeds)).astype(np.float32)
    vacuole[band] = wet[seed] * np.clip((wall - 0.9) / 1.5, 0, 1) * np.clip((size[seed] - near) / 1.3, 0, 1)
    vacuole *= np.clip((depth - first + 2) / 2, 0, 1) * np.clip((to_lumen + 2.5) / 3, 0, 1)
    rim = ndimage.gaussian_filter(vacuole, 1.2) - vacuole
    mucin = rng.uniform(0.02, 0.09) * (1 + np.abs(cloud(rng, canvas.shape, 2)))
    canvas.lay(np.clip(1.6 * rim, 0, 1), kind.cytoplasm[0] + 0.25, kind.cytoplasm[1] + 0.25)
    canvas.lay(vacuole, mucin, 0.05 + 0.25 * mucin)


def honeycomb(
    seeds: Points, where: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """For every pixel of `where`: distance to its seed, about twice the distance to the cell's wall, the seed."""
    distance, number = cKDTree(seeds).query(np.argwhere(where), k=2)
    near = distance[:, 0].astype(np.float32)
    return near, distance[:, 1].astype(np.float32) - near, number[:, 0]


def _fill(
    rng: np.random.Generator, canvas: Canvas, lumen: NDArray[np.bool_], to_lumen: Field, kind: Epithelium
) -> None:
    """An almost empty lumen with threads of mucin and, in tumours, dead cells."""
    cover = np.clip(1.0 - to_lumen, 0, 1)
    wisps = np.clip(cloud(rng, canvas.shape, 9) + 0.35 * cloud(rng, canvas.shape, 1.6), 0, 2.5)
    mucin = rng.choice([0.0, 0.03, 0.08])
    canvas.lay(cover, 0.01 + mucin * wisps, 0.02 + 0.6 * mucin * wisps)
    dead = np.clip(cloud(rng, canvas.shape, 6) - 1.9 + 1.5 * kind.debris, 0, 1) * lumen
    canvas.lay(0.85 * dead, 0.3 + 0.5 * np.clip(cloud(rng, canvas.shape, 1.4), 0, 2), 0.75)


def _nuclei(
    rng: np.random.Generator,
    labels: Labels,
    depth: Field,
    lumen: NDArray[np.bool_],
    to_lumen: Field,
    kind: Epithelium,
) -> list[Nuclei]:
    """Rows of nuclei along the basement membrane, upright; more rows and some strays when pseudostratified."""
    length, width = kind.nucleus
    wall = ndimage.gaussian_filter(depth, 2.0)
    groups = []
    for row in range(kind.rows):
        level = length + 1.5 + row * 1.45 * length
        points = beaded(rng, depth, level, kind.spacing * (1 + 0.22 * row), 0.9 + 0.7 * (kind.rows > 1))
        groups.append(points[rng.random(len(points)) > 0.06 + 0.1 * row])
    if kind.rows > 1:
        deep = (depth > length * (1 + 1.45 * kind.rows)) & (to_lumen > 5)
        groups.append(strewn(rng, 0.5 * deep.astype(np.float32), 1.5 * length))
    at = np.concatenate(groups)
    rows = at[:, 0].round().astype(int).clip(0, depth.shape[0] - 1)
    cols = at[:, 1].round().astype(int).clip(0, depth.shape[1] - 1)
    at = at[(labels[rows, cols] > 0) & (to_lumen[rows, cols] > 3)]
    upright = direction_at(wall, at)
    vary = 0.12 if kind.rows == 1 else 0.17
    return [
        Nuclei.alike(rng, at, upright, length=length, width=width, stain=kind.darkness, rim=kind.vesicular, vary=vary)
    ]
