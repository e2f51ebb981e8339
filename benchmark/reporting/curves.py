"""Curves: the ROC of the image-level scores, what refinement gained, and what a method logged while it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.published_points import PublishedPoint, draw_published
from benchmark.reporting.style import BLUE, CYCLE, FAINT, INK, VERMILION, figure, plain
from benchmark.reporting.unit_square import (
    AFTER,
    BEFORE,
    draw_gain,
    draw_roc,
    gain_axes,
    gained_and_lost,
    roc_axes,
    slides_with_gain,
    specificity_at_100,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Entry = tuple[str, float, int | None]
"""What `Context.log` takes: name, value, step."""

EFFORT_METRICS = {"accuracy": "accuracy", "f1_macro": "macro F1", "jaccard_macro": "macro Jaccard"}
"""What the figure over reviews shows."""

COLUMNS, SMOOTH_FROM = 3, 80
WINDOW = 15
"""Slides in the moving average of `refinement` (LC-MIL, Fig. 7b)."""


def roc(
    labels: NDArray[np.int8],
    scores: NDArray[np.floating],
    *,
    title: str,
    auc: float,
    interval: tuple[float, float] | None = None,
    published: Sequence[PublishedPoint] = (),
) -> Figure:
    """The ROC curve with the point of 100 % sensitivity marked, and the operating points that papers print.

    Args:
        labels: n units, 1 positive, 0 negative; both must occur, else there is no curve (`ValueError`).
        scores: n, higher is more positive.
        title: over the axes.
        auc: area under the curve, for the legend.
        interval: its 95 % interval, for the legend.
        published: points of papers, which the legend names by letters and tells from our own.
    """
    positive, negative = scores[labels == 1], scores[labels == 0]
    drawn = figure(5.6, 6.5 if published else 6.0)
    title = fill(title, 50)
    axes = drawn.add_subplot()
    roc_axes(axes, title=title, chance="chance")
    within = f" (95 %: {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    curve = {"color": BLUE, "linewidth": 2, "label": f"AUC {auc:.3f}{within}"}
    mark = {"marker": "o", "linestyle": "", "color": VERMILION, "markersize": 8}
    if positive.size and negative.size:
        specificity = f"specificity {specificity_at_100(labels, scores):.1%} at score ≥ {positive.min():.4g}"
        mark["label"] = f"100 % sensitivity: {specificity}"
    draw_roc(axes, labels, scores, curve, mark)
    if published:
        room = draw_published(axes, published)
        axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", pad=9 + room)
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.12), borderaxespad=0.0, fontsize=8, frameon=False, labelcolor=INK
    )
    _footnote(drawn, f"{positive.size} positive and {negative.size} negative units")
    return drawn


def refinement(rows: Sequence[Mapping[str, Any]], title: str) -> Figure | None:
    """F1 of every slide against the F1 of its coarse annotation: above the diagonal the method gained.

    The line is the mean of 15 neighbouring slides, sorted by coarse F1 (Fig. 7b); there is none for fewer slides.
    Hollow dots are slides whose coarse annotation is not valid.

    Args:
        rows: `Summary.per_slide`; slides without either F1 are left out, and counted in the footnote.
        title: over the axes.

    Returns:
        The figure, None when no slide has both.
    """
    from pandas import DataFrame

    known = slides_with_gain(DataFrame(list(rows)))
    if known.empty:
        return None
    drawn = figure(5.6, 5.2)
    axes = drawn.add_subplot()
    gain_axes(axes, title=title, diagonal="no change")
    invalid = known["valid"].eq(False) if "valid" in known else known[BEFORE].isna()
    for slides, face, name in (
        (known[~invalid], BLUE, "slide"),
        (known[invalid], "none", "slide, coarse annotation not valid"),
    ):
        if len(slides):
            draw_gain(axes, slides, s=26, facecolor=face, edgecolor=BLUE, label=name)
    if len(known) >= WINDOW:
        kernel = np.ones(WINDOW) / WINDOW
        across, up = (np.convolve(known[column], kernel, mode="valid") for column in (BEFORE, AFTER))
        axes.plot(across, up, color=VERMILION, linewidth=2, label=f"mean of {WINDOW} slides", zorder=4)
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="none", labelcolor=INK)
    gained, lost = gained_and_lost(known)
    without = f"; {len(rows) - len(known)} without F1" if len(known) < len(rows) else ""
    _footnote(drawn, f"{len(known)} slides: {gained} above the diagonal, {lost} below{without}")
    return drawn


def effort(by_reviews: Mapping[str, Sequence[tuple[int, float]]], *, title: str) -> Figure:
    """Accuracy, macro F1 and macro Jaccard over the number of reviews, a panel each, a line per part that was scored.

    Args:
        by_reviews: `PART/METRIC` → (reviews, value) by ascending reviews.
        title: over the panels.
    """
    shown = [name for name in EFFORT_METRICS if any(key.endswith(f"/{name}") for key in by_reviews)]
    parts = list(dict.fromkeys(key.rpartition("/")[0] for key in by_reviews))
    drawn = figure(max(4.6, 3.4 * len(shown)), 3.1)
    drawn.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
    lines: dict[str, Line2D] = {}
    for number, metric in enumerate(shown, start=1):
        axes = drawn.add_subplot(1, len(shown), number)
        plain(axes, title=EFFORT_METRICS[metric], x="reviews")
        for colour, part in zip(CYCLE, parts, strict=False):
            if f"{part}/{metric}" in by_reviews:
                reviews, values = zip(*by_reviews[f"{part}/{metric}"], strict=True)
                (lines[part.replace("_", " ")],) = axes.plot(reviews, values, color=colour, linewidth=1.8)
    # Below the panels, where no curve can run.
    drawn.legend(lines.values(), lines, loc="outside lower left", ncols=3, fontsize=8, frameon=False, labelcolor=INK)
    return drawn


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
