"""The scores of cells by class, from which their ranking is judged: AUC, average precision, best F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.pooled import Floats, ratio

DISTINCT = 65_536
"""A slide with more distinct scores has them rounded to 12 binary digits of their mantissa."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Distinct scores, ascending, and how many positive and negative cells have each (n each)."""

    values: NDArray[np.float32]
    positive: NDArray[np.int64]
    negative: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[np.bool_], scores: NDArray[np.float32], where: NDArray[np.bool_]) -> Ranked:
        """The cells of one slide that `where` names. Scores of more than `DISTINCT` values are rounded."""
        cells, positive = scores[where].astype(np.float32), truth[where]
        values, places = np.unique(cells, return_inverse=True)
        if values.size > DISTINCT:
            mantissa, exponent = np.frexp(cells)
            values, places = np.unique(np.ldexp(np.rint(mantissa * 4096) / 4096, exponent), return_inverse=True)
        hits = np.bincount(places[positive], minlength=values.size)
        return cls(values.astype(np.float32), hits, np.bincount(places, minlength=values.size) - hits)

    @classmethod
    def pooled(cls, parts: Sequence[Ranked]) -> Ranked:
        """The cells of several slides together."""
        values = np.unique(np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)]))
        counts = np.zeros((2, values.size), np.int64)
        for part in parts:
            places = np.searchsorted(values, part.values)
            counts[0, places] += part.positive
            counts[1, places] += part.negative
        return cls(values, counts[0], counts[1])

    def at_least(self, threshold: float) -> tuple[int, int]:
        """How many positive and negative cells have a score of at least `threshold`."""
        start = int(np.searchsorted(self.values, np.float32(threshold)))
        return int(self.positive[start:].sum()), int(self.negative[start:].sum())

    def best_f1(self) -> tuple[float, float] | None:
        """The highest F1 over all thresholds and the highest threshold that gives it; None without a positive cell."""
        total = int(self.positive.sum())
        if not total:
            return None
        hits, called = (np.cumsum(counts[::-1]) for counts in (self.positive, self.positive + self.negative))
        values = 2 * hits / (called + total)
        best = int(np.argmax(values))
        return float(values[best]), float(self.values[::-1][best])


def auc_of(positive: Floats, negative: Floats) -> Floats:
    """P(s+ > s−) + P(s+ = s−)/2 from counts per ascending score (… × n); NaN where a class is missing."""
    below = np.cumsum(negative, axis=-1) - negative / 2
    return ratio((positive * below).sum(axis=-1), positive.sum(axis=-1) * negative.sum(axis=-1))


def average_precision_of(positive: Floats, negative: Floats) -> Floats:
    """Σ (R_k − R_(k−1)) P_k over falling thresholds, from counts per ascending score (… × n); NaN without positives."""
    hits, called = (np.cumsum(counts[..., ::-1], axis=-1) for counts in (positive, positive + negative))
    precision = np.nan_to_num(ratio(hits, called))
    return ratio((positive[..., ::-1] * precision).sum(axis=-1), positive.sum(axis=-1))
