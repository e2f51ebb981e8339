"""The uncertainty of specificity at a required sensitivity when its threshold is chosen on the same units.

The ordinary bootstrap is not consistent for a minimum: it leaves out the lowest positive with probability 0.37 and
never draws a lower one. Fewer are drawn here than there are, m = round(n^0.7), as Bickel, Götze and van Zwet
(Statistica Sinica 1997) do, and the threshold is chosen again in every resample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.classification import spec_at_sensitivity
from benchmark.metrics.statistics import Floats, Ints, draw_counts, percentile_interval
from benchmark.seeds import generator

EXPONENT = 0.7
"""m = round(n ** 0.7) of n patients are drawn."""

BLOCK = 4_000_000
"""Cells of the table resamples × units that are held at once."""


@dataclass(frozen=True)
class Reselected:
    """The 95 % interval of a specificity whose threshold each resample of `drawn` of the `patients` chose again.

    `interval` is None when the specificity is the same in every resample, which says nothing about its spread.
    """

    interval: tuple[float, float] | None
    drawn: int
    patients: int
    resamples: int


def reselected(
    labels: ArrayLike, scores: ArrayLike, patients: Ints, target: float = 1.0, *, resamples: int = 1000, seed: int = 0
) -> Reselected | None:
    """The m-out-of-n bootstrap of `spec_at_sensitivity`, over patients.

    The interval is reflected, s − (s* − s) for the specificities s* of the resamples, and cut to [0, 1]. A resample can
    only raise the lowest positive score, as the sample itself did to that of all patients, so the percentiles of s* lie
    on the wrong side of s. It is not narrowed by the rate of convergence, which depends on unknown tails: it is as wide
    as m patients make it, on the safe side.

    Args:
        labels: n values, 0 or 1.
        scores: n numbers; positive from the threshold on.
        patients: n, the number of each unit's patient, 0 … P−1.
        target: the required sensitivity.
        resamples: how many are drawn.
        seed: of the draws.

    Returns:
        The interval; None with fewer than two patients, or without a positive or a negative unit.

    Raises:
        PredictionError: scores that are not a number, labels other than 0 and 1.
    """
    point = spec_at_sensitivity(labels, scores, target)
    count = int(patients.max(initial=-1)) + 1
    if point is None or point.specificity is None or count < 2:
        return None
    strata = np.bincount(patients[np.asarray(labels) == 1], minlength=count) > 0
    draws = some_patients(strata, resamples, seed)
    drawn = int(draws[0].sum())
    interval = percentile_interval(resampled_specificity(labels, scores, patients, draws, target))
    if interval is None:
        return Reselected(None, drawn, count, resamples)
    low, high = (min(max(2 * point.specificity - end, 0.0), 1.0) for end in reversed(interval))
    return Reselected((low, high), drawn, count, resamples)


def resampled_specificity(
    labels: ArrayLike, scores: ArrayLike, patients: Ints, draws: Floats, target: float = 1.0
) -> Floats:
    """Specificity at the required sensitivity in every resample, one value per row of `draws` (resamples × patients).

    Each row is what `spec_at_sensitivity` gives when a patient's units occur as often as it was drawn; NaN where no
    positive or no negative unit was. The scores are sorted once, not once per resample.
    """
    truth, values = np.asarray(labels) == 1, np.asarray(scores, dtype=np.float64)
    positive, owners = _sorted(values[truth], patients[truth])
    negative, others = _sorted(values[~truth], patients[~truth])
    specificities = np.full(len(draws), np.nan)
    if not positive.size or not negative.size:
        return specificities
    step = max(1, BLOCK // values.size)
    for first in range(0, len(draws), step):
        part = draws[first : first + step]
        hits, alarms = np.cumsum(part[:, owners], axis=1), np.cumsum(part[:, others], axis=1)
        misses = np.floor((1 - target) * hits[:, -1] + 1e-9)
        place = np.minimum((hits <= misses[:, None]).sum(axis=1), positive.size - 1)
        below = np.searchsorted(negative, positive[place], side="left")
        rejected = np.where(below > 0, alarms[np.arange(len(part)), below - 1], 0.0)
        defined = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
        np.divide(rejected, alarms[:, -1], out=specificities[first : first + step], where=defined)
    return specificities


def _sorted(scores: Floats, patients: Ints) -> tuple[Floats, Ints]:
    order = np.argsort(scores, kind="stable")
    return scores[order], patients[order]


def some_patients(strata: NDArray[np.bool_], resamples: int, seed: int) -> Floats:
    """How often each patient is among m, resamples × patients, `strata` (those with a positive unit) in proportion."""
    rng = generator("metrics", "m-out-of-n", seed)
    count, with_ = strata.size, int(strata.sum())
    drawn = round(count**EXPONENT)
    first = drawn if with_ == count else min(max(1, round(drawn * with_ / count)), drawn - 1)
    draws = np.zeros((resamples, count))
    for members, size in ((np.flatnonzero(strata), first), (np.flatnonzero(~strata), drawn - first)):
        if members.size:
            draws[:, members] = draw_counts(rng, members.size, size, resamples)
    return draws
