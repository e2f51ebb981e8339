"""A curve of a metric over minutes of labelling: linear between budgets on a logarithmic axis of minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


EQUAL = 1e-9
"""Two values of a metric that differ by no more are equal: means of the same values carry rounding."""

FEWEST_SEEDS = 3
"""Two seeds give an interval of 12.7 standard errors, wider than most metrics' range."""


@dataclass(frozen=True, eq=False)
class LabelCurve:
    """A method at several budgets, by ascending minutes.

    `minutes` (k): mean over seeds, above 0. `values` (k × seeds). `counts`: of each budget, counter of the ledger →
    labels, mean over seeds. `influence` (k × patients), where test slides are known: by how much the value moves when
    a patient counts once more; see `resamples`.
    """

    name: str
    track: str
    budgets: tuple[str, ...]
    seeds: tuple[int, ...]
    minutes: Floats
    values: Floats
    counts: tuple[Mapping[str, float], ...] = ()
    patients: tuple[str, ...] = ()
    influence: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def mean(self) -> Floats:
        """Over seeds, k."""
        mean: Floats = self.values.mean(axis=1)
        return mean

    @property
    def varies(self) -> bool:
        """Whether anything tells how far its values might be off: two seeds, or two test patients."""
        return len(self.seeds) > 1 or len(self.patients) > 1

    @property
    def half(self) -> Floats | None:
        """Half the width of the 95 % t-interval over seeds, k; None below three seeds, where it says nothing."""
        from scipy.stats import t

        seeds = self.values.shape[1]
        if seeds < FEWEST_SEEDS:
            return None
        half: Floats = t.ppf(0.975, seeds - 1) * self.values.std(axis=1, ddof=1) / np.sqrt(seeds)
        return half


def ascending(curve: LabelCurve) -> LabelCurve:
    """The curve by ascending minutes; budgets that came to the same minutes are one, with the mean of their values."""
    keys = np.round(curve.minutes, 9)
    groups = [np.flatnonzero(keys == key) for key in np.unique(keys)]
    influence = curve.influence
    return replace(
        curve,
        minutes=np.array([curve.minutes[group[0]] for group in groups]),
        values=np.array([curve.values[group].mean(axis=0) for group in groups]),
        budgets=tuple(", ".join(curve.budgets[number] for number in group) for group in groups),
        counts=tuple(curve.counts[group[0]] for group in groups),
        influence=np.array([influence[group].mean(axis=0) for group in groups]) if curve.patients else influence,
    )


def height(minutes: Floats, values: Floats, at: Floats) -> Floats:
    """The curve at some minutes within its range: linear in log(minutes). `values`: … × k; gives … × len(at)."""
    x, wanted = np.log(minutes), np.log(at)
    right = np.clip(np.searchsorted(x, wanted, side="left"), 1, len(x) - 1)
    left = right - 1
    weight = (wanted - x[left]) / (x[right] - x[left])
    heights: Floats = values[..., left] * (1 - weight) + values[..., right] * weight
    return heights


def area(minutes: Floats, values: Floats) -> float:
    """Mean height over log(minutes): ∫ f d(log t) / log(t_k / t_1), by trapezoids. One budget is its own mean."""
    if len(minutes) == 1:
        return float(values[0])
    x = np.log(minutes)
    return float(np.trapezoid(values, x) / (x[-1] - x[0]))


def minutes_to(minutes: Floats, values: Floats, goal: float) -> Floats:
    """The fewest minutes at which each curve (rows of … × k) is at least `goal`.

    −∞ where the cheapest budget already is: it may take less. +∞ where no budget is.
    """
    rows = np.atleast_2d(values)
    reached = rows >= goal
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), len(minutes))
    found = np.full(len(rows), np.inf)
    found[first == 0] = -np.inf
    for row in np.flatnonzero((first > 0) & (first < len(minutes))):
        found[row] = _where(minutes, rows[row] - goal, int(first[row]) - 1)
    return found


def shared_grid(one: Floats, other: Floats) -> Floats:
    """The minutes of either curve's budgets in the range that both cover; empty where there is none."""
    low, high = max(one[0], other[0]), min(one[-1], other[-1])
    if low >= high:
        return np.zeros(0)
    return np.unique(np.clip(np.concatenate([one, other]), low, high))


def signs(difference: Floats) -> Floats:
    """−1, 0 or 1 of each; 0 where two values are equal, see `EQUAL`."""
    return np.where(np.abs(difference) <= EQUAL, 0.0, np.sign(difference))


def for_good(grid: Floats, difference: Floats) -> Floats:
    """From how many minutes on each difference (rows of … × g) is never below 0 again up to the end of the grid.

    −∞ where it is nowhere below, +∞ where it is not above after that. To be 0 at a budget is to touch, not to cross.
    """
    rows = np.atleast_2d(difference)
    sides = signs(rows)
    last, above = _last(sides < 0), _last(sides > 0)
    found = np.full(len(rows), np.inf)
    found[(last == -1) & (above >= 0)] = -np.inf
    for row in np.flatnonzero((last >= 0) & (above > last)):
        found[row] = _where(grid, np.where(sides[row] == 0, 0.0, rows[row]), int(last[row]))
    return found


def _last(where: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The last column that is true of each row, −1 where none is."""
    return np.where(where.any(axis=1), where.shape[1] - 1 - where[:, ::-1].argmax(axis=1), -1)


def sign_changes(difference: Floats) -> int:
    """How often a difference changes its sign from one budget to the next; where it is 0 it has none."""
    sides = signs(difference)
    sides = sides[sides != 0]
    return int((sides[1:] != sides[:-1]).sum())


def _where(minutes: Floats, values: Floats, left: int) -> float:
    """Where the line from `left` to the next budget is 0, on the logarithmic axis."""
    low, high = np.log(minutes[left]), np.log(minutes[left + 1])
    below, above = values[left], values[left + 1]
    return float(np.exp(low + (high - low) * (0 - below) / (above - below)))


def interval(samples: Floats, level: float = 0.95) -> tuple[float, float]:
    """The percentiles that leave (1 − level) / 2 on either side; ±∞ are values like others."""
    ordered = np.sort(samples)
    tail = (1 - level) / 2
    places = (int(np.floor(tail * (len(ordered) - 1))), int(np.ceil((1 - tail) * (len(ordered) - 1))))
    return float(ordered[places[0]]), float(ordered[places[1]])


def labels_of(curve: LabelCurve, counter: str) -> tuple[Sequence[float], Sequence[float]]:
    """(labels of one counter, mean value) of the budgets that use any, by ascending labels."""
    pairs = sorted(
        (each[counter], value) for each, value in zip(curve.counts, curve.mean, strict=True) if each.get(counter)
    )
    return [number for number, _ in pairs], [float(value) for _, value in pairs]
