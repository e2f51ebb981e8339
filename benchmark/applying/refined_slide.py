"""One refined slide in figures and in a picture: before, after, what changed, which cells are in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.applying.own_layout import OwnLayout
from benchmark.applying.refine_plan import Ready
from benchmark.errors import BlankSlideError
from benchmark.method import Prediction
from benchmark.reporting import overlays
from benchmark.reporting.cells import classes_in_picture
from benchmark.reporting.overlay_page import compose
from benchmark.reporting.style import ORANGE
from benchmark.slides import Grid, Slide

DOUBTED, PICTURE = 8, 1000
"""Cells shown as doubted most; longer side of a slide in its picture, px."""
UNLIKE = 0.5
"""Share of the annotated tissue that must look alike: what label cleaning assumes (LC-MIL, Eq. 11)."""


@dataclass(frozen=True)
class Doubt:
    """A cell on the border of the decision: its centre in level-0 px, its score, and what is made of it."""

    x: int
    y: int
    score: float
    annotated: bool
    refined: bool


@dataclass(frozen=True, eq=False)
class Refined:
    """A refined slide. `figures`: areas in mm², or in cells where no resolution is known (`unit`)."""

    id: str
    path: Path
    annotation: Path
    file: Path
    unit: str
    figures: Mapping[str, float]
    doubts: tuple[Doubt, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    grid: Grid
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    tissue: NDArray[np.bool_]
    slide: Slide

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The refined annotation, rows × cols of `grid`."""
        return self.after


def summed_up(one: Ready, prediction: Prediction, mask: NDArray[np.bool_], layout: OwnLayout, file: Path) -> Refined:
    """The figures of a slide. Cells without a score keep what was drawn in neither direction: they are not counted."""
    grid, scores = prediction.scores.grid, prediction.scores.values
    try:
        tissue = layout.tissue(one.slide, grid) & np.isfinite(scores)
    except BlankSlideError:
        tissue = np.isfinite(scores)
    before = one.annotation.labels(grid) > 0
    area, unit = _cell_area(grid, one.slide.mpp)
    counts = {
        "before": before & tissue,
        "after": mask & tissue,
        "added": mask & ~before & tissue,
        "removed": before & ~mask & tissue,
    }
    figures = {name: float(np.count_nonzero(cells)) * area for name, cells in counts.items()}
    figures["tissue"] = float(np.count_nonzero(tissue)) * area
    changed = float((mask != before)[tissue].mean()) if tissue.any() else 0.0
    return Refined(
        id=one.slide.id,
        path=one.slide.path,
        annotation=one.file,
        file=file,
        unit=unit,
        figures={**figures, "changed": changed},
        doubts=_doubts(grid, scores, tissue, before, mask),
        warnings=_warnings(before, mask, tissue, prediction.notes),
        notes=(*one.notes, *prediction.notes),
        grid=grid,
        before=before,
        after=mask,
        tissue=tissue,
        slide=one.slide,
    )


def _warnings(
    before: NDArray[np.bool_], after: NDArray[np.bool_], tissue: NDArray[np.bool_], notes: tuple[str, ...]
) -> tuple[str, ...]:
    """Where the annotation breaks what label cleaning assumes, so that the result is not to be trusted."""
    inside, outside = before & tissue, ~before & tissue
    warnings = [note for note in notes if note.startswith("returned unchanged")]
    unlike = float((~after)[inside].mean()) if inside.any() else 0.0
    joined = float(after[outside].mean()) if outside.any() else 0.0
    rest = "the method assumes that most of what an annotation encloses is lesion, and most of the rest is not"
    if unlike > UNLIKE:
        warnings.append(f"{unlike:.0%} of the annotated tissue looks unlike the rest of it; {rest}: check the result")
    if joined > UNLIKE:
        warnings.append(f"{joined:.0%} of the tissue outside looks like the annotated; {rest}: check the result")
    return tuple(warnings)


def _doubts(
    grid: Grid,
    scores: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
) -> tuple[Doubt, ...]:
    """The tissue cells whose score is nearest to 0.5."""
    cells = np.argwhere(tissue)
    order = np.argsort(np.abs(scores[tissue] - 0.5), kind="stable")[:DOUBTED]
    x, y = grid.centres
    return tuple(
        Doubt(int(x[col]), int(y[row]), float(scores[row, col]), bool(before[row, col]), bool(after[row, col]))
        for row, col in cells[order].tolist()
    )


def _cell_area(grid: Grid, mpp: float | None) -> tuple[float, str]:
    across = int(grid.x[1] - grid.x[0]) if grid.cols > 1 else grid.width
    down = int(grid.y[1] - grid.y[0]) if grid.rows > 1 else grid.height
    return (1.0, "cells") if mpp is None else (across * down * mpp**2 / 1e6, "mm²")


def picture_of(refined: Refined, one: Ready, path: Path) -> None:
    """Two panels: the annotation as it was drawn; that and the refined one, with the cells doubted most."""
    slide, grid = one.slide, refined.grid
    small = slide.thumbnail(PICTURE)
    size = (small.shape[1], small.shape[0])
    box = (0.0, 0.0, float(slide.size[0]), float(slide.size[1]))
    drawn, found, doubted = (
        classes_in_picture(cells.astype(np.int8), grid, size, box)
        for cells in (refined.before, refined.after, _cells_of(refined))
    )
    before = overlays.traced(small, [(drawn, overlays.COARSE_COLOUR)])
    lines = [(drawn, overlays.COARSE_COLOUR), (found, overlays.PREDICTION_COLOUR), (doubted, ORANGE)]
    legend = {"annotation": overlays.COARSE_COLOUR, "refined": overlays.PREDICTION_COLOUR, "doubted most": ORANGE}
    panels = {"annotation": before, "annotation and refined": overlays.traced(small, lines)}
    columns = 1 if small.shape[1] > 1.5 * small.shape[0] else 2
    overlays.save(compose(panels, slide.id, {}, columns, [], legend), path)


def _cells_of(refined: Refined) -> NDArray[np.bool_]:
    cells = np.zeros(refined.grid.shape, np.bool_)
    x, y = refined.grid.centres
    for doubt in refined.doubts:
        cells[int(np.abs(y - doubt.y).argmin()), int(np.abs(x - doubt.x).argmin())] = True
    return cells
