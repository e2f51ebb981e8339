"""Scoring a slide: a pass of the patch model, then the slide model on the top K patches of each unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.learning.mil.cohort import lattice_of
from benchmark.learning.mil.top import top
from benchmark.method import Prediction
from benchmark.slides import ScoreAccumulator, ScoreMap

from .e_step import look
from .hybrid_nets import enlarged, probabilities
from .hybrid_params import PixelParams

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

    from .hybrid_nets import PatchModel
    from .slide_model import SlideModel


def score_slide(
    patch_model: PatchModel,
    slide_model: SlideModel,
    slide: Slide,
    params: PixelParams,
    context: Context,
    *,
    side: int,
    threshold: float | None,
) -> Prediction:
    """Score map and unit scores of one slide. What is held is one batch of patches and one number per patch.

    The map is the mean, per cell of the evaluation grid, of all pixel probabilities of θ1 that fall into it. A unit
    without any tissue patch scores 0, and the slide's note says so.
    """
    lattice = lattice_of(slide, params, context, side)
    evaluation = context.geometry.evaluation_grid(slide)
    scores = ScoreAccumulator(evaluation)
    highest = np.full(lattice.tissue.size, -np.inf, np.float32)
    for numbers, logits in look(patch_model, lattice, params.score_batch):
        highest[numbers] = logits.max(axis=(1, 2))
        for number, tile in zip(numbers.tolist(), enlarged(probabilities(logits), lattice.grid.width), strict=True):
            scores.add(*lattice.corner(number), tile)
    units = np.zeros(lattice.units.shape, np.float32)
    scored: dict[int, float] = {}
    empty = 0
    for row, col in np.ndindex(units.shape):
        members = lattice.members(row, col)
        chosen = top(highest[members], members, params.top_patches)
        empty += not chosen
        new = [number for number in chosen if number not in scored]
        if new:
            values = slide_model.probabilities(np.stack([lattice.read(number) for number in new]))
            scored.update(zip(new, values.tolist(), strict=True))
        if chosen:
            units[row, col] = np.mean([scored[number] for number in chosen], dtype=np.float64)
    notes = (f"no tissue patch in {empty} of {units.size} units: scored 0",) if empty else ()
    score_map = scores.finish()
    return Prediction(score_map, units, mask=_mask(score_map, threshold), notes=notes)


def _mask(scores: ScoreMap, threshold: float | None) -> NDArray[np.bool_] | None:
    return None if threshold is None else np.nan_to_num(scores.values, nan=0.0) > threshold
