"""The picture of a test slide: tissue, truth, decision and scores side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.two_class_annotation import positive_cells
from benchmark.reporting import overlays

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.dataset import Dataset
    from benchmark.slides import ScoreMap, Slide

SIDE, LEAST = 1000, 540
"""Pixels of the longer side of a part, and of its width at least: the legend below two of them has room."""
RANKED_BY = "pixel/dice"


def slide_picture(
    dataset: Dataset,
    slide: Slide,
    scores: ScoreMap,
    decided: NDArray[np.bool_],
    *,
    coarse: bool,
    row: Mapping[str, Any],
    side: int = SIDE,
) -> NDArray[np.uint8]:
    """Draw a slide; rows × columns × 3.

    Args:
        dataset: gives the truth, where the slide is annotated.
        slide: its tissue is read at `side` pixels.
        scores: on the evaluation grid.
        decided: the mask that the figures were computed with, on the same grid.
        coarse: also draw the coarse annotation, for methods that start from it.
        row: the slide's figures, of which mIoU and Dice are shown.
        side: pixels of the longer side.
    """
    found = np.where(np.isnan(scores.values), -1, decided).astype(np.int8)
    known = dataset.annotated(slide)

    def positive(annotation: Annotation) -> NDArray[np.int8]:
        return positive_cells(annotation.labels(scores.grid), dataset.positive).astype(np.int8)

    shown = {"mIoU": row.get("pixel/miou"), "Dice": row.get(RANKED_BY)}
    tissue = _wide_enough(slide.thumbnail(side))
    return overlays.overlay(
        tissue,
        positive(dataset.truth(slide)) if known else None,
        found,
        title=slide.id,
        scores={name: value for name, value in shown.items() if value is not None},
        columns=2,
        coarse=positive(dataset.coarse(slide)) if known and coarse else None,
        place=(scores.grid, slide.size),
    )


def _wide_enough(tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels, enlarged where the slide is narrow."""
    from PIL import Image

    height, width = tissue.shape[:2]
    if width >= LEAST:
        return tissue
    return np.asarray(Image.fromarray(tissue).resize((LEAST, round(height * LEAST / width)), Image.Resampling.LANCZOS))
