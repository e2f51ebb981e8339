"""Curves: the ROC of the image-level scores, what refinement gained, and what a method logged while it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.published_points import PublishedPoint, draw_published
from benchmark.reporting.style import BLUE, CYCLE, FAINT, INK, VERMILION, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Entry = tuple[str, float, int | None]
"""What `Context.log` takes: name, value, step."""

COLUMNS, SMOOTH_FROM = 3, 80
WINDOW = 15
"""Slides in the moving average of `refinement` (LC-MIL, Fig. 7b)."""
BEFORE, AFTER = "coarse_f1", "pixel/f1"
"""Columns of a slide's row: F1 of its coarse annotation, and of the prediction."""


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
    from matplotlib.ticker import PercentFormatter

    positive, negative = scores[labels == 1], scores[labels == 0]
    if not positive.size or not negative.size:
        raise ValueError("a ROC curve needs positive and negative units")
    false_alarms, hits = roc_points(labels, scores)
    threshold = float(positive.min())
    specificity = float((negative < threshold).mean())
    drawn = figure(5.6, 6.5 if published else 6.0)
    title = fill(title, 50)
    axes = drawn.add_subplot()
    plain(axes, title=title, x="1 − specificity", y="sensitivity")
    within = f" (95 %: {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="chance")
    axes.plot(false_alarms, hits, color=BLUE, linewidth=2, label=f"AUC {auc:.3f}{within}", clip_on=False, zorder=3)
    mark = f"100 % sensitivity: specificity {specificity:.1%} at score ≥ {threshold:.4g}"
    axes.plot([1 - specificity], [1], "o", color=VERMILION, markersize=8, label=mark, clip_on=False, zorder=4)
    if published:
        room = draw_published(axes, published)
        axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", pad=9 + room)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.12), borderaxespad=0.0, fontsize=8, frameon=False, labelcolor=INK
    )
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
    known = [row for row in rows if row.get(BEFORE) is not None and row.get(AFTER) is not None]
    if not known:
        return None
    known = sorted(known, key=lambda row: (row[BEFORE], row[AFTER]))
    before, after = (np.array([row[column] for row in known], dtype=np.float64) for column in (BEFORE, AFTER))
    drawn = figure(5.6, 5.2)
    axes = drawn.add_subplot()
    plain(axes, title=title, x="F1 of the coarse annotation", y="F1 after refinement")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="no change")
    for valid, name in ((True, "slide"), (False, "slide, coarse annotation not valid")):
        here = np.array([row.get("valid") in (None, True) for row in known]) == valid
        if here.any():
            face = BLUE if valid else "none"
            axes.scatter(
                before[here], after[here], s=26, facecolor=face, edgecolor=BLUE, alpha=0.75, label=name, zorder=3
            )
    if len(known) >= WINDOW:
        kernel = np.ones(WINDOW) / WINDOW
        across, up = (np.convolve(values, kernel, mode="valid") for values in (before, after))
        axes.plot(across, up, color=VERMILION, linewidth=2, label=f"mean of {WINDOW} slides", zorder=4)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="none", labelcolor=INK)
    gained, lost = int(np.sum(after > before)), int(np.sum(after < before))
    without = f"; {len(rows) - len(known)} without F1" if len(known) < len(rows) else ""
    _footnote(drawn, f"{len(known)} slides: {gained} above the diagonal, {lost} below{without}")
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
