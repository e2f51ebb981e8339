"""What the labels of a training slide will count, before they are handed out: for the plan of a budget in minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from benchmark.slides import Grid
from benchmark.supervision import COUNTERS, Supervision, tiles_within

if TYPE_CHECKING:
    from pydantic import BaseModel

    from benchmark.context import Geometry
    from benchmark.slides import Slide


def announced_counts(
    kinds: frozenset[Supervision], params: BaseModel, slide: Slide, geometry: Geometry
) -> Mapping[str, int]:
    """Counter of the ledger → how many labels of it a method of these kinds is given of a slide.

    IMAGE: the units. FULL: the pixels. PATCH: the windows of `patch_side` at `patch_stride` where the parameters have
    these, else the recommended patches. Of a patch set, tiles are counted instead of pixels and windows. What has a
    limit of its own (PIXEL, REVIEW) or is given of the slides that are scored (COARSE) is not among them.
    """
    counts: dict[str, int] = {}
    for kind in kinds & {Supervision.IMAGE, Supervision.PATCH, Supervision.FULL}:
        tiles = None if kind is Supervision.IMAGE else tiles_within(slide)
        if tiles is not None and kind is Supervision.FULL:
            kind, number = Supervision.PATCH, tiles
        elif kind is Supervision.FULL:
            number = slide.size[0] * slide.size[1]
        else:
            grid = geometry.unit_grid(slide) if kind is Supervision.IMAGE else _patches(params, slide, geometry)
            number = grid.rows * grid.cols
        counts[COUNTERS[kind]] = counts.get(COUNTERS[kind], 0) + number
    return counts


@dataclass(frozen=True)
class Reviews:
    """How many reviews a method asks for, None where it goes on until nothing is left, and how many it begins with."""

    total: int | None
    first: int = 0


def announced_reviews(params: BaseModel, classes: int) -> Reviews:
    """`sessions` · `rounds` · `reviews` after `queries` of each class, where the parameters have these."""
    first = (getattr(params, "queries", None) or 0) * classes
    steps = [getattr(params, name, None) for name in ("sessions", "rounds", "reviews")]
    return Reviews(None if None in steps else prod(step or 0 for step in steps) + first, first)


def _patches(params: BaseModel, slide: Slide, geometry: Geometry) -> Grid:
    side, stride = getattr(params, "patch_side", None), getattr(params, "patch_stride", None)
    if side is None or stride is None:
        return geometry.patch_grid(slide)
    return Grid.windows(slide.size, side, stride)
