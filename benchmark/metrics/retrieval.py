"""Retrieval among patches: P@10, a name for two different metrics in the literature.

Both are macro averages: mean over the queries of a class, then over classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
"""The 10 of P@10: also the denominator when the gallery holds fewer items."""

BLUR = 8 * np.finfo(np.float64).eps
"""Times dimensions times the largest squared length: more than products of matrices err in a distance."""


def neighbour_hits(features: NDArray[np.floating], labels: NDArray[np.integer], block: int = 1024) -> NDArray[np.int64]:
    """For each query, how many of its 10 nearest neighbours have its class.

    `features` n × d, `labels` n. Leave-one-out: every item is a query against all the others. Plain Euclidean
    distance, ties to the lower index. `block` queries are compared at a time, so memory is block × n. Items whose
    distance is that of the tenth but for rounding are measured again, alike for all.
    """
    points = np.asarray(features, dtype=np.float64)
    squares = np.einsum("nd,nd->n", points, points)
    blur = BLUR * points.shape[1] * float(squares.max(initial=0.0))
    hits = np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), block):
        queries = np.arange(start, min(start + block, len(points)))
        distances = squares - 2 * points[queries] @ points.T  # + |query|², the same for a whole row
        distances[queries - start, queries] = np.inf
        closest = _closest(points, queries, distances, blur)
        hits[queries] = (labels[closest] == labels[queries, None]).sum(axis=1)
    return hits


def _closest(
    points: NDArray[np.float64], queries: NDArray[np.int64], distances: NDArray[np.float64], blur: float
) -> NDArray[np.int64]:
    """Indices of the ten nearest of each query in any order, of equal ones the first; without sorting the rest."""
    number = min(NEIGHBOURS, len(points) - 1)
    if number < 1:
        return np.empty((len(distances), 0), np.int64)
    closest = np.argpartition(distances, number - 1, axis=1)[:, :number]
    last = np.take_along_axis(distances, closest, axis=1).max(axis=1)
    for row in np.flatnonzero((distances <= last[:, None] + blur).sum(axis=1) > number):
        sure = np.flatnonzero(distances[row] < last[row] - blur)
        unsure = np.flatnonzero(np.abs(distances[row] - last[row]) <= blur)
        exact = ((points[unsure] - points[queries[row]]) ** 2).sum(axis=1)
        closest[row] = np.r_[sure, unsure[np.argsort(exact, kind="stable")[: number - len(sure)]]]
    return closest


def mean_precision_at_10(hits: NDArray[np.int64], labels: NDArray[np.integer]) -> float | None:
    """Mean of hits / 10, macro over classes. `hits` from `neighbour_hits`; None without queries."""
    return _macro(hits / NEIGHBOURS, labels)


def perfect_share_at_10(hits: NDArray[np.int64], labels: NDArray[np.integer]) -> float | None:
    """Share of queries with 10 hits, macro over classes. `hits` from `neighbour_hits`; None without queries."""
    return _macro((hits == NEIGHBOURS).astype(np.float64), labels)


def _macro(values: NDArray[np.float64], labels: NDArray[np.integer]) -> float | None:
    if not values.size:
        return None
    return float(np.mean([values[labels == label].mean() for label in np.unique(labels)]))
