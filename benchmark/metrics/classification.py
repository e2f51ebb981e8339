"""Image-level metrics. One rule throughout: a unit is positive if and only if its score >= the threshold.

Every function takes `labels` (n values, 0 or 1) and `scores` (n numbers) of the units, refuses NaN scores with
`PredictionError`, and returns None where the metric is undefined (no positive or no negative unit).
Sources: Li et al., MICCAI 2021 (arXiv 2107.00934) for specificity at 100 % sensitivity; DeLong et al., Biometrics 1988.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import PredictionError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and its rates. `unit`: the index of the first unit whose score sets the threshold.

    `specificity` is None when there is no negative unit.
    """

    threshold: float
    unit: int | None
    sensitivity: float
    specificity: float | None
    true_positives: int
    positives: int
    true_negatives: int
    negatives: int


def auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve, by mid-ranks: P(s+ > s−) + P(s+ = s−) / 2 (Mann-Whitney)."""
    _, positive, negative = _split(labels, scores)
    if not positive.size or not negative.size:
        return None
    return float(_placements(positive, negative).mean())


def delong_variance(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Variance of the AUC after DeLong: S10 / n+ + S01 / n−, with the sample variances of the placements.

    The placement of a positive is the share of negatives it beats, a tie counting one half; of a negative, the
    share of positives that beat it. None with fewer than two positives or two negatives. Assumes that units are
    independent: with several units per patient use the clustered bootstrap of `statistics`.
    """
    _, positive, negative = _split(labels, scores)
    if positive.size < 2 or negative.size < 2:
        return None
    beaten = _placements(positive, negative)
    beating = 1 - _placements(negative, positive)
    return float(beaten.var(ddof=1) / positive.size + beating.var(ddof=1) / negative.size)


def sensitivity(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Share of the positive units with score >= threshold."""
    _, positive, _ = _split(labels, scores)
    return float(np.mean(positive >= threshold)) if positive.size else None


def specificity(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Share of the negative units with score < threshold."""
    _, _, negative = _split(labels, scores)
    return float(np.mean(negative < threshold)) if negative.size else None


def spec_at_sensitivity(labels: ArrayLike, scores: ArrayLike, target: float = 1.0) -> OperatingPoint | None:
    """Specificity at a required sensitivity: #(negatives with s < τ) / #negatives.

    τ is the largest threshold that misses at most k = floor((1 − target) · n+) positives, which is the (k+1)-th
    lowest positive score; at the target 1 the lowest of all. A negative tied with τ is a false positive, and the
    ROC curve is not interpolated. A positive that scores lowest of all gives 0.0. None without a positive.
    """
    if not 0 < target <= 1:
        raise ValueError(f"the required sensitivity must be in (0, 1], got {target}")
    values, positive, negative = _split(labels, scores)
    if not positive.size:
        return None
    misses = math.floor((1 - target) * positive.size + 1e-9)
    threshold = float(np.sort(positive)[misses])
    setters = np.flatnonzero((np.asarray(labels) == 1) & (values == threshold))
    return _at(threshold, int(setters[0]), positive, negative)


def youden(labels: ArrayLike, scores: ArrayLike) -> OperatingPoint | None:
    """The threshold with the largest TPR − FPR (Youden's J), the first one when thresholds fall.

    Candidates are the vertices of the ROC curve: every distinct score, and +inf (nothing positive), which wins
    only when no score does better than chance.
    """
    values, positive, negative = _split(labels, scores)
    if not positive.size or not negative.size:
        return None
    candidates = np.concatenate(([np.inf], np.unique(values)[::-1]))
    hits = positive.size - np.searchsorted(np.sort(positive), candidates, side="left")
    alarms = negative.size - np.searchsorted(np.sort(negative), candidates, side="left")
    # In whole numbers: equal J must compare equal, which differences of quotients do not promise.
    best = float(candidates[np.argmax(hits * negative.size - alarms * positive.size)])
    setters = np.flatnonzero(values == best)
    return _at(best, int(setters[0]) if setters.size else None, positive, negative)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float] | None:
    """The exact two-sided interval of a proportion, from beta quantiles; None without trials.

    low = B(α/2; k, n−k+1), 0 when k = 0; high = B(1−α/2; k+1, n−k), 1 when k = n. Clopper and Pearson, 1934.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"got {successes} successes in {trials} trials")
    if trials == 0:
        return None
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def _split(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """All scores, those of the positives and those of the negatives, in float64."""
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise PredictionError(f"expected one score per unit, got labels {truth.shape} and scores {values.shape}")
    if not ((truth == 0) | (truth == 1)).all():
        raise PredictionError(f"unit labels must be 0 or 1, got {sorted(set(truth.tolist()))}")
    if np.isnan(values).any():
        missing = np.flatnonzero(np.isnan(values))
        raise PredictionError(f"{missing.size} of {values.size} unit scores are not a number, first at {missing[0]}")
    return values, values[truth == 1], values[truth == 0]


def _placements(ours: Floats, others: Floats) -> Floats:
    """For each of ours the share of the others below it, a tie counting one half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, ours, side="left") + np.searchsorted(ordered, ours, side="right")
    shares: Floats = below / (2 * ordered.size)
    return shares


def _at(threshold: float, unit: int | None, positive: Floats, negative: Floats) -> OperatingPoint:
    hits, rejected = int(np.count_nonzero(positive >= threshold)), int(np.count_nonzero(negative < threshold))
    return OperatingPoint(
        threshold=threshold,
        unit=unit,
        sensitivity=hits / positive.size,
        specificity=rejected / negative.size if negative.size else None,
        true_positives=hits,
        positives=positive.size,
        true_negatives=rejected,
        negatives=negative.size,
    )
