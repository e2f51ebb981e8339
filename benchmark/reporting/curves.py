"""Curves: the ROC of the image-level scores, and what a method logged while it learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.style import BLUE, CYCLE, FAINT, INK, VERMILION, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Entry = tuple[str, float, int | None]
"""What `Context.log` takes: name, value, step."""

COLUMNS, SMOOTH_FROM = 3, 80


def roc(
    labels: NDArray[np.int8],
    scores: NDArray[np.floating],
    *,
    title: str,
    auc: float,
    interval: tuple[float, float] | None = None,
) -> Figure:
    """The ROC curve with the point of 100 % sensitivity marked.

    Args:
        labels: n units, 1 positive, 0 negative; both must occur, else there is no curve (`ValueError`).
        scores: n, higher is more positive.
        title: over the axes.
        auc: area under the curve, for the legend.
        interval: its 95 % interval, for the legend.
    """
    from matplotlib.ticker import PercentFormatter

    positive, negative = scores[labels == 1], scores[labels == 0]
    if not positive.size or not negative.size:
        raise ValueError("a ROC curve needs positive and negative units")
    false_alarms, hits = roc_points(labels, scores)
    threshold = float(positive.min())
    specificity = float((negative < threshold).mean())
    drawn = figure(5.6, 5.2)
    axes = drawn.add_subplot()
    plain(axes, title=title, x="1 − specificity", y="sensitivity")
    within = f" (95 %: {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="chance")
    axes.plot(false_alarms, hits, color=BLUE, linewidth=2, label=f"AUC {auc:.3f}{within}", clip_on=False, zorder=3)
    mark = f"100 % sensitivity: specificity {specificity:.1%} at score ≥ {threshold:.3g}"
    axes.plot([1 - specificity], [1], "o", color=VERMILION, markersize=8, label=mark, clip_on=False, zorder=4)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="none", labelcolor=INK)
    _footnote(drawn, f"{positive.size} positive and {negative.size} negative units")
    return drawn


def roc_points(
    labels: NDArray[np.int8], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False positive rate and sensitivity at every threshold, from (0, 0) to (1, 1); tied scores are one point."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(labels[order] == 1)[last]
    wrong = np.cumsum(labels[order] == 0)[last]
    return np.append(0.0, wrong / wrong[-1]), np.append(0.0, found / found[-1])


def history(entries: Sequence[Entry], *, title: str) -> Figure | None:
    """Small multiples of everything logged with steps: a panel per name, a colour per prefix; None if there is nothing.

    `segmenter/loss` is a panel among those of "segmenter". Entries without a step are single numbers, which
    belong in a table, and are left out.
    """
    series: dict[str, list[tuple[int, float]]] = {}
    for name, value, step in entries:
        if step is not None:
            series.setdefault(name, []).append((step, value))
    if not series:
        return None
    blocks = list(dict.fromkeys(_block(name) for name in series))
    names = sorted(series, key=lambda name: blocks.index(_block(name)))
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    drawn = figure(max(4.6, 3.4 * columns), 2.3 * lines + 0.4)
    drawn.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
    for number, name in enumerate(names, start=1):
        colour = CYCLE[blocks.index(_block(name)) % len(CYCLE)]
        _series(drawn.add_subplot(lines, columns, number), name, sorted(series[name]), colour)
    return drawn


def _block(name: str) -> str:
    return name.partition("/")[0]


def _series(axes: Axes, name: str, points: list[tuple[int, float]], colour: str) -> None:
    """One panel. Long series are shown faintly with a running mean over a twentieth of them."""
    from matplotlib.ticker import MaxNLocator

    prefix, _, last = name.rpartition("/")
    plain(axes, title=f"{prefix} · {last}" if prefix else last, x="step")
    steps, values = np.array([step for step, _ in points]), np.array([value for _, value in points])
    if len(points) < SMOOTH_FROM:
        axes.plot(steps, values, color=colour, linewidth=1.6, marker="o" if len(points) < 20 else "", markersize=3.5)
    else:
        width = len(points) // 20
        kernel = np.ones(width) / width
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.35)
        middle = np.convolve(values, kernel, mode="valid")
        axes.plot(steps[width // 2 :][: middle.size], middle, color=colour, linewidth=1.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.margins(x=0.03)


def _footnote(drawn: Figure, text: str) -> None:
    drawn.supxlabel(text, x=0.02, ha="left", fontsize=8, color=FAINT)
