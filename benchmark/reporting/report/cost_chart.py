"""A metric against what the labels cost, with the rows that no cheaper row reaches joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.durations import duration
from benchmark.reporting.report.charts import WIDTH, legible
from benchmark.reporting.report.looks import Look
from benchmark.reporting.style import FAINT, INK, PAPER, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECADES = (0.1, 1.0, 10.0, 60.0, 600.0, 6e3, 6e4, 6e5)
BETWEEN = (0.2, 0.5, 2.0, 5.0, 20.0, 30.0, 120.0, 300.0, 1200.0, 3000.0, 1.2e4, 3e4, 1.2e5, 3e5)
LONGEST = 26
"""Letters of a label."""

MARKER = 10.0
"""What a label keeps away from the middle of a marker, in pixels of `style.figure`, 120 to the inch."""

ROUNDS = 300
"""Rounds of moving the labels; a number of rounds, not of seconds, so that every machine draws the same."""

NAMED = 8
"""Up to so many points all have a label; of more, those on the line. The legend names all."""


@dataclass(frozen=True)
class CostPoint:
    """A row: what its labels cost in minutes, and its metric."""

    label: str
    look: Look
    minutes: float
    value: float
    spread: float | None = None


def front(points: Sequence[CostPoint], *, up: bool = True) -> list[CostPoint]:
    """The rows that are better than every row of the same or less cost, the cheapest first."""
    sign = 1 if up else -1
    kept: list[CostPoint] = []
    for point in sorted(points, key=lambda point: (point.minutes, -sign * point.value, point.label)):
        if not kept or sign * point.value > sign * kept[-1].value:
            kept.append(point)
    return kept


def cost_chart(points: Sequence[CostPoint], metric: str, *, up: bool = True) -> Figure:
    """The metric over label minutes: logarithmic from the cheapest labels on, linear between them and 0.

    Args:
        points: at least one.
        metric: what the y axis says.
        up: more is better.
    """
    drawn = figure(WIDTH, 3.6)
    axes = drawn.add_subplot()
    plain(axes, x="label time", y=metric)
    legible(axes)
    _time_axis(axes, [point.minutes for point in points])
    best = front(points, up=up)
    right = axes.get_xlim()[1]
    across, high = [*(point.minutes for point in best), right], [point.value for point in best]
    axes.plot(across, [*high, high[-1]], color=FAINT, linewidth=1.2, drawstyle="steps-post", zorder=2)
    for point in points:
        axes.errorbar(
            [point.minutes],
            [point.value],
            yerr=None if point.spread is None else [point.spread],
            fmt=point.look.marker,
            color=point.look.colour,
            markeredgecolor=PAPER,
            markersize=9,
            elinewidth=1.2,
            zorder=3,
        )
    low, top = min(_lows(points)), max(point.value + (point.spread or 0) for point in points)
    room = max(0.14 * (top - low), 0.02 * max(abs(top), abs(low), 1e-6))
    axes.set_ylim(low - room, top + room)
    # Labels are measured, and where they stand follows from the layout.
    drawn.draw_without_rendering()
    _named(axes, points, points if len(points) <= NAMED else best)
    return drawn


def labelled(points: Sequence[CostPoint]) -> bool:
    """True when the chart itself says the whole name of every point."""
    return len(points) <= NAMED and all(len(point.label) <= LONGEST for point in points)


def _lows(points: Sequence[CostPoint]) -> Iterator[float]:
    return (point.value - (point.spread or 0) for point in points)


def _time_axis(axes: Axes, minutes: Sequence[float]) -> None:
    positive = [value for value in minutes if value > 0]
    first, last = (min(positive), max(positive)) if positive else (1.0, 10.0)
    axes.set_xscale("symlog", linthresh=first, linscale=0.7, subs=[])
    axes.set_xlim(-0.12 * first, last * max(1.5, (last / first) ** 0.15))
    seen = [tick for tick in DECADES if first <= tick <= axes.get_xlim()[1]]
    if len(seen) < 2:
        seen = [tick for tick in sorted((*DECADES, *BETWEEN)) if first <= tick <= axes.get_xlim()[1]][:4]
    ticks = [0.0, *(seen or [last])]
    axes.set_xticks(ticks, [duration(tick) for tick in ticks])
    axes.minorticks_off()


def _named(axes: Axes, points: Sequence[CostPoint], named: Sequence[CostPoint]) -> None:
    """A label beside each of `named`, moved until it covers no other label and no point."""
    from adjustText import adjust_text

    labels = [
        axes.text(point.minutes, point.value, _fitting(point.label), fontsize=9, color=INK, in_layout=False)
        for point in named
    ]
    x, y = _outlines(axes, points)
    adjust_text(
        labels,
        x=x,
        y=y,
        ax=axes,
        expand=(1.15, 1.4),
        force_text=(0.2, 0.4),
        iter_lim=ROUNDS,
        arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6},
    )


def _outlines(axes: Axes, points: Sequence[CostPoint]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X and y around the marker of every point, whose size adjustText does not know."""
    middles = axes.transData.transform([(point.minutes, point.value) for point in points])
    around = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]) * MARKER
    corners = (middles[:, None, :] + around[None, :, :]).reshape(-1, 2)
    x, y = axes.transData.inverted().transform(corners).T
    return x, y


def _fitting(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
