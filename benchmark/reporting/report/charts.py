"""Charts of the rows of a board that share axes. Legends are the page's, so that they fold on a narrow screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.curves import roc_points
from benchmark.reporting.report.looks import Look
from benchmark.reporting.style import FAINT, PAPER, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 4.7, 4.3
"""Inches of 72 units: about as wide as a telephone, where the text is then as large as it says."""

FULL = 12
"""Marks of the first row; those of the following are smaller, so that marks at one place show all."""


def roc_chart(rows: Sequence[tuple[Look, NDArray[np.int8], Floats]]) -> Figure:
    """ROC curves with the point of 100 % sensitivity marked.

    Args:
        rows: look, labels (n units, 1 positive, 0 negative; both must occur), scores (n).
    """
    from matplotlib.ticker import PercentFormatter

    drawn, axes = _square("1 − specificity", "sensitivity")
    for index, (look, labels, scores) in enumerate(rows):
        across, up = roc_points(labels, scores)
        axes.plot(across, up, color=look.colour, linestyle=look.line, linewidth=1.8, clip_on=False, zorder=3)
        size = max(6, FULL - 2 * index)
        axes.plot(
            [1 - specificity_at_100(labels, scores)],
            [1],
            look.marker,
            color=look.colour,
            markeredgecolor=PAPER,
            markersize=size,
            clip_on=False,
            zorder=4 + index,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    return drawn


def specificity_at_100(labels: NDArray[np.int8], scores: Floats) -> float:
    """The share of negative units below the lowest positive score."""
    return float((scores[labels == 0] < scores[labels == 1].min()).mean())


def scatter_chart(rows: Sequence[tuple[Look, Floats, Floats]]) -> Figure:
    """F1 after refinement against that of the coarse annotation, a mark per slide; gains are above the diagonal.

    Args:
        rows: look, F1 of the coarse annotation (n slides), F1 after (n).
    """
    drawn, axes = _square("F1 of the coarse annotation", "F1 after refinement")
    for look, before, after in rows:
        axes.scatter(before, after, s=22, marker=look.marker, color=look.colour, alpha=0.75, linewidths=0, zorder=3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return drawn


def legible(axes: Axes) -> None:
    """Axes whose text is larger than that of a picture, since a telephone shows the chart at its own size."""
    axes.tick_params(labelsize=10)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_fontsize(11)


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    """Axes with a diagonal."""
    drawn = figure(WIDTH, HEIGHT)
    axes = drawn.add_subplot()
    plain(axes, x=x, y=y)
    legible(axes)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    return drawn, axes
