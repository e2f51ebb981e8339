"""On which slides, and on which of their cells, two runs decide differently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import DataError
from benchmark.reporting.cells import Classes
from benchmark.reporting.comparison.comparison_facts import SlideGap
from benchmark.reporting.paired import values
from benchmark.slides import Grid, ScoreMap
from benchmark.stored import Maps

if TYPE_CHECKING:
    from pandas import DataFrame

Track = Callable[[Iterable[str]], Iterable[str]]


def decision(maps: Maps) -> tuple[Grid, Classes]:
    """The grid of a slide and the decision per cell: 1 positive, 0 negative, −1 not scored.

    The method's own mask where it gave one, else score > 0.5. Raises `DataError` for a map that cannot be read.
    """
    scores = ScoreMap.load(maps.scores)
    own = ScoreMap.load(maps.deciding)
    if own.values.shape != scores.values.shape:
        raise DataError(f"{maps.mask} has {own.values.shape} cells, the scores have {scores.values.shape}")
    return scores.grid, np.where(np.isnan(scores.values), -1, own.values > 0.5).astype(np.int8)


def slide_gaps(
    metric: str, tables: tuple[DataFrame, DataFrame], maps: Mapping[str, tuple[Maps, Maps]], track: Track = iter
) -> list[SlideGap]:
    """One entry per slide that both runs have in their tables or among their score maps, in the order of `one`."""
    one, other = (values(table, metric) for table in tables)
    listed = [list(table.get("slide", ())) for table in tables]
    names = [slide for slide in dict.fromkeys((*listed[0], *maps)) if slide in listed[1] or slide in maps]
    return [_compared(SlideGap(slide, one.get(slide), other.get(slide)), maps.get(slide)) for slide in track(names)]


def most(gaps: Sequence[SlideGap], count: int) -> tuple[tuple[SlideGap, ...], tuple[SlideGap, ...]]:
    """The `count` slides with the largest difference of the metric, and those with the largest share of cells.

    Slides on which there is no difference are not among them; ties go by the name of the slide.
    """
    by_metric = sorted((gap for gap in gaps if gap.difference), key=lambda gap: (-abs(gap.difference or 0), gap.slide))
    by_share = sorted((gap for gap in gaps if gap.share), key=lambda gap: (-(gap.share or 0), gap.slide))
    return tuple(by_metric[:count]), tuple(by_share[:count])


def _compared(gap: SlideGap, maps: tuple[Maps, Maps] | None) -> SlideGap:
    if maps is None:
        return replace(gap, note="no score map in both")
    try:
        (grid, first), (same, second) = decision(maps[0]), decision(maps[1])
    except DataError as error:
        return replace(gap, note=error.what)
    if grid.digest != same.digest:
        return replace(gap, note="scored on different grids")
    both = (first >= 0) & (second >= 0)
    return replace(gap, cells=int(both.sum()), differing=int((both & (first != second)).sum()))
