"""The patches with a fine mask (paper: 200, all of positive slides), and where they overrule pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.learning.mil.cohort import Cohort

from .hybrid_params import PixelParams

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View


@dataclass(frozen=True, eq=False)
class FinePatch:
    """`slide`: its place in the cohort. `number`: in the lattice. `labels`: 1 positive, 0 not, side × side."""

    slide: int
    number: int
    labels: NDArray[np.float32]


def fine_patches(train: View, cohort: Cohort, params: PixelParams, context: Context) -> list[FinePatch]:
    """At most `fine_patches` masks (and `fine_negatives` without lesion), evenly over the positive slides.

    Raises `DataError` when there is none, or when a mask does not have the size of its patch.
    """
    positive = sorted({unit.slide for unit in cohort.units if unit.positive})
    drawn = [place for place in positive if train.labels.drawn(cohort.slide(place))]
    if len(drawn) < len(positive):
        context.reporter.say(f"fine masks: {len(drawn)} of {len(positive)} positive training slides are annotated")
    fine = _spread(drawn, params.fine_patches, train, cohort, params, context, lesion=True)
    if not fine:
        counts = f"{len(positive)} training slides are positive, {len(drawn)} of them annotated"
        raise DataError(
            f"no fine masks: {counts}, and none of their tissue patches holds lesion",
            fix="bench run --method topk-mil …",
        )
    if len(fine) < params.fine_patches:
        context.reporter.say(f"fine masks: {len(fine)} of {params.fine_patches}; there are no more patches with lesion")
    return fine + _spread(drawn, params.fine_negatives, train, cohort, params, context, lesion=False)


def _spread(
    slides: list[int], wanted: int, train: View, cohort: Cohort, params: PixelParams, context: Context, *, lesion: bool
) -> list[FinePatch]:
    """Every slide in a random order gives an equal share of what is still wanted."""
    rng = context.generator("fine", str(lesion))
    fine: list[FinePatch] = []
    order = rng.permutation(slides).tolist() if wanted else []
    for place, slide in enumerate(order):
        share = -(-(wanted - len(fine)) // (len(order) - place))
        if share > 0:
            fine += _of_slide(slide, share, train, cohort, params, rng, lesion=lesion)
    return fine


def _of_slide(
    slide: int, share: int, train: View, cohort: Cohort, params: PixelParams, rng: np.random.Generator, *, lesion: bool
) -> list[FinePatch]:
    lattice = cohort.lattices[slide]
    where = np.zeros(lattice.tissue.size, np.bool_)
    for unit in cohort.units:
        if unit.slide == slide and unit.positive:
            where[unit.numbers] = True
    if lesion and params.fine_choice == "random":
        numbers = rng.permutation(np.flatnonzero(where))[:share].tolist()
        extent = lattice.grid.width
        masks = [train.labels.pixel(lattice.slide, *lattice.corner(number), extent, extent) for number in numbers]
    else:
        chosen = train.labels.chosen(
            lattice.slide, lattice.grid, share, rng, where=where.reshape(lattice.tissue.shape), lesion=lesion
        )
        numbers = [row * lattice.grid.cols + col for row, col, _ in chosen]
        masks = [mask for _, _, mask in chosen]
    return [FinePatch(slide, n, soft(mask, cohort, slide, n)) for n, mask in zip(numbers, masks, strict=True)]


def soft(mask: NDArray[np.int8], cohort: Cohort, slide: int, number: int) -> NDArray[np.float32]:
    """A mask in level-0 px as labels of the patch's own pixels. Raises `DataError` when their sizes differ."""
    lattice = cohort.lattices[slide]
    extent = lattice.grid.width
    if mask.shape != (extent, extent):
        x, y = lattice.corner(number)
        where = f"the fine mask of patch ({x}, {y}) of slide {lattice.slide.id!r}"
        raise DataError(f"{where} has {mask.shape[1]} × {mask.shape[0]} px, the patch {extent} × {extent}")
    index = ((np.arange(lattice.side) + 0.5) * extent / lattice.side).astype(np.int64)
    return (mask[index[:, None], index[None, :]] > 0).astype(np.float32)


def overridden(labels: NDArray[np.float32], slide: int, number: int, fine: list[FinePatch], cohort: Cohort) -> None:
    """Where a pseudo-labelled patch overlaps a fine mask of the same slide, the fine pixels win; in place."""
    lattice = cohort.lattices[slide]
    scale, side = lattice.grid.width / lattice.side, lattice.side
    x, y = lattice.corner(number)
    for patch in fine:
        if patch.slide != slide:
            continue
        other_x, other_y = lattice.corner(patch.number)
        dx, dy = round((other_x - x) / scale), round((other_y - y) / scale)
        if abs(dx) < side and abs(dy) < side:
            here = (slice(max(0, dy), side + min(0, dy)), slice(max(0, dx), side + min(0, dx)))
            there = (slice(max(0, -dy), side + min(0, -dy)), slice(max(0, -dx), side + min(0, -dx)))
            labels[here] = patch.labels[there]
