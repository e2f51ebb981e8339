"""The paired comparison of two specificities: McNemar's exact test and a bootstrap over patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmark.errors import PredictionError
from benchmark.metrics.statistics import patient_draws, percentile_interval


@dataclass(frozen=True)
class McNemar:
    """How often only the first of two raters is right, how often only the other, and the exact two-sided p value."""

    only_one: int
    only_other: int
    p: float


@dataclass(frozen=True)
class SpecificityTest:
    """Two specificities on the same negative units, at thresholds that are held fixed.

    `difference` is `one` minus `other`. `test` assumes independent units; `interval` (95 %) draws patients, and
    is None with one patient, or when all resamples agree.
    """

    one: float
    other: float
    difference: float
    interval: tuple[float, float] | None
    test: McNemar
    negatives: int
    patients: int


def mcnemar(one: ArrayLike, other: ArrayLike) -> McNemar:
    """McNemar's exact test that two raters are right equally often on the same n cases (true = right).

    Among the b + c cases on which just one of them is right, each is so with probability 1/2 under the hypothesis:
    p = min(1, 2 P(X ≤ min(b, c))) with X binomial. 1 without such a case. `ValueError` for lists that do not pair.
    Source: McNemar, Psychometrika 1947; the exact form is the sign test.
    """
    first, second = np.asarray(one, dtype=np.bool_), np.asarray(other, dtype=np.bool_)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"the test needs two equally long lists, got {first.shape} and {second.shape}")
    from scipy.special import bdtr

    b, c = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    return McNemar(b, c, min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5))))


def compare_specificity(
    labels: ArrayLike,
    one: ArrayLike,
    other: ArrayLike,
    thresholds: tuple[float, float],
    patients: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> SpecificityTest | None:
    """Specificity of `one` minus that of `other`, each at its own threshold, on the same negatives.

    A negative is right when its score < the threshold. The thresholds are held fixed: neither p nor the interval
    includes the uncertainty of how they were chosen.

    Args:
        labels: n values, 0 or 1; only the units with 0 count.
        one: n scores.
        other: n scores of the same units.
        thresholds: that of `one`, that of `other`.
        patients: n names or numbers; units of one patient are drawn together.
        resamples: of the bootstrap over the patients that have a negative unit.
        seed: of the draws.

    Returns:
        The comparison; None without a negative unit.

    Raises:
        PredictionError: lists of different lengths, scores that are not a number.
    """
    truth, scores = np.asarray(labels), [np.asarray(each, dtype=np.float64) for each in (one, other)]
    names = np.asarray(patients)
    if any(each.shape != truth.shape for each in (*scores, names)):
        shapes = ", ".join(str(each.shape) for each in (truth, *scores, names))
        raise PredictionError(f"expected one label, two scores and a patient per unit, got shapes {shapes}")
    if any(np.isnan(each).any() for each in scores):
        raise PredictionError("a unit score is not a number")
    negative = truth == 0
    if not negative.any():
        return None
    right = [each[negative] < threshold for each, threshold in zip(scores, thresholds, strict=True)]
    owners, place = np.unique(names[negative], return_inverse=True)
    gain = np.bincount(place, right[0].astype(np.int64) - right[1].astype(np.int64), minlength=owners.size)
    units = np.bincount(place, minlength=owners.size)
    interval = None
    if owners.size > 1:
        draws = patient_draws(owners.size, resamples, seed)
        interval = percentile_interval((draws @ gain) / (draws @ units))
    return SpecificityTest(
        one=float(right[0].mean()),
        other=float(right[1].mean()),
        difference=float(gain.sum() / units.sum()),
        interval=interval,
        test=mcnemar(*right),
        negatives=int(units.sum()),
        patients=int(owners.size),
    )
