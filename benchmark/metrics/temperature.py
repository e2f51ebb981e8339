"""Temperature scaling: one number, fitted on validation slides, that makes scores less or more extreme.

Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017; for two classes it is
Platt's scaling without an offset. p' = σ(logit(p) / T): the order of scores and the side of 0.5 on which they lie stay,
and with them every decision at 0.5. Scores that come to the same float32 become equal: T < 1 drives high scores so near
to 1 (T = 0.2: those above 0.97) that AUC can change; T > 1 joins only scores that differ in their last bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.score_sums import ScoreSums

TEMPERATURES = 2
"""Version of this file: part of the identity of runs with scaled scores, raised when a change alters them."""

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures are looked for between these. One that lies at an end is no estimate."""

CLIP = 1e-7
"""Scores nearer to 0 count as so far from it in the fit, for one wrong 0 would have an infinite loss."""

ALMOST_ONE = 1 - 2.0**-25
"""What a score of 1 counts as: float32 rounds to 1 whatever lies nearer to it."""


def fit_temperature(sums: ScoreSums) -> float | str:
    """The T that minimises the negative log-likelihood −Σ y ln p' + (1 − y) ln(1 − p'), or why there is none.

    The loss is convex in b = 1/T: its derivative Σ z (σ(b z) − y), z = logit(p), has one root. Of a group of cells the
    mean score stands for all; of units every score for itself. A score of exactly 0, which no T changes, says that
    nothing is there and has no part in the fit. There is no T unless both classes occur, for scores that are all 0.5,
    and where the loss falls all the way to an end of the range: validation scores that separate the classes, or rank
    them the wrong way.
    """
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    count, positive, total = (part[sums.sums[2] > 0] for part in sums.sums[:3])
    if not 0 < positive.sum() < count.sum():
        return "on the validation slides the scores above 0 are of one class"
    evidence = logit(np.clip(total / count, CLIP, ALMOST_ONE))
    if not evidence.any():
        return "on the validation slides all score 0.5"

    def slope(inverse: float) -> float:
        return float((evidence * (count * expit(inverse * evidence) - positive)).sum())

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return f"the validation scores say less than nothing of the classes: the best one is above {HOTTEST:g}"
    if slope(high) <= 0:
        return f"the validation scores separate the classes: the best one is below {COLDEST:g}"
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
