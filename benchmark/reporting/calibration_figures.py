"""Figures of one run: reliability diagrams, decision curve, stability of the threshold at 100 % sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.calibrated import Kind, Level
from benchmark.metrics.calibration_report import DecisionCurve
from benchmark.metrics.threshold_stability import Stability
from benchmark.reporting.style import BLUE, FAINT, INK, ORANGE, VERMILION, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

TITLES: Mapping[Kind, str] = {"unit": "Units", "cell": "Cells"}


def reliability(levels: Mapping[Kind, Level], before: Mapping[Kind, Level], *, title: str) -> Figure | None:
    """A panel per level that has scores: observed share of positives against mean score, a point per bin.

    Bars are 95 % intervals of the share; `before`: the scores before they were scaled. None where no level has any.
    """
    shown = [kind for kind, level in levels.items() if level.bins]
    if not shown:
        return None
    drawn = figure(4.4 * len(shown) + 0.4, 5.2)
    _headline(drawn, title, 50 * len(shown))
    for number, kind in enumerate(shown, start=1):
        axes = drawn.add_subplot(1, len(shown), number)
        level, raw = levels[kind], before.get(kind)
        plain(axes, title=TITLES[kind], x="mean score of the bin", y="share of positives in the bin")
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="calibrated")
        if raw is not None and raw.bins:
            _points(axes, raw, ORANGE, f"before scaling: ECE {raw.values['ece']:.3f}", marker="D")
        name = "after scaling: ECE" if raw is not None and raw.bins else "ECE"
        _points(axes, level, BLUE, f"{name} {level.values['ece']:.3f}, Brier {level.values['brier']:.3f}")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axes.legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none", labelcolor=INK)
    counts = ", ".join(f"{sum(b.count for b in levels[k].bins):,} {TITLES[k].lower()}".replace(",", " ") for k in shown)
    _footnote(drawn, f"{counts}; bins of equal mass, 95 % intervals")
    return drawn


def _points(axes: Axes, level: Level, colour: str, label: str, marker: str = "o") -> None:
    scores, shares = [bin_.score for bin_ in level.bins], [bin_.share for bin_ in level.bins]
    for bin_ in level.bins:
        if bin_.low is not None and bin_.high is not None:
            axes.plot([bin_.score] * 2, [bin_.low, bin_.high], color=colour, linewidth=1.2, alpha=0.55, zorder=2)
    axes.plot(scores, shares, color=colour, linewidth=1.2, marker=marker, markersize=5, label=label, zorder=3)


def decision(curve: DecisionCurve, *, title: str) -> Figure:
    """Net benefit over the threshold probability, of the score, of acting on every slide and on none."""
    from matplotlib.ticker import PercentFormatter

    drawn = figure(5.8, 4.6)
    axes = drawn.add_subplot()
    plain(axes, title=fill(title, 56), x="threshold probability", y="net benefit per slide")
    if curve.low:
        axes.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(curve.thresholds, curve.score, color=BLUE, linewidth=2, label="act by the score", zorder=3)
    axes.plot(curve.thresholds, curve.everybody, color=VERMILION, linewidth=1.5, label="act on every slide")
    axes.axhline(0, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="act on none")
    highest = max(max(curve.everybody), max(curve.high or curve.score))
    axes.set(xlim=(0, 1), ylim=(-0.4 * highest, 1.12 * highest))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="upper right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none", labelcolor=INK)
    _footnote(drawn, "band: 95 % over patients; curves below the frame are worth less than acting on none")
    return drawn


def stability(found: Stability, labels: NDArray[np.int8], scores: NDArray[np.floating], *, title: str) -> Figure:
    """The scores of positive and negative units, and where resamples of patients put the threshold."""
    drawn = figure(6.4, 3.2)
    axes = drawn.add_subplot()
    plain(axes, title=fill(title, 62), x="score")
    for height, (label, colour) in enumerate(((0, FAINT), (1, BLUE)), start=1):
        own = scores[labels == label]
        axes.plot(own, _spread(height, own.size), linestyle="", marker="o", markersize=4, color=colour, alpha=0.6)
    box(axes, 3, found.thresholds, VERMILION)
    axes.axvline(found.threshold, color=VERMILION, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks([1, 2, 3], ["negative units", "positive units", "thresholds of\nresamples"])
    axes.set(ylim=(0.4, 3.6))
    axes.grid(False, axis="y")
    axes.use_sticky_edges = False
    axes.margins(x=0.04)
    missed = f"a threshold from {found.drawn} of {found.patients} patients misses {found.missed:.1%} of the positives"
    _footnote(drawn, f"dashed: the lowest positive score. Bar: middle 95 %, box: middle half. On average {missed}")
    return drawn


def box(axes: Axes, height: float, quantiles: Sequence[float], colour: str, width: float = 0.34) -> None:
    """A lying box of five quantiles: a line between the outer, a box between the inner, a stroke in the middle."""
    low, first, middle, third, high = quantiles
    axes.plot([low, high], [height, height], color=colour, linewidth=1.6, zorder=2, solid_capstyle="butt")
    axes.barh(height, third - first, left=first, height=width, color=colour, alpha=0.35, linewidth=0, zorder=2)
    axes.plot([middle, middle], [height - width / 2, height + width / 2], color=colour, linewidth=2.2, zorder=3)


def _spread(height: float, number: int) -> NDArray[np.float64]:
    """Heights around a line, the same every time, so that equal scores show side by side."""
    return np.asarray(height + (np.arange(number) * 0.618034 % 1 - 0.5) * 0.5, np.float64)


def _headline(drawn: Figure, title: str, width: int) -> None:
    drawn.suptitle(fill(title, width), x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")


def _footnote(drawn: Figure, text: str) -> None:
    drawn.supxlabel(fill(text, 100), x=0.02, ha="left", fontsize=8, color=FAINT)
