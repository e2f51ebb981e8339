"""Temperature scaling: one number, fitted on validation slides, that makes scores less or more extreme.

Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017; for two classes it is
Platt's scaling without an offset. p' = σ(logit(p) / T): the order of scores stays (two that differ in the last bit may
become equal), and so do AUC, the side of 0.5 on which a score lies, and every decision at 0.5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.score_sums import ScoreSums

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures are looked for between these."""

CLIP = 1e-7
"""Scores nearer to 0 count as so far from it in the fit, for one wrong 0 would have an infinite loss."""

ALMOST_ONE = 1 - 2.0**-25
"""What a score of 1 counts as: float32 rounds to 1 whatever lies nearer to it."""


def fit_temperature(sums: ScoreSums) -> float | None:
    """The T that minimises the negative log-likelihood −Σ y ln p' + (1 − y) ln(1 − p'); None unless both classes occur.

    The loss is convex in b = 1/T: its derivative Σ z (σ(b z) − y), z = logit(p), has one root. Of a group of cells the
    mean score stands for all; of units every score for itself. Where the loss falls all the way to an end of the range
    (validation scores that separate the classes, or rank them the wrong way), T is that end. Scores that are all 0.5
    have no temperature.
    """
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    count, positive, total = sums.sums[:3]
    if not 0 < sums.positive < sums.count:
        return None
    evidence = logit(np.clip(total / count, CLIP, ALMOST_ONE))
    if not evidence.any():
        return None

    def slope(inverse: float) -> float:
        return float((evidence * (count * expit(inverse * evidence) - positive)).sum())

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return float(1 / brentq(slope, low, high, xtol=1e-13))


def scaled(scores: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float32]:
    """σ(logit(p) / T) of any array of scores in [0, 1]; NaN, 0 and 0.5 stay, no score reaches 0.5."""
    from scipy.special import expit, logit

    values = np.asarray(scores, np.float64)
    result = expit(logit(np.minimum(values, ALMOST_ONE)) / temperature).astype(np.float32)
    half = np.float32(0.5)
    above, below = np.nextafter(half, np.float32(1)), np.nextafter(half, np.float32(0))
    result = np.where(values > 0.5, np.maximum(result, above), result)
    return np.asarray(np.where(values < 0.5, np.minimum(result, below), result), np.float32)
