"""The Wilcoxon signed-rank test, exact also with ties (SciPy's is not), and fast enough for a leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_EXACT = 50
"""Pairs up to which the exact distribution of the statistic is used; above, the normal approximation."""

DECIMALS = 12
"""Differences are rounded to this many decimals, so that rounding noise neither makes nor breaks a tie."""


@dataclass(frozen=True)
class SignedRank:
    """Result of `wilcoxon`: the smaller rank sum, the two-sided p value, and how many pairs differ.

    `direction`: 1 where the ranks of the positive differences sum to more, -1 where to less, 0 where to the same.
    """

    statistic: float
    p: float
    pairs: int
    direction: int


def wilcoxon(one: ArrayLike, other: ArrayLike) -> SignedRank | None:
    """Paired two-sided Wilcoxon signed-rank test over slides; None when no pair differs.

    Equal pairs are left out (Wilcoxon's rule), equal differences share the mean of their ranks. Up to 50 pairs p is
    exact: the share of all 2^n assignments of signs to these ranks whose rank sum is as far out. Above it is that of
    the normal distribution with the variance corrected for ties, without continuity correction.

    Raises `ValueError` for lists of different lengths or with gaps. Source: Wilcoxon, Biometrics Bulletin 1945; exact
    with ties: Pratt and Gibbons, Concepts of Nonparametric Theory, 1981.
    """
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("the test needs two equally long lists of numbers, without gaps")
    differences = np.round(first - second, DECIMALS)
    differences = differences[differences != 0]
    count = differences.size
    if not count:
        return None
    _, place, ties = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(ties) - (ties - 1))[place]
    positive = int(doubled[differences > 0].sum())
    negative = int(doubled.sum()) - positive
    smaller = min(positive, negative)
    p = _exact(doubled, smaller) if count <= MOST_EXACT else _normal(count, ties, smaller / 2)
    return SignedRank(smaller / 2, p, count, (positive > negative) - (positive < negative))


def _exact(doubled: NDArray[np.int64], smaller: int) -> float:
    """Twice the share of sign assignments with a rank sum of at most `smaller`; ranks are doubled to be whole."""
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled.tolist():
        ways[rank:] += ways[:-rank].copy()
    # 2^50 assignments at most, so every count is exact in a float.
    return min(1.0, 2.0 * float(ways[: smaller + 1].sum()) / 2.0**doubled.size)


def _normal(count: int, ties: NDArray[np.int64], smaller: float) -> float:
    mean = count * (count + 1) / 4
    variance = count * (count + 1) * (2 * count + 1) / 24 - float((ties.astype(float) ** 3 - ties).sum()) / 48
    return erfc(abs(smaller - mean) / sqrt(variance) / sqrt(2))
