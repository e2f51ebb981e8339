"""Decision curves: what a score is worth to somebody who acts on it.

Source: Vickers and Elkin, Decision curve analysis, Medical Decision Making 26 (2006). Who acts from the probability t
on holds a missed positive to be (1 − t) / t times as bad as a needless action.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.pooled import ratio

Floats = NDArray[np.float64]

THRESHOLDS: Floats = np.arange(1, 100) / 100
"""Where curves are drawn: 0.01 … 0.99."""


def net_benefit(labels: ArrayLike, scores: ArrayLike, thresholds: ArrayLike = THRESHOLDS) -> Floats:
    """NB(t) = TP/n − FP/n · t/(1 − t) at every threshold, a unit being positive where its score >= t.

    Both are compared in single precision, that of stored scores.

    Args:
        labels: n ≥ 1 values, 0 or 1.
        scores: n numbers in [0, 1].
        thresholds: T numbers in (0, 1).

    Returns:
        T values; acting on no unit has 0 everywhere, acting on all is `net_benefit_of_all`.
    """
    return net_benefit_of_counts(*called(labels, scores, thresholds), np.asarray(labels).size, thresholds)


def called(labels: ArrayLike, scores: ArrayLike, thresholds: ArrayLike = THRESHOLDS) -> tuple[Floats, Floats]:
    """True and false positives at every threshold, T each."""
    truth, values = np.asarray(labels) == 1, np.asarray(scores, np.float32)
    # In the precision of stored scores: 0.7 is at least 0.7.
    stored = np.asarray(thresholds, np.float32)
    hits, alarms = (
        part.size - np.searchsorted(np.sort(part), stored, side="left") for part in (values[truth], values[~truth])
    )
    return hits.astype(np.float64), alarms.astype(np.float64)


def net_benefit_of_counts(hits: Floats, alarms: Floats, units: ArrayLike, thresholds: ArrayLike = THRESHOLDS) -> Floats:
    """The same of true and false positives, … × T each, among `units` (… × 1, or a number)."""
    odds = np.asarray(thresholds, np.float64) / (1 - np.asarray(thresholds, np.float64))
    return ratio(hits - alarms * odds, units)


def net_benefit_of_all(prevalence: float, thresholds: ArrayLike = THRESHOLDS) -> Floats:
    """Of acting on every unit: π − (1 − π) t/(1 − t) for the share π of positive units."""
    t = np.asarray(thresholds, np.float64)
    return np.asarray(prevalence - (1 - prevalence) * t / (1 - t), np.float64)
