"""Uncertainty: the bootstrap over patients, and tests between methods.

Slides and units of one patient are not independent, so patients are drawn, never slides or units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.signed_rank import SignedRank, wilcoxon
from benchmark.seeds import generator

__all__ = [
    "SignedRank",
    "draw_counts",
    "holm",
    "patient_draws",
    "percentile_interval",
    "resampled_auc",
    "stars",
    "wilcoxon",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95
"""Coverage of all intervals."""

DEFINED_SHARE = 0.95
"""Share of the resamples in which a metric must be defined for an interval."""


def patient_draws(patients: int, resamples: int, seed: int, strata: ArrayLike | None = None) -> Floats:
    """How often each patient is drawn in each resample, resamples × patients; rows sum to `patients`.

    With `strata` (one value per patient) as many are drawn from each stratum as it holds.
    """
    groups = np.zeros(patients, dtype=np.int64) if strata is None else np.asarray(strata)
    rng = generator("metrics", "bootstrap", seed)
    draws = np.zeros((resamples, patients))
    for stratum in np.unique(groups):
        members = np.flatnonzero(groups == stratum)
        draws[:, members] = draw_counts(rng, len(members), len(members), resamples)
    return draws


def draw_counts(rng: np.random.Generator, members: int, size: int, resamples: int) -> Ints:
    """How often each member is among `size` drawn with replacement, resamples × members."""
    chosen = rng.integers(members, size=(resamples, size))
    cells = (chosen + np.arange(resamples)[:, None] * members).ravel()
    return np.bincount(cells, minlength=resamples * members).reshape(resamples, members)


def percentile_interval(samples: Floats) -> tuple[float, float] | None:
    """The middle 95 % of bootstrap values, NaN (undefined) ones left out.

    None when fewer than 95 % are defined, or when all are equal, which says nothing about the spread.
    """
    defined = samples[~np.isnan(samples)]
    if not defined.size or defined.size < DEFINED_SHARE * samples.size or defined.min() == defined.max():
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def resampled_auc(labels: ArrayLike, scores: ArrayLike, patients: Ints, draws: Floats, block: int = 256) -> Floats:
    """The AUC of every resample, one value per row of `draws`; NaN where it lacks positives or negatives.

    `patients` (n) numbers each unit's patient 0 … P−1. AUC_r = Σ_pq w_rp w_rq A_pq / (Σ_p w_rp n+_p · Σ_q w_rq n−_q),
    where A_pq is the Mann-Whitney count of patient p's positives over patient q's negatives, a tie counting one half:
    the scores are sorted once, not once per resample. Costs n·P + R·P² in blocks of negative patients.
    """
    truth, count = np.asarray(labels) == 1, draws.shape[1]
    levels, value = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    order = np.argsort(patients[truth], kind="stable")
    owners, starts = np.unique(patients[truth][order], return_index=True)
    rows = value[truth][order]
    wins = np.zeros(len(draws))
    for first in range(0, count, block):
        members = ~truth & (patients >= first) & (patients < first + block)
        width = min(block, count - first)
        cells = value[members] * width + patients[members] - first
        table = np.bincount(cells, minlength=len(levels) * width).reshape(len(levels), width)
        beaten = (np.cumsum(table, axis=0) - 0.5 * table)[rows]
        if len(starts):
            pairs = np.add.reduceat(beaten, starts, axis=0)
            wins += np.einsum("rq,rq->r", draws[:, owners] @ pairs, draws[:, first : first + width])
    positives = draws @ np.bincount(patients[truth], minlength=count)
    negatives = draws @ np.bincount(patients[~truth], minlength=count)
    total = positives * negatives
    values: Floats = np.divide(wins, total, out=np.full(len(draws), np.nan), where=total > 0)
    return values


STARS = (0.05, 1e-2, 1e-3, 1e-4)
"""P values at or below which one, two, three, four stars are given (LC-MIL, Fig. 7)."""


def stars(p: float) -> str:
    """One star for each level of `STARS` that `p` does not exceed; empty when it is not significant."""
    return "*" * sum(p <= level for level in STARS)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down rule, in the order given.

    The i-th smallest of m becomes the running maximum of (m − i + 1) · p_(i), at most 1. Holm, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return [float(value) for value in corrected]
