"""Which K of the unreviewed items the expert is asked about next.

A strategy sees the items as a `Ranking`, closest to the query first, and returns the numbers of those it chooses.
Nothing here is random but `at_random`, and equal values are told apart by distance, then by number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]
Need = Literal["list", "classifier", "reviewed"]

DIGITS = 9
"""Entropies and margins that agree to so many decimals are equal."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The unreviewed items, closest to the query first.

    `items`: their numbers, M. `probabilities`: of the classifier f_cl, M × C. `positive`: M, whether f_cl predicts the
    class of the query. `embeddings`: of the retrieval net f_ret, M × d; `reviewed`: those of the reviewed items and
    queries. A strategy has what it needs, the rest may be None.
    """

    items: Numbers
    probabilities: Floats | None = None
    positive: NDArray[np.bool_] | None = None
    embeddings: Floats | None = None
    reviewed: Floats | None = None


Selection = Callable[[Ranking, int, np.random.Generator], Numbers]


@dataclass(frozen=True)
class Strategy:
    """`needs`: what a ranking must hold beside the items. `select`: ranking, K, generator → K numbers."""

    select: Selection
    needs: frozenset[Need] = frozenset()


def at_random(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """Uniform without replacement from all unreviewed items; the list has no influence."""
    items = np.sort(ranking.items)
    return items[rng.choice(items.size, min(k, items.size), replace=False)]


def top_k(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """The K closest."""
    return ranking.items[:k]


def front_mid_end(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """A third each from front, middle and end of the list; the front takes the rest first, then the middle."""
    size = ranking.items.size
    if k >= size:
        return ranking.items
    front, end = -(-k // 3), k // 3
    middle = k - front - end
    start = size // 2 - middle // 2
    return np.concatenate([ranking.items[:front], ranking.items[start : start + middle], ranking.items[size - end :]])


def cnfp(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """Closest negatives, then farthest positives: what f_cl calls negative though near, positive though far.

    K - K // 2 negatives and K // 2 positives; where one side is short, the other fills up in its own order.
    """
    assert ranking.positive is not None
    positives, negatives = ranking.items[ranking.positive][::-1], ranking.items[~ranking.positive]
    n_fp = min(k // 2, positives.size)
    n_cn = min(k - n_fp, negatives.size)
    return np.concatenate([negatives[:n_cn], positives[: k - n_cn]])


def hybrid(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """Half (rounded up) by CNFP, the others front-mid-end on the list without those."""
    first = cnfp(ranking, -(-k // 2), rng)
    others = Ranking(ranking.items[~np.isin(ranking.items, first)])
    return np.concatenate([first, front_mid_end(others, k - first.size, rng)])


def most_uncertain(uncertainty: NDArray[np.float64], items: Numbers, k: int) -> Numbers:
    """The K items of highest uncertainty (M values in the order of the list); of equal ones, the closest."""
    return items[np.argsort(-np.round(uncertainty, DIGITS), kind="stable")[:k]]


def entropy(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """The K of highest entropy H = -Σ p ln p of f_cl."""
    assert ranking.probabilities is not None
    p = ranking.probabilities.astype(np.float64)
    return most_uncertain(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1), ranking.items, k)


def margin(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """The K whose two most probable classes differ least (Scheffer et al., 2001)."""
    assert ranking.probabilities is not None
    ordered = np.sort(ranking.probabilities.astype(np.float64), axis=1)
    return most_uncertain(ordered[:, -2] - ordered[:, -1], ranking.items, k)


def coreset(ranking: Ranking, k: int, rng: np.random.Generator) -> Numbers:
    """k-center greedy (Sener, Savarese, 2018): each time the item farthest from everything reviewed or chosen.

    Euclidean distance of f_ret's embeddings; of items at one distance, the one closest to the query.
    """
    assert ranking.embeddings is not None and ranking.reviewed is not None
    points = ranking.embeddings
    nearest = np.full(len(points), np.inf, np.float32)
    for centre in ranking.reviewed:
        np.minimum(nearest, squared(points, centre), out=nearest)
    chosen: list[int] = []
    for _ in range(min(k, len(points))):
        chosen.append(int(nearest.argmax()))
        np.minimum(nearest, squared(points, points[chosen[-1]]), out=nearest)
        nearest[chosen] = -1.0
    return ranking.items[chosen]


def squared(points: Floats, centre: Floats) -> Floats:
    """Squared Euclidean distance of every point (M × d) to one, by plain differences: equal points, equal distances."""
    from .retrieval import squared_distances

    return squared_distances(centre, points)


STRATEGIES: Mapping[str, Strategy] = {
    "random": Strategy(at_random),
    "top-k": Strategy(top_k, frozenset({"list"})),
    "front-mid-end": Strategy(front_mid_end, frozenset({"list"})),
    "cnfp": Strategy(cnfp, frozenset({"list", "classifier"})),
    "cnfp-fme": Strategy(hybrid, frozenset({"list", "classifier"})),
    "entropy": Strategy(entropy, frozenset({"list", "classifier"})),
    "margin": Strategy(margin, frozenset({"list", "classifier"})),
    "coreset": Strategy(coreset, frozenset({"list", "reviewed"})),
}
"""By the name under which the method is registered."""
