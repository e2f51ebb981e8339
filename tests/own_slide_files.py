"""Small slides with two kinds of tissue on glass, and rough outlines of one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from benchmark.annotations import Polygons, Region, write_asap, write_geojson, write_imagescope, write_label_image
from benchmark.slides import Grid, write_pyramid

SIZE, CELL = (1024, 768), 64
LESION = (192, 192, 512, 576)
"""Left, top, right, bottom of the dark tissue."""
TISSUE = (128, 128, 896, 640)


def write_slide(path: Path, *, mpp: float | None = 0.5, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    rng = np.random.default_rng(seed)
    pixels = np.full((size[1], size[0], 3), 250, np.uint8)
    for (left, top, right, bottom), colour in ((TISSUE, (225, 150, 190)), (LESION, (120, 60, 150))):
        shape = (bottom - top, right - left, 3)
        pixels[top:bottom, left:right] = np.clip(np.array(colour) + rng.normal(0, 12, shape), 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, [pixels], size, mpp=mpp)
    return path


def box(left: float, top: float, right: float, bottom: float) -> Polygons:
    return Polygons([Region(shapely.box(left, top, right, bottom), 1)])


def rough() -> Polygons:
    """The lesion with some of what lies around it."""
    return box(192, 192, 640, 576)


def write_outline(path: Path, drawn: Polygons | None = None, kind: str = "geojson") -> Path:
    drawn = drawn or rough()
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "label-image":
        write_label_image(path, drawn, Grid.regular(SIZE, 8))
    else:
        {"geojson": write_geojson, "asap": write_asap, "imagescope": write_imagescope}[kind](path, drawn)
    return path
