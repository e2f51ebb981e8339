"""Curves of quality over the expert's effort, and what sums them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

EFFORT, EFFORT_OF_SLIDE = "effort", "effort_of_slide"
"""Beginnings of the names under which they are logged: `effort/PART/METRIC`, `effort_of_slide/SLIDE/PART/METRIC`."""

Log = tuple[str, float, int | None]
Curve = Sequence[tuple[int, float]]
"""(reviews, value), by ascending reviews."""


def logged_curves(history: Iterable[Log], beginning: str = EFFORT) -> dict[str, Curve]:
    """The curves among what was logged, by what follows `beginning`; of one number of reviews the last value counts."""
    curves: dict[str, dict[int, float]] = {}
    for name, value, step in history:
        head, _, rest = name.partition("/")
        if head == beginning and step is not None:
            curves.setdefault(rest, {})[step] = value
    return {name: sorted(points.items()) for name, points in curves.items()}


def mean_over_slides(history: Iterable[Log], slides: Iterable[str]) -> list[Log]:
    """The mean over slides that were annotated one by one, as it would be logged.

    A slide that ended early (nothing was left to review) keeps its last value; before its first it does not count.
    Other slides than `slides` do not count.
    """
    wanted = set(slides)
    by_metric: dict[str, list[Curve]] = {}
    for name, curve in logged_curves(history, EFFORT_OF_SLIDE).items():
        slide, _, metric = _split(name)
        if slide in wanted:
            by_metric.setdefault(metric, []).append(curve)
    logs: list[Log] = []
    for metric, curves in by_metric.items():
        for reviews in sorted({step for curve in curves for step, _ in curve}):
            values = [held[-1] for curve in curves if (held := [value for step, value in curve if step <= reviews])]
            logs.append((f"{EFFORT}/{metric}", sum(values) / len(values), reviews))
    return logs


def _split(name: str) -> tuple[str, str, str]:
    """`SLIDE/PART/METRIC` → slide, part, `PART/METRIC`; a slide's name may hold slashes, part and metric do not."""
    slide, part, metric = name.rsplit("/", 2)
    return slide, part, f"{part}/{metric}"


def area(curve: Curve) -> float:
    """Area under a curve by trapezoids, divided by its width: the mean height. A single point is its own mean."""
    if len(curve) == 1:
        return curve[0][1]
    total = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(curve))
    return total / (curve[-1][0] - curve[0][0])


def reviews_to(curve: Curve, goal: float) -> int | None:
    """The fewest reviews after which the value is at least `goal`; None where it never is."""
    return next((reviews for reviews, value in curve if value >= goal), None)


def summary_of(history: Iterable[Log]) -> Mapping[str, float]:
    """`effort/PART/METRIC.area` of every curve."""
    return {f"{EFFORT}/{name}.area": area(curve) for name, curve in logged_curves(history).items()}
