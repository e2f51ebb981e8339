"""The paper's inclusion rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cases import Case
    from .wsi_dataset import WsiDataset

LOWEST, HIGHEST = 0.1, 0.9
"""Lesion cells over tissue cells. Source: LC-MIL IV; the paper does not say of what the ratio is taken."""


def lesion_share(dataset: WsiDataset, case: Case) -> float:
    """Share of the tissue cells that hold a lesion. Raises `DataError`."""
    slide = dataset.slide(case.id)
    grid = dataset.evaluation_grid(slide)
    tissue = dataset.tissue(slide, grid)
    return float((dataset.truth(slide).labels(grid) > 0)[tissue].mean())


def exclusion(dataset: WsiDataset, case: Case) -> str | None:
    """Why the rule leaves a slide out; None when it stays."""
    if not case.exhaustive:
        return "not exhaustively annotated"
    share = lesion_share(dataset, case) if case.lesion else 0.0
    if LOWEST <= share <= HIGHEST:
        return None
    return f"lesion in {share:.1%} of the tissue cells, not in {LOWEST:.0%} to {HIGHEST:.0%}"
