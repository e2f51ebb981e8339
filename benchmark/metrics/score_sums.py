"""Scores with their outcomes as sums over groups of nearly equal scores: what calibration needs of any number of cells.

The sums of a group are exact, so that a Brier score of them is that of the single scores; only where a bin may begin
depends on the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import PredictionError

Floats = NDArray[np.float64]

DIGITS = 9
"""Binary digits of a score's distance from the nearer of 0 and 1 that tell groups of cells apart."""

LEAST = 2.0**-24
"""Distances below this are one group with 0 or 1: about the spacing of float32 below 1."""

HALF = 126 << (DIGITS - 1)
"""The number of the group of 0.5 (exponent 126 of a float32, mantissa 0); those of higher scores mirror the lower."""

COLUMNS = ("count", "positive", "total", "squares", "hits")


@dataclass(frozen=True, eq=False)
class ScoreSums:
    """Groups of scores p with outcomes y (1 positive, 0 negative), by ascending score; all arrays are k.

    `keys`: names a group, and orders it among those of other slides: of units the score, of cells a number. `sums`:
    5 × k, the rows n, Σy, Σp, Σp² and Σpy.
    """

    keys: Floats
    sums: Floats

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> ScoreSums:
        """A group per distinct score, so that bins can begin at any of them.

        Raises `PredictionError` for scores that are no probabilities (outside [0, 1], or not a number).
        """
        outcomes, values = np.asarray(labels, np.float64).ravel(), np.asarray(scores, np.float64).ravel()
        if not ((values >= 0) & (values <= 1)).all():
            raise PredictionError("a score that lies outside [0, 1], or is not a number, is no probability")
        names, places = np.unique(values, return_inverse=True)
        columns = (np.ones_like(values), outcomes, values, values * values, values * outcomes)
        sums = [np.bincount(places, weights=column, minlength=names.size) for column in columns]
        return cls(names, np.array(sums, np.float64).reshape(len(COLUMNS), names.size))

    @classmethod
    def of_cells(cls, truth: NDArray[np.bool_], scores: NDArray[np.float32], where: NDArray[np.bool_]) -> ScoreSums:
        """The cells of one slide that `where` names (all rows × cols), in some 12 000 groups at most."""
        single = scores[where].astype(np.float32)
        places, values, outcomes = _groups(single), single.astype(np.float64), truth[where].astype(np.float64)
        columns = (None, outcomes, values, values * values, values * outcomes)
        sums = np.array([np.bincount(places, weights=column, minlength=2 * HALF + 1) for column in columns], np.float64)
        used = np.flatnonzero(sums[0])
        return cls(used.astype(np.float64), sums[:, used])

    @classmethod
    def pooled(cls, parts: Sequence[ScoreSums]) -> ScoreSums:
        """The scores of several slides together."""
        keys = np.unique(np.concatenate([np.empty(0), *(part.keys for part in parts)]))
        sums = np.zeros((len(COLUMNS), keys.size))
        for part in parts:
            sums[:, np.searchsorted(keys, part.keys)] += part.sums
        return cls(keys, sums)

    @property
    def count(self) -> int:
        """How many scores there are."""
        return int(self.sums[0].sum())

    @property
    def positive(self) -> int:
        """How many of them are of positives."""
        return int(self.sums[1].sum())

    def equal_mass(self, most: int) -> NDArray[np.int64]:
        """The bin 0 … M−1 of each group, k: bin ⌊M r / n⌋ for the rank r of its lowest score, r = 0 … n−1.

        So every bin holds n / M scores where no group is larger; a group is never divided. Bins that stay empty are not
        counted. M = `most`.
        """
        before = np.cumsum(self.sums[0]) - self.sums[0]
        wanted = np.floor(most * before / max(self.count, 1)).astype(np.int64)
        return np.unique(wanted, return_inverse=True)[1].astype(np.int64)

    def binned(self, bins: NDArray[np.int64], keys: Floats | None = None) -> Floats:
        """The sums of each bin, 5 × M; `bins`: of the groups `keys`, by default those of this very object."""
        own = bins if keys is None else bins[np.searchsorted(keys, self.keys)]
        count = int(bins.max(initial=-1)) + 1
        rows = [np.bincount(own, weights=row, minlength=count) for row in self.sums]
        return np.array(rows, np.float64).reshape(len(COLUMNS), count)


def _groups(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The number of each score's group, ascending with the score: 0 … HALF … 2 HALF.

    The first bits of a float32 are its exponent and the first digits of its mantissa, and 1 − p is exact for p > 0.5.
    """
    distance = np.minimum(scores, np.float32(1) - scores)
    numbers = (distance.view(np.uint32) >> np.uint32(24 - DIGITS)).astype(np.int64)
    numbers[distance < LEAST] = 0
    return np.asarray(np.where(scores <= 0.5, numbers, 2 * HALF - numbers), np.int64)
