"""Are scores probabilities? Calibration error and the Brier score with its parts, from sums over bins.

Notation: n scores p in [0, 1] with outcomes y in {0, 1}; bin m of M holds n_m of them, with the means p̄_m and ȳ_m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.pooled import ratio
from benchmark.metrics.score_sums import ScoreSums

Floats = NDArray[np.float64]

MOST_BINS = 15
"""As in Guo et al., 2017."""


def bins_for(count: int) -> int:
    """M = min(15, ⌊√n⌋), at least 1: fewer bins for fewer scores, because a bin of two or three is noise."""
    return max(1, min(MOST_BINS, int(np.sqrt(count))))


def expected_calibration_error(binned: Floats) -> Floats:
    """ECE = Σ_m n_m/n |ȳ_m − p̄_m| over bins of equal mass; NaN without scores.

    Sources: Naeini, Cooper and Hauskrecht, AAAI 2015 (the error); Nguyen and O'Connor, EMNLP 2015 (bins of equal
    mass, "adaptive binning": as many scores in each, where bins of equal width leave most of them empty). It is biased
    upwards: of perfectly calibrated scores, bins of few scores still differ from their means (`ece_by_chance`).

    Args:
        binned: … × 5 × M, the rows of `ScoreSums.sums` per bin.
    """
    return ratio(np.abs(binned[..., 1, :] - binned[..., 2, :]).sum(axis=-1), binned[..., 0, :].sum(axis=-1))


def brier_score(binned: Floats) -> Floats:
    """BS = 1/n Σ (p − y)², exact whatever the bins; NaN without scores. Source: Brier, 1950.

    Args:
        binned: … × 5 × M, the rows of `ScoreSums.sums` per bin.
    """
    _, positive, _, squares, hits = np.moveaxis(binned, -2, 0).sum(axis=-1)
    return ratio(squares - 2 * hits + positive, binned[..., 0, :].sum(axis=-1))


@dataclass(frozen=True)
class BrierParts:
    """`brier` = `reliability` − `resolution` + `uncertainty` + `remainder`."""

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    remainder: float


def brier_parts(binned: Floats) -> BrierParts | None:
    """The parts of the Brier score; None without scores.

    REL = Σ n_m/n (p̄_m − ȳ_m)², how far scores are from shares; RES = Σ n_m/n (ȳ_m − ȳ)², how far the bins' shares are
    from that of all, higher is better; UNC = ȳ (1 − ȳ), of the data alone. Murphy's identity BS = REL − RES + UNC
    (Journal of Applied Meteorology 12, 1973) holds where all scores of a bin are equal. Where they are not, there is a
    remainder, the within-bin variance less the within-bin covariance (Stephenson, Coelho and Jolliffe, Weather and
    Forecasting 23, 2008): 1/n Σ_m Σ_(i in m) [(p_i − p̄_m)² − 2 (p_i − p̄_m)(y_i − ȳ_m)].

    Args:
        binned: 5 × M, the rows of `ScoreSums.sums` per bin.
    """
    count, positive, total, squares, hits = binned
    n = count.sum()
    if not n:
        return None
    scores, shares, share = ratio(total, count), ratio(positive, count), positive.sum() / n
    used = count > 0
    within = squares - total * scores - 2 * (hits - total * shares)
    return BrierParts(
        brier=float(brier_score(binned)),
        reliability=float((count * (scores - shares) ** 2)[used].sum() / n),
        resolution=float((count * (shares - share) ** 2)[used].sum() / n),
        uncertainty=float(share * (1 - share)),
        remainder=float(within[used].sum() / n),
    )


def ece_by_chance(sums: ScoreSums, bins: NDArray[np.int64], rng: np.random.Generator, resamples: int = 1000) -> Floats:
    """The ECE of outcomes that are drawn with the scores themselves as probabilities, one per resample.

    What perfectly calibrated scores would show with so many scores and such bins, the scores being independent; the
    idea of consistency bars (Bröcker and Smith, Weather and Forecasting 22, 2007).
    """
    count, total = sums.sums[0], sums.sums[2]
    drawn = rng.binomial(count.astype(np.int64), np.clip(total / count, 0, 1), size=(resamples, count.size))
    gaps = np.zeros((resamples, int(bins.max(initial=-1)) + 1))
    np.add.at(gaps.T, bins, (drawn - total).T)
    return np.asarray(np.abs(gaps).sum(axis=1) / sums.count, np.float64)
