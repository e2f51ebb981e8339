"""The threshold at 100 % sensitivity of every row: where each seed puts it, and where resamples of patients do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.reporting.leaderboard.standings_model import Row
from benchmark.reporting.report.charts import WIDTH, legible
from benchmark.reporting.report.looks import Look
from benchmark.reporting.style import PAPER, figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLD = "calibration/threshold"


class Spread(NamedTuple):
    """A seed's threshold, and the middle 95 % of those that resamples of its patients choose."""

    seed: int
    threshold: float
    low: float
    high: float


def spreads(row: Row) -> list[Spread]:
    """One per seed whose run has them."""
    names = (THRESHOLD, f"{THRESHOLD}.low", f"{THRESHOLD}.high")
    return [
        Spread(seed, *(run.metrics[name] for name in names))
        for seed, run in zip(row.seeds, row.runs, strict=True)
        if all(name in run.metrics for name in names)
    ]


def threshold_chart(rows: Sequence[tuple[Look, Sequence[Spread]]]) -> Figure:
    """A lying bar per seed, from the first to the last row downwards; the mark is the seed's own threshold."""
    from matplotlib.ticker import MaxNLocator

    lines = sum(len(seeds) + 1 for _, seeds in rows)
    drawn = figure(WIDTH, max(2.0, 0.9 + 0.2 * lines))
    axes = drawn.add_subplot()
    plain(axes, x="score")
    legible(axes)
    height = 0.0
    for look, seeds in rows:
        for spread in seeds:
            axes.plot([spread.low, spread.high], [height] * 2, color=look.colour, linewidth=3, alpha=0.45)
            mark: dict[str, Any] = {
                "marker": look.marker,
                "color": look.colour,
                "markeredgecolor": PAPER,
                "markersize": 9,
            }
            axes.plot([spread.threshold], [height], linestyle="", zorder=3, **mark)
            height -= 1
        height -= 1
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.margins(x=0.06, y=0.1 if lines > 4 else 0.3)
    return drawn


def words(name: str, seeds: Sequence[Spread]) -> str:
    """`abmil: 0.1213 to 0.2001 over 3 seeds; resamples up to 0.51`."""
    own = [spread.threshold for spread in seeds]
    over = f"{min(own):.4g} to {max(own):.4g} over {len(own)} seeds" if len(own) > 1 else f"{own[0]:.4g}, one seed"
    return f"{name}: {over}; resamples up to {max(spread.high for spread in seeds):.4g}"
