"""Where curves cross, what quality takes how many minutes, and whether other prices would change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from benchmark.reporting.budget_curves.label_curve import (
    Floats,
    LabelCurve,
    area,
    ascending,
    for_good,
    height,
    interval,
    minutes_to,
    shared_grid,
    sign_changes,
    signs,
)
from benchmark.reporting.label_cost import CostModel

SCALES = (0.5, 2.0)

Samples = Sequence[Floats | None]


@dataclass(frozen=True)
class Crossing:
    """From `minutes` on, `winner` is never below `loser` again, up to the end of the range that both cover.

    −∞: it is nowhere below; +∞: the two are equal everywhere. `low`, `high`: 95 % percentile interval over resamples,
    ±∞ beyond the range; None without resamples. `sure`: the share of resamples in which `winner` is above at every
    budget from `high` on, the end at least; at every budget of the range where `minutes` is −∞. `before`: in which
    `loser` is above at every budget up to `low`, the start at least. `start`, `end`: the range; both 0 where there is
    none. `earlier`: how often the mean curves cross before `minutes`. `equal`: minutes of budgets at which they touch.
    """

    winner: str
    loser: str
    start: float
    end: float
    minutes: float = float("nan")
    low: float | None = None
    high: float | None = None
    sure: float | None = None
    before: float | None = None
    earlier: int = 0
    equal: tuple[float, ...] = ()

    @property
    def crosses(self) -> bool:
        """Whether the mean curves cross within the range."""
        return bool(np.isfinite(self.minutes))


@dataclass(frozen=True)
class Reach:
    """Minutes after which a curve is at least at the goal, with its interval; see `minutes_to`."""

    name: str
    minutes: float
    low: float | None = None
    high: float | None = None
    area: float = 0.0
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True)
class Sensitivity:
    """The crossing of a pair when a counter costs `times` as many minutes."""

    counter: str
    times: float
    crossing: Crossing


def crossings(curves: Sequence[LabelCurve], samples: Samples | None, *, up: bool = True) -> list[Crossing]:
    """Of every pair of curves with two budgets at least. `samples`: see `resampled`; None for no intervals.

    A pair has an interval where both curves have resamples.
    """
    able = [number for number, curve in enumerate(curves) if len(curve.minutes) > 1]
    drawn = samples or [None] * len(curves)
    return [_crossing(curves[i], curves[j], drawn[i], drawn[j], up=up) for i, j in combinations(able, 2)]


def _crossing(one: LabelCurve, other: LabelCurve, first: Floats | None, second: Floats | None, *, up: bool) -> Crossing:
    grid = shared_grid(one.minutes, other.minutes)
    if not grid.size:
        return Crossing(one.name, other.name, 0.0, 0.0)
    sign = 1.0 if up else -1.0
    means = sign * (height(one.minutes, one.mean, grid) - height(other.minutes, other.mean, grid))
    sides = signs(means)
    if sides.any() and sides[sides != 0][-1] < 0:
        return _crossing(other, one, second, first, up=up)
    minutes = float(for_good(grid, means)[0])
    equal = tuple(float(at) for at in grid[sides == 0] if not np.isclose(at, minutes))
    earlier = max(0, sign_changes(means) - 1)
    found = Crossing(one.name, other.name, float(grid[0]), float(grid[-1]), minutes, earlier=earlier, equal=equal)
    if first is None or second is None or not sides.any():
        return found
    differences = sign * (height(one.minutes, first, grid) - height(other.minutes, second, grid))
    low, high = interval(for_good(grid, differences))
    if minutes == -np.inf:
        return replace(found, low=low, high=high, sure=_agreeing(differences, means, 1.0))
    after, before = np.flatnonzero(grid >= min(high, grid[-1])), np.flatnonzero(grid <= max(low, grid[0]))
    return replace(
        found,
        low=low,
        high=high,
        sure=_agreeing(differences[:, after], means[after], 1.0),
        before=_agreeing(differences[:, before], means[before], -1.0),
    )


def _agreeing(differences: Floats, means: Floats, side: float) -> float:
    """The share of resamples on that side of 0 at all these budgets; where the means are equal, not on the other."""
    sides = side * signs(differences)
    return float(((sides > 0) | ((sides == 0) & (signs(means) == 0))).all(axis=1).mean())


def reaches(curves: Sequence[LabelCurve], samples: Samples | None, goal: float, *, up: bool = True) -> list[Reach]:
    """Of every curve, when it reaches the goal, and its area."""
    sign = 1.0 if up else -1.0
    found = []
    for curve, drawn in zip(curves, samples or [None] * len(curves), strict=True):
        reach = Reach(
            curve.name,
            float(minutes_to(curve.minutes, sign * curve.mean, sign * goal)[0]),
            area=area(curve.minutes, curve.mean),
            start=float(curve.minutes[0]),
            end=float(curve.minutes[-1]),
        )
        if drawn is not None:
            low, high = interval(minutes_to(curve.minutes, sign * drawn, sign * goal))
            reach = replace(reach, low=low, high=high)
        found.append(reach)
    return found


def sensitivity(curves: Sequence[LabelCurve], cost: CostModel, *, up: bool = True) -> list[Sensitivity]:
    """The crossings when each counter that a curve uses costs half, and twice, as many minutes."""
    used = list(dict.fromkeys(name for curve in curves for counts in curve.counts for name, n in counts.items() if n))
    found = []
    for counter in used:
        for times in SCALES:
            priced = [repriced(curve, cost.scaled(counter, times).minutes) for curve in curves]
            found += [Sensitivity(counter, times, crossing) for crossing in crossings(priced, None, up=up)]
    return found


def repriced(curve: LabelCurve, minutes: Callable[[Mapping[str, float]], float]) -> LabelCurve:
    """The curve with other minutes for its labels, in their order."""
    return ascending(replace(curve, minutes=np.array([minutes(counts) for counts in curve.counts])))
