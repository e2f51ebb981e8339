"""A metric over minutes of labelling, and over labels of each kind: a line per method with its band over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.catalogue import MetricInfo
from benchmark.reporting.budget_curves.label_curve import Floats, LabelCurve, labels_of
from benchmark.reporting.durations import duration
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.report.charts import WIDTH, legible
from benchmark.reporting.report.looks import Look, look
from benchmark.reporting.style import FAINT, PAPER, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TIMES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3000, 6000, 12_000, 30_000, 60_000, 600_000)
"""Minutes, and numbers of labels, that stand at an axis."""
NUMBERS = tuple(step * 10**power for power in range(13) for step in (1, 2, 5))


def budget_chart(
    curves: Sequence[LabelCurve], metric: MetricInfo, *, goal: float | None = None, marks: Sequence[float] = ()
) -> Figure:
    """The metric over minutes, logarithmic. `goal`: a dashed line. `marks`: minutes of crossings, dotted.

    Bands end where the metric does.
    """
    drawn = figure(WIDTH + 0.6, 4.0)
    axes = drawn.add_subplot()
    plain(axes, x="label time", y=metric.title)
    legible(axes)
    for number, curve in enumerate(curves):
        _line(axes, look(number), curve, metric.range)
    axes.set_xscale("log")
    _ticks(axes, np.concatenate([curve.minutes for curve in curves]), TIMES, duration)
    if goal is not None:
        axes.axhline(goal, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    for minutes in marks:
        axes.axvline(minutes, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    return drawn


def label_chart(curves: Sequence[LabelCurve], metric: str) -> Figure:
    """The metric over the number of labels, a panel per kind of label, each logarithmic."""
    counters = list(
        dict.fromkeys(name for curve in curves for counts in curve.counts for name, n in counts.items() if n)
    )
    drawn = figure(max(WIDTH, 3.2 * len(counters)), 3.2)
    shared: Axes | None = None
    for place, counter in enumerate(counters, start=1):
        axes = drawn.add_subplot(1, len(counters), place, sharey=shared)
        shared = shared or axes
        plain(axes, x=words.counter(counter), y=metric if place == 1 else "")
        legible(axes)
        for number, curve in enumerate(curves):
            labels, values = labels_of(curve, counter)
            style = look(number)
            axes.plot(labels, values, style.marker, color=style.colour, linestyle=style.line, markeredgecolor=PAPER)
        axes.set_xscale("log")
        used = np.array([n for curve in curves for n in labels_of(curve, counter)[0]])
        _ticks(axes, used, NUMBERS, words.count, most=4)
        axes.tick_params(labelleft=place == 1)
    return drawn


def _line(axes: Axes, style: Look, curve: LabelCurve, ends: tuple[float, float]) -> None:
    axes.plot(
        curve.minutes,
        curve.mean,
        style.marker,
        color=style.colour,
        linestyle=style.line,
        linewidth=1.8,
        markeredgecolor=PAPER,
        markersize=7,
        zorder=3,
    )
    if (half := curve.half) is not None:
        low, high = np.clip((curve.mean - half, curve.mean + half), *ends)
        axes.fill_between(curve.minutes, low, high, color=style.colour, alpha=0.15, linewidth=0)


def _ticks(axes: Axes, values: Floats, steps: Sequence[float], text: Callable[[float], str], most: int = 6) -> None:
    """Round numbers within the range of the values, at most so many."""
    low, high = float(values.min()) / 1.25, float(values.max()) * 1.25
    axes.set_xlim(low, high)
    seen = [step for step in steps if low <= step <= high]
    chosen = seen[:: -(-len(seen) // most)] if seen else [float(values.min())]
    axes.set_xticks(chosen, [text(tick) for tick in chosen])
    axes.minorticks_off()
