"""Charts of the rows of a board that share axes. Legends are the page's, so that they fold on a narrow screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.report.looks import Look
from benchmark.reporting.style import PAPER, figure
from benchmark.reporting.unit_square import Floats, draw_gain, draw_roc, gain_axes, roc_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

WIDTH, HEIGHT = 4.7, 4.3
"""Inches of 72 units: about as wide as a telephone, where the text is then as large as it says."""

FULL = 12
"""Marks of the first row; those of the following are smaller, so that marks at one place show all."""


def roc_chart(rows: Sequence[tuple[Look, NDArray[np.int8], Floats]]) -> Figure:
    """ROC curves with the point of 100 % sensitivity marked.

    Args:
        rows: look, labels (n units, 1 positive, 0 negative; both must occur), scores (n).
    """
    drawn = figure(WIDTH, HEIGHT)
    axes = drawn.add_subplot()
    roc_axes(axes)
    legible(axes)
    for index, (look, labels, scores) in enumerate(rows):
        curve = {"color": look.colour, "linestyle": look.line, "linewidth": 1.8}
        mark = {"marker": look.marker, "linestyle": "", "color": look.colour, "markeredgecolor": PAPER}
        draw_roc(axes, labels, scores, curve, {**mark, "markersize": max(6, FULL - 2 * index), "zorder": 4 + index})
    return drawn


def gain_chart(rows: Sequence[tuple[Look, DataFrame]]) -> Figure:
    """F1 after refinement against that of the coarse annotation, a mark per slide.

    Args:
        rows: look, slides as `slides_with_gain` gives them.
    """
    drawn = figure(WIDTH, HEIGHT)
    axes = drawn.add_subplot()
    gain_axes(axes)
    legible(axes)
    for look, slides in rows:
        draw_gain(axes, slides, s=22, marker=look.marker, color=look.colour, linewidths=0)
    return drawn


def legible(axes: Axes) -> None:
    """Axes whose text is larger than that of a picture, since a telephone shows the chart at its own size."""
    axes.tick_params(labelsize=10)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_fontsize(11)
