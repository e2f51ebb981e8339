"""What is drawn on the unit square: ROC curves, and F1 after refinement against F1 before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.style import FAINT, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

Floats = NDArray[np.float64]
BEFORE, AFTER = "coarse_f1", "pixel/f1"
"""Columns of a slide's row: F1 of its coarse annotation, and of the prediction."""


def roc_axes(axes: Axes, *, title: str = "", chance: str = "") -> None:
    """Axes in percent with the diagonal, which the legend calls `chance`."""
    from matplotlib.ticker import PercentFormatter

    plain(axes, title=title, x="1 − specificity", y="sensitivity")
    _diagonal(axes, chance)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))


def draw_roc(axes: Axes, labels: NDArray[np.int8], scores: NDArray[np.floating], curve: Any, mark: Any) -> None:
    """One ROC curve, with the point of 100 % sensitivity marked.

    Args:
        axes: as `roc_axes` makes them.
        labels: n units, 1 positive, 0 negative; both must occur, else there is no curve (`ValueError`).
        scores: n, higher is more positive.
        curve: how matplotlib draws the line.
        mark: how it draws the point.
    """
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise ValueError("a ROC curve needs positive and negative units")
    false_alarms, hits = roc_points(labels, scores)
    axes.plot(false_alarms, hits, clip_on=False, **{"zorder": 3, **curve})
    axes.plot([1 - specificity_at_100(labels, scores)], [1], clip_on=False, **{"zorder": 4, **mark})


def roc_points(labels: NDArray[np.int8], scores: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """False positive rate and sensitivity at every threshold, from (0, 0) to (1, 1); tied scores are one point."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(labels[order] == 1)[last]
    wrong = np.cumsum(labels[order] == 0)[last]
    return np.append(0.0, wrong / wrong[-1]), np.append(0.0, found / found[-1])


def specificity_at_100(labels: NDArray[np.int8], scores: NDArray[np.floating]) -> float:
    """The share of negative units below the lowest positive score."""
    return float((scores[labels == 0] < scores[labels == 1].min()).mean())


def gain_axes(axes: Axes, *, title: str = "", diagonal: str = "") -> None:
    """Axes of F1 before and after refinement; above the diagonal, which the legend calls `diagonal`, it gained."""
    plain(axes, title=title, x="F1 of the coarse annotation", y="F1 after refinement")
    _diagonal(axes, diagonal)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def draw_gain(axes: Axes, slides: DataFrame, **style: Any) -> None:
    """A mark per slide; `slides` as `slides_with_gain` gives them, `style` as matplotlib's scatter takes it."""
    axes.scatter(slides[BEFORE], slides[AFTER], **{"alpha": 0.75, "zorder": 3, **style})


def slides_with_gain(table: DataFrame) -> DataFrame:
    """The slides of a table that have F1 before and after, by F1 before."""
    if not {BEFORE, AFTER} <= set(table.columns):
        return table.iloc[:0]
    known = table.dropna(subset=[BEFORE, AFTER])
    return known.astype({BEFORE: float, AFTER: float}).sort_values([BEFORE, AFTER], kind="stable")


def gained_and_lost(slides: DataFrame) -> tuple[int, int]:
    """Slides above and below the diagonal."""
    return int((slides[AFTER] > slides[BEFORE]).sum()), int((slides[AFTER] < slides[BEFORE]).sum())


def _diagonal(axes: Axes, label: str) -> None:
    # matplotlib keeps what begins with an underscore out of the legend
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label=label or "_diagonal")
