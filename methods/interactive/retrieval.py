"""What is near a query: Euclidean distance of embeddings, ranked lists without arbitrary ties, refined queries."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Refinement = Literal["flat", "two-level", "off"]


def squared_distances(query: Floats, embeddings: Floats) -> Floats:
    """Squared Euclidean distance of every embedding (M × d) to the query (d).

    faiss takes plain differences for a single query: equal embeddings have equal distances. Its flat index gives the
    same distances, but orders ties arbitrarily and sorts all M in five times the time.
    """
    import faiss

    # The raw call reads d and M floats at these addresses: both have to be contiguous float32.
    points = np.ascontiguousarray(embeddings, np.float32)
    centre = np.ascontiguousarray(query, np.float32)
    if points.ndim != 2 or centre.shape != points.shape[1:]:
        raise ValueError(f"a query of shape {centre.shape} does not fit embeddings of shape {points.shape}")
    distances = np.empty(len(points), np.float32)
    if len(points):
        x, y = faiss.swig_ptr(centre), faiss.swig_ptr(points)
        faiss.fvec_L2sqr_ny(faiss.swig_ptr(distances), x, y, points.shape[1], len(points))  # type: ignore[attr-defined]
    return distances


def closest_first(query: Floats, embeddings: Floats) -> NDArray[np.int64]:
    """The order of the embeddings by (distance to the query, number)."""
    distances = squared_distances(query, embeddings)
    order = np.argsort(distances)
    ordered = distances[order]
    if np.any(ordered[1:] == ordered[:-1]):  # the fast sort leaves ties in any order
        order = np.argsort(distances, kind="stable")
    return order


def refined(query: Floats, relevant: Floats, how: Refinement) -> Floats:
    """The query (d) moved towards relevant items (n × d); itself where there are none.

    'flat': mean of all 1 + n vectors. 'two-level': mean of the query and the mean of the relevant items.
    """
    if how == "off" or not len(relevant):
        return query
    if how == "flat":
        mean = np.concatenate([query[None], relevant]).mean(axis=0, dtype=np.float64)
    else:
        mean = (query + relevant.mean(axis=0, dtype=np.float64)) / 2
    return np.asarray(mean, np.float32)
