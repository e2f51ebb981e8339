"""Between methods: DeLong's test of two AUCs; over datasets: mean ranks, Friedman's test, Nemenyi's difference.

Friedman and Nemenyi are SciPy's. DeLong is written out here: SciPy has no test of two AUCs.
Source of the rank methods: J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign, erfc, inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.classification import auc, delong_variance

Floats = NDArray[np.float64]

TIE_DECIMALS = 12
"""Values that agree so far are equal: rounding noise neither makes nor breaks a tie."""


@dataclass(frozen=True)
class AucTest:
    """Result of `delong`. `difference`: AUC of `one` minus that of `other`; `p`: two-sided."""

    one: float
    other: float
    difference: float
    standard_error: float
    z: float
    p: float
    positives: int
    negatives: int


def delong(labels: ArrayLike, one: ArrayLike, other: ArrayLike) -> AucTest | None:
    """DeLong's paired test of two AUCs on the same n units, in n log n.

    Var(AUC_one − AUC_other) = var(d10) / n+ + var(d01) / n−, with sample variances, where d10 are the differences of
    the two scores' placements of each positive (share of the negatives it beats, a tie counting one half) and d01 those
    of each negative. When the variance is 0 but the AUCs differ (one separates the classes, the other is constant),
    z is infinite and p is 0. Units are taken for independent: where many come from one patient, p is too small.
    Source: DeLong et al., Biometrics 1988; midranks: Sun and Xu, IEEE Signal Processing Letters 2014.

    Args:
        labels: n values, 0 or 1.
        one: n scores, higher is more positive.
        other: n scores of the same units.

    Returns:
        The test; None when it is undefined (fewer than two positives or two negatives), and when the AUCs are equal
        without any variance, as those of identical scores are.

    Raises:
        ValueError: lists of different lengths, labels other than 0 and 1, scores that are not a number.
    """
    truth = _truth(labels, one, other)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives < 2 or negatives < 2:
        return None
    (beaten, beating), (others_beaten, others_beating) = _wins(truth, one), _wins(truth, other)
    # Variances of counts, which are whole or half: no variance is then exactly 0.
    spread10 = float(np.var(beaten - others_beaten, ddof=1)) / negatives**2
    spread01 = float(np.var(beating - others_beating, ddof=1)) / positives**2
    error = sqrt(spread10 / positives + spread01 / negatives)
    pairs = positives * negatives
    difference = float(beaten.sum() - others_beaten.sum()) / pairs
    if error == 0 and difference == 0:
        return None
    z = difference / error if error else copysign(inf, difference)
    first, second = float(beaten.sum()) / pairs, float(others_beaten.sum()) / pairs
    return AucTest(first, second, difference, error, z, erfc(abs(z) / sqrt(2)), positives, negatives)


def delong_interval(
    labels: ArrayLike, scores: ArrayLike, level: float = 0.95
) -> tuple[float, tuple[float, float], float] | None:
    """AUC, its normal interval cut to [0, 1], and its variance after DeLong.

    None with fewer than two positives or two negatives. `ValueError` as in `delong`, and for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval must be between 0 and 1, got {level}")
    truth = _truth(labels, scores)
    area, variance = auc(truth, scores), delong_variance(truth, scores)
    if area is None or variance is None:
        return None
    half = NormalDist().inv_cdf((1 + level) / 2) * sqrt(variance)
    return area, (max(area - half, 0.0), min(area + half, 1.0)), variance


def _truth(labels: ArrayLike, *scores: ArrayLike) -> NDArray[np.bool_]:
    truth = np.asarray(labels)
    for values in (np.asarray(each, dtype=np.float64) for each in scores):
        if truth.ndim != 1 or values.shape != truth.shape:
            raise ValueError(f"expected one score per unit, got labels {truth.shape} and scores {values.shape}")
        if np.isnan(values).any():
            raise ValueError(f"score {np.flatnonzero(np.isnan(values))[0]} is not a number")
    if not ((truth == 0) | (truth == 1)).all():
        raise ValueError(f"unit labels must be 0 or 1, got {sorted(set(truth.tolist()))}")
    positive: NDArray[np.bool_] = truth == 1
    return positive


def _wins(truth: NDArray[np.bool_], scores: ArrayLike) -> tuple[Floats, Floats]:
    """Negatives that each positive beats, and positives that beat each negative; a tie counts one half."""
    values = np.asarray(scores, dtype=np.float64)
    overall, positives = _midranks(values), int(truth.sum())
    beaten = overall[truth] - _midranks(values[truth])
    return beaten, positives - (overall[~truth] - _midranks(values[~truth]))


def _midranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    shared: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return shared


def ranks(values: Sequence[Sequence[float]], *, higher_is_better: bool) -> Floats:
    """Mean rank of each method over datasets, 1 the best; equal values share the mean of their ranks.

    `values`: datasets × methods, compared after rounding to 12 decimals. `ValueError` for gaps and for no dataset.
    """
    table = _table(values)
    placed = np.stack([_midranks(-row if higher_is_better else row) for row in table])
    means: Floats = placed.mean(axis=0)
    return means


def friedman(values: Sequence[Sequence[float]]) -> float | None:
    """P value of Friedman's test that all methods are alike, by the χ² approximation with correction for ties.

    `values`: datasets × methods, compared after rounding to 12 decimals. None below three methods or two datasets,
    where it is not defined: for two methods Wilcoxon's test is the tool. 1 when every dataset ties all methods.
    """
    table = _table(values)
    if table.shape[0] < 2 or table.shape[1] < 3:
        return None
    if (table == table[:, :1]).all():
        return 1.0
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*table.T).pvalue)


def _table(values: Sequence[Sequence[float]]) -> Floats:
    table: Floats = np.asarray(values, dtype=np.float64).round(TIE_DECIMALS)
    if table.ndim != 2 or not table.size or np.isnan(table).any():
        raise ValueError(f"expected datasets × methods without gaps, got an array of shape {table.shape}")
    return table


def critical_difference(methods: int, datasets: int, alpha: float = 0.05) -> float:
    """The difference of mean ranks from which on two methods differ: q_α · √(k (k + 1) / (6 N)), Nemenyi's test.

    q_α is the quantile of the studentised range of k methods with infinite degrees of freedom, over √2 (Demšar,
    Table 5a). `ValueError` below two methods or one dataset.
    """
    if methods < 2 or datasets < 1:
        raise ValueError(f"a critical difference needs two methods and a dataset, got {methods} and {datasets}")
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / sqrt(2)
    return quantile * sqrt(methods * (methods + 1) / (6 * datasets))


def cliques(ranks: Mapping[str, float], difference: float) -> list[tuple[str, ...]]:
    """Groups of two or more methods whose mean ranks differ by less than `difference`: the bars of Demšar's diagram.

    Names in rank order (equal ranks by name), groups by their best; none lies within another.
    """
    order = sorted(ranks, key=lambda name: (ranks[name], name))
    found: list[tuple[str, ...]] = []
    covered = 0
    for first, best in enumerate(order):
        end = sum(ranks[name] - ranks[best] < difference for name in order[first:]) + first
        if end - first > 1 and end > covered:
            found.append(tuple(order[first:end]))
            covered = end
    return found
