"""Whole-slide-like images composed of tissue: malignant glands are the lesion, benign pictures the normal tissue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import Polygons
from benchmark.dataset import TissueSource
from benchmark.errors import DataError
from benchmark.seeds import generator

from .album import Picture, pictures_of
from .glass import Glass
from .mosaic import OVERLAP, choose_patients, cover
from .outline import Truth, draw_truth
from .pieces import Pieces, Tile
from .scene import Scene
from .slide_layout import Layout, draw_layout
from .smooth_fields import UNIT, cloud, grain

VERSION = 2
"""Raised whenever the same seed composes other pixels."""

SMALLEST = 1024
"""Side in px below which a slide cannot hold lesion and normal tissue."""

LEAST, MOST = 0.10, 0.60
"""The truth covers between these shares of the tissue."""

ATTEMPTS = 12
"""Layouts that are drawn until the truth is neither too small nor too large."""


@dataclass(frozen=True, eq=False)
class ComposedSlide:
    """A composed slide whose pixels are made when they are asked for."""

    size: tuple[int, int]
    mpp: float
    lesion: Polygons
    """The expert truth, label 1, in level-0 px; see `outline.draw_truth`."""
    patients: tuple[str, ...]
    """Patients whose tissue it shows."""
    notes: tuple[str, ...]
    tissue_share: float
    """Tissue, of the slide's area."""
    lesion_share: float
    """Lesion, of the tissue's area."""
    scene: Scene

    def bands(self) -> Iterator[NDArray[np.uint8]]:
        """The pixels in full-width RGB strips, top to bottom; the same every time."""
        return self.scene.bands()


def compose_slide(
    tissue: TissueSource, *, side: int, seed: int, lesions: bool, pieces: Pieces | None = None
) -> ComposedSlide:
    """Compose a square slide of `side` px from `tissue`, the same for the same arguments.

    Glass, one to three sections of irregular outline, and with `lesions` several lesions of different size that
    make up 10 to 60 % of the tissue. Pictures are turned by multiples of 90° and mirrored, never scaled; stains
    stay as they are. Seams between pictures wander, run round glands where they can, and are soft. `pieces` keeps the
    pictures of a source ready for its next slide.

    Raises `DataError` for a side below `SMALLEST`, a source without pictures of a class that is needed, or where
    no layout succeeds.
    """
    if side < SMALLEST:
        raise DataError(f"side = {side}: a composed slide has at least {SMALLEST} px", fix=f"--side {SMALLEST}")
    pictures = pictures_of(tissue, side=side, seed=seed, lesions=lesions)
    rng = generator("compose", VERSION, seed, "patients")
    normal, lesion = choose_patients(rng, pictures)
    chosen = [p for p in pictures if p.patient in (lesion if p.positive else normal)]
    pieces = pieces or Pieces()
    for attempt in range(ATTEMPTS):
        scene = _scene(side, seed, attempt, chosen, pieces, lesions)
        truth = draw_truth(scene, tissue.mpp)
        if not lesions or LEAST <= truth.lesion_share <= MOST:
            shown = sorted({tile.picture.patient for tile in scene.tiles})
            notes = _notes(scene, truth)
            return ComposedSlide(
                (side, side),
                tissue.mpp,
                truth.lesion,
                tuple(shown),
                notes,
                truth.tissue_share,
                truth.lesion_share,
                scene,
            )
    raise DataError(
        f"seed {seed}: none of {ATTEMPTS} layouts of {side} px has {LEAST:.0%} to {MOST:.0%} lesion in its tissue",
        fix="choose another --seed or a larger --side",
    )


def _scene(side: int, seed: int, attempt: int, pictures: list[Picture], pieces: Pieces, lesions: bool) -> Scene:
    rng = generator("compose", VERSION, seed, "scene", attempt)
    layout = draw_layout(rng, side, lesions=lesions)
    tiles = [tile for positive in (False, True) for tile in _layer(rng, layout, pictures, pieces, positive)]
    points = layout.tissue.shape
    drifts = cloud(rng, (points[0], points[1]), 7.0), cloud(rng, (points[0], points[1]), 3.0)
    return Scene(side, layout, tuple(tiles), drifts, grain(rng, 512, 7.0), Glass.draw(rng, side), pieces)


def _layer(
    rng: np.random.Generator, layout: Layout, pictures: list[Picture], pieces: Pieces, positive: bool
) -> list[Tile]:
    """The tiles of normal or of lesion pictures, each a little beyond the border between the two."""
    own = [picture for picture in pictures if picture.positive == positive]
    near = layout.lesion > -2 * OVERLAP if positive else layout.lesion < 2 * OVERLAP
    need = near & (layout.tissue > -UNIT)
    return cover(rng, need, own, pieces) if need.any() else []


def _notes(scene: Scene, truth: Truth) -> tuple[str, ...]:
    parts = [
        (kind, sorted({tile.picture.patient for tile in scene.tiles if tile.picture.positive == positive}))
        for kind, positive in (("normal", False), ("lesion", True))
    ]
    notes = [f"{kind} tissue of {', '.join(names)}" for kind, names in parts if names]
    notes.append(f"{truth.lesion.count()} lesions, {truth.lesion_share:.0%} of the tissue")
    return tuple(notes)
