"""Operating points that papers print, for the ROC figure of a run: a sensitivity and a specificity at one threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.reporting.style import INK, PAPER, PURPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmark.reporting.references.reference import Reference

SENSITIVITY = ("image/sensitivity", "other/Sensitivity")
SPECIFICITY = ("image/specificity", "image/specificity_at_100")

CROWDED = 0.03
"""Letters of points closer than this share of the axis would run into each other."""
EDGE, LETTER = 0.97, 9
"""Points of a higher sensitivity lie at the upper edge of the axes; height of a letter in points."""


@dataclass(frozen=True)
class PublishedPoint:
    """A printed row that has both rates. `same_data`: whether it is about the dataset of the run it is shown with."""

    paper: str
    label: str
    sensitivity: float
    specificity: float
    same_data: bool


def published_points(method: str, dataset: str, known: Iterable[Reference] | None = None) -> tuple[PublishedPoint, ...]:
    """The points of every table with a row of this method, or about this dataset, in the order as printed.

    All rows of such a table are given, so that a method is seen beside what its paper compared it with.

    Args:
        method: our name of it.
        dataset: ours.
        known: published numbers; default: those that are shipped.
    """
    from benchmark.reporting.references.load import references

    tables: dict[tuple[str | None, ...], list[Reference]] = {}
    for each in references() if known is None else known:
        tables.setdefault((each.paper, each.source, each.dataset_title, each.subset), []).append(each)
    found = []
    for table in tables.values():
        if any(method == each.method or dataset == each.dataset for each in table):
            found += _points(table, dataset)
    return tuple(found)


def _points(table: Iterable[Reference], dataset: str) -> list[PublishedPoint]:
    rows: dict[tuple[str | None, ...], dict[str, Reference]] = {}
    for each in table:
        rows.setdefault((each.label, each.supervision, each.protocol), {})[each.metric] = each
    made = []
    for row in rows.values():
        hit = next((row[name] for name in SENSITIVITY if name in row), None)
        rejected = next((row[name] for name in SPECIFICITY if name in row), None)
        if hit is not None and rejected is not None:
            same = hit.dataset == dataset
            made.append(PublishedPoint(hit.paper, hit.label, hit.value, rejected.value, same))
    return made


def draw_published(axes: Axes, points: Sequence[PublishedPoint]) -> int:
    """Hollow diamonds with a letter each, and lines of the legend that say what the letters are.

    Returns the room that letters take above the axes, in points.
    """
    from string import ascii_lowercase

    letters = {point: ascii_lowercase[index % 26] for index, point in enumerate(points)}
    for same_data in (True, False):
        for paper in dict.fromkeys(point.paper for point in points if point.same_data == same_data):
            chosen = [point for point in points if point.same_data == same_data and point.paper == paper]
            named = [f"{letters[p]} {p.label}: {p.specificity:.1%} at {p.sensitivity:.0%}" for p in chosen]
            heading = f"published{'' if same_data else ', other data'}: {paper}, specificity at sensitivity"
            axes.plot(
                [1 - point.specificity for point in chosen],
                [point.sensitivity for point in chosen],
                "D",
                markerfacecolor=PAPER if same_data else "none",
                markeredgecolor=PURPLE,
                markersize=5.5,
                label="\n".join((heading, *named)),
                clip_on=False,
                zorder=5,
            )
    return _letters(axes, letters)


def _letters(axes: Axes, letters: Mapping[PublishedPoint, str]) -> int:
    """A letter beside each point: above the axes for points at their upper edge, below the point for others.

    One that would run into its left neighbour goes a step further.
    """
    from matplotlib.patheffects import withStroke

    last: dict[bool, tuple[float, int]] = {}
    raised = 0
    for point in sorted(letters, key=lambda point: (-point.specificity, -point.sensitivity)):
        above, across = point.sensitivity > EDGE, 1 - point.specificity
        before, step = last.get(above, (-1.0, 0))
        step = step + 1 if across - before < CROWDED else 0
        last[above] = across, step
        axes.annotate(
            letters[point],
            (across, point.sensitivity),
            xytext=(0, (5 + LETTER * step) * (1 if above else -1)),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8,
            color=INK,
            path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
            annotation_clip=False,
            zorder=6,
        )
        raised = max(raised, LETTER * (step + 1) if above else 0)
    return raised
