"""The expert truth of a composed slide: what a pathologist would draw around the malignant glands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.annotations import Polygons, Region

from .scene import TRACE, Scene

if TYPE_CHECKING:
    from shapely import Polygon

STEP = 4
"""The truth is drawn on every fourth pixel of every fourth row."""

STRIP = 2048
"""Level-0 px of height that are looked at together."""

CLOSING = 100.0
"""Radius, in µm, of the closing that joins malignant glands with the stroma between them."""

HOLE, GAP, SCRAP = 150.0, 500.0, 75.0
"""Sides of squares, in µm, below which holes, malignant tissue in holes, and regions are filled, filled, left out."""

TOLERANCE = 2.0
"""Level-0 px by which an outline may be simplified."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What the truth holds, in numbers."""

    lesion: Polygons
    tissue_share: float
    """Tissue, of the slide."""
    lesion_share: float
    """Lesion, of the tissue."""


def draw_truth(scene: Scene, mpp: float) -> Truth:
    """Outline the malignant glands with the stroma between them.

    The malignant gland objects that are to be seen are closed by a disc of `CLOSING` µm. Of the result stays
    what is malignant tissue (pixels in which malignant pictures weigh more than half), so normal tissue between
    two lesions stays normal, and stroma at a lesion's rim is normal too. Holes below `HOLE` are filled, in holes
    below `GAP` the malignant tissue (its stroma without glands), regions below `SCRAP` are left out. The edge is
    smoothed by one step and simplified by at most `TOLERANCE` px. Benign gland objects never count.
    """
    glands, malignant, tissue = _look(scene)
    unit = STEP * mpp
    closed = _closed(glands, CLOSING / unit) & malignant & tissue
    smooth = ndimage.gaussian_filter((closed | (glands & tissue)).astype(np.float32), 1.5) > 0.5
    solid = _without(smooth, (SCRAP / unit) ** 2)
    solid |= ~_without(~solid, (GAP / unit) ** 2) & malignant
    solid = ~_without(~solid, (HOLE / unit) ** 2) & tissue
    regions = [Region(shape, 1) for shape in _outlines(solid)]
    return Truth(Polygons(regions), float(tissue.mean()), float((solid & tissue).sum() / max(1, int(tissue.sum()))))


def _look(scene: Scene) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """(malignant gland, malignant tissue, tissue at all) on every `STEP`th pixel."""
    cols = np.arange(STEP // 2, scene.side, STEP)
    strips: list[list[NDArray[np.bool_]]] = [[], [], []]
    for top in range(0, scene.side, STRIP):
        rows = np.arange(top + STEP // 2, min(top + STRIP, scene.side), STEP)
        total, malignant, gland = (np.zeros((len(rows), len(cols)), np.float32) for _ in range(3))
        for tile, piece, inner, (down, across) in scene.shares(rows, cols):
            weight = scene.weight(tile, piece, rows[inner[0]], cols[inner[1]], down, across)
            total[inner] += weight
            if tile.picture.positive:
                malignant[inner] += weight
                gland[inner] += weight * piece.gland[down, across]
        strips[0].append(gland > 0.5 * total)
        strips[1].append(malignant > 0.5 * total)
        strips[2].append((scene.cover(rows, cols) > 0.5) & (total >= TRACE))
    glands, lesion, tissue = (np.concatenate(parts) for parts in strips)
    return glands, lesion, tissue


def _closed(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Morphological closing by a disc, through distances: its cost does not grow with the radius."""
    if not mask.any():
        return mask
    margin = int(radius) + 2
    grown = ndimage.distance_transform_edt(~np.pad(mask, margin)) <= radius
    closed: NDArray[np.bool_] = ndimage.distance_transform_edt(grown) > radius
    return closed[margin:-margin, margin:-margin] | mask


def _without(mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """The mask without its connected areas of fewer than `least` points."""
    areas, _ = ndimage.label(mask)
    kept = np.bincount(areas.ravel()) >= least
    kept[0] = False
    large: NDArray[np.bool_] = kept[areas]
    return large


def _outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Valid polygons with holes around the True points, in level-0 px, from left to right."""
    import shapely
    from skimage.measure import find_contours

    smooth = ndimage.gaussian_filter(np.pad(mask, 3).astype(np.float32), 1.0)
    rings = [
        shapely.LinearRing((line[:, ::-1] - 3) * STEP + STEP / 2)
        for line in find_contours(smooth, 0.5)
        if len(line) > 3
    ]
    if not rings:
        return []
    whole = shapely.build_area(shapely.GeometryCollection(rings)).simplify(TOLERANCE)
    parts = shapely.get_parts(shapely.make_valid(whole))
    return sorted((part for part in parts if part.geom_type == "Polygon" and part.area > 0), key=lambda p: p.bounds)
