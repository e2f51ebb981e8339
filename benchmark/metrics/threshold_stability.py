"""The threshold at 100 % sensitivity, chosen again on other patients: where would it lie, what would it miss?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmark.metrics.at_sensitivity import resampled_specificity, some_patients
from benchmark.metrics.statistics import Floats, Ints

QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)


@dataclass(frozen=True)
class Stability:
    """The threshold of all units, and the `QUANTILES` of those that resamples of `drawn` of the `patients` choose.

    `specificities`: the same quantiles of the specificity that each resample sees at its own threshold. `missed`: mean
    share of all positive units below the threshold of a resample.
    """

    threshold: float
    thresholds: tuple[float, ...]
    specificities: tuple[float, ...]
    missed: float
    drawn: int
    patients: int
    resamples: int


def threshold_stability(
    labels: ArrayLike, scores: ArrayLike, patients: Ints, *, resamples: int = 1000, seed: int = 0
) -> Stability | None:
    """The m-out-of-n bootstrap of the lowest positive score, over patients; the resamples are those of `reselected`.

    Fewer patients are drawn than there are, m = n^0.7, because the ordinary bootstrap of a minimum is not consistent.
    A resample's threshold is never below that of all units: it shows how fast it rises when patients are fewer.

    Args:
        labels: n values, 0 or 1.
        scores: n numbers; positive from the threshold on.
        patients: n, the number of each unit's patient, 0 … P−1.
        resamples: how many are drawn.
        seed: of the draws.

    Returns:
        None with fewer than two patients, or without a positive or a negative unit.
    """
    truth, values = np.asarray(labels) == 1, np.asarray(scores, np.float64)
    count = int(patients.max(initial=-1)) + 1
    if count < 2 or truth.all() or not truth.any():
        return None
    strata = np.bincount(patients[truth], minlength=count) > 0
    draws = some_patients(strata, resamples, seed)
    chosen = resampled_thresholds(labels, scores, patients, draws)
    rates = resampled_specificity(labels, scores, patients, draws)
    known = chosen[~np.isnan(chosen)]
    if not known.size:
        return None
    positive = np.sort(values[truth])
    return Stability(
        threshold=float(positive[0]),
        thresholds=tuple(map(float, np.quantile(known, QUANTILES))),
        specificities=tuple(map(float, np.nanquantile(rates, QUANTILES))),
        missed=float((np.searchsorted(positive, known, side="left") / positive.size).mean()),
        drawn=int(draws[0].sum()),
        patients=count,
        resamples=resamples,
    )


def resampled_thresholds(labels: ArrayLike, scores: ArrayLike, patients: Ints, draws: Floats) -> Floats:
    """The lowest positive score of every resample (a row of `draws`, resamples × patients); NaN where it has none."""
    truth, values = np.asarray(labels) == 1, np.asarray(scores, np.float64)
    lowest = np.full(draws.shape[1], np.inf)
    np.minimum.at(lowest, patients[truth], values[truth])
    chosen = np.where(draws > 0, lowest, np.inf).min(axis=1)
    return np.asarray(np.where(np.isinf(chosen), np.nan, chosen), np.float64)
