"""Quality over the number of reviews, a line per strategy with a band over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.effort import Curve, area, reviews_to
from benchmark.reporting.report.charts import WIDTH, legible
from benchmark.reporting.report.looks import Look
from benchmark.reporting.style import FAINT, figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = ("held_out", "unreviewed", "delivered")
"""Of which cells the metric is, the first that all runs have; see `docs/methods/interactive.md`."""
METRIC = "f1_macro"
CEILINGS = ("class/f1_macro", "pixel/f1_macro")
"""The same metric of a fully supervised row: over all classes, or over two where no row has that."""
SHARE = 0.95
"""Of the ceiling, which reviews are counted to."""


@dataclass(frozen=True, eq=False)
class Band:
    """The curves of a row's seeds at the reviews that all of them have.

    `mean` over seeds and, of two or more, `half` the width of its 95 % t-interval.
    """

    look: Look
    reviews: NDArray[np.int64]
    mean: NDArray[np.float64]
    half: NDArray[np.float64] | None
    curves: tuple[Curve, ...]

    @classmethod
    def of(cls, look: Look, curves: Sequence[Curve]) -> Band | None:
        """None where the seeds share no number of reviews."""
        from scipy.stats import t

        points = [dict(curve) for curve in curves]
        shared = sorted(set(points[0]).intersection(*points[1:])) if points else []
        if not shared:
            return None
        values = np.array([[each[reviews] for reviews in shared] for each in points])
        half = None
        if (seeds := len(values)) > 1:
            half = t.ppf(0.975, seeds - 1) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
        return cls(look, np.array(shared), values.mean(axis=0), half, tuple(curves))

    def words(self, goal: float | None) -> str:
        """Area under the curve, and reviews to the goal, by the mean over seeds."""
        mean: Curve = list(zip(self.reviews.tolist(), self.mean.tolist(), strict=True))
        text = f"area {np.mean([area(curve) for curve in self.curves]):.3f}, {len(self.curves)} seeds"
        if goal is None:
            return text
        needed = reviews_to(mean, goal)
        reached = f"not reached in {self.reviews[-1]}" if needed is None else f"{needed} reviews"
        return f"{text}; {SHARE:.0%} of the ceiling: {reached}"


def shown_part(rows: Sequence[Sequence[Mapping[str, Curve]]]) -> str | None:
    """The first of `PARTS` whose curve every run of every row has."""
    runs = [run for row in rows for run in row]
    return next((part for part in PARTS if runs and all(f"{part}/{METRIC}" in run for run in runs)), None)


def effort_chart(bands: Sequence[Band], *, ceiling: float | None) -> Figure:
    """Lines with bands; the ceiling and 95 % of it as horizontal lines."""
    drawn = figure(WIDTH, 3.6)
    axes = drawn.add_subplot()
    plain(axes, x="reviews", y="macro F1")
    legible(axes)
    for band in bands:
        (line,) = axes.plot(
            band.reviews, band.mean, color=band.look.colour, linestyle=band.look.line, linewidth=1.8, zorder=3
        )
        if band.reviews.size == 1:  # a line of one point shows nothing
            line.set_marker(band.look.marker)
        if band.half is not None:
            low, high = band.mean - band.half, np.minimum(band.mean + band.half, 1.0)
            axes.fill_between(band.reviews, low, high, color=band.look.colour, alpha=0.15, linewidth=0)
    if ceiling is not None:
        axes.axhline(ceiling, color=FAINT, linewidth=1.2)
        axes.axhline(SHARE * ceiling, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlim(left=0)
    lows = np.concatenate([band.mean for band in bands])
    axes.set_ylim(max(0.0, float(lows.min()) - 0.05), min(1.0, max(float(lows.max()), ceiling or 0.0) + 0.05))
    return drawn
