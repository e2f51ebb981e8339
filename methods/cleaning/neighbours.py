"""Exact k nearest neighbours and their vote."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError

Matrix = NDArray[np.float32]

SPARE = 8
"""Candidates beyond k: the index rounds distances, so the order of the last ones is settled in double precision."""
CHUNK = 1024


def normalised(features: Matrix) -> Matrix:
    """Rows of length 1; then the squared Euclidean distance is 2 - 2 cos. A row of zeros stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit: Matrix = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    return unit


def nearest(queries: Matrix, database: Matrix, k: int, *, own: bool = False) -> NDArray[np.int64]:
    """The `k` rows of `database` nearest to each query (Euclidean), n × k: by distance, then by number.

    `own`: the queries are the database, and no row is its own neighbour. Raises `ConfigError` when there are fewer than
    k rows to choose from.
    """
    import faiss

    available = len(database) - int(own)
    if k > available:
        raise ConfigError(f"{k} neighbours are asked for, and there are {available} cells", fix=f"--set k={available}")
    index = faiss.IndexFlatL2(database.shape[1])
    index.add(np.ascontiguousarray(database, np.float32))
    wanted = min(len(database), k + int(own) + SPARE)
    found = []
    for start in range(0, len(queries), CHUNK):
        part = np.ascontiguousarray(queries[start : start + CHUNK], np.float32)
        _, candidates = index.search(part, wanted)
        excluded = np.arange(start, start + len(part)) if own else None
        found.append(_ranked(part, database, np.sort(candidates, axis=1), excluded)[:, :k])
    return np.concatenate(found)


def votes(labels: NDArray[np.bool_], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each row's neighbours are positive."""
    return np.asarray(labels[neighbours].sum(axis=1, dtype=np.int64))


def _ranked(
    queries: Matrix, database: Matrix, candidates: NDArray[np.int64], excluded: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Candidates, ascending in number, by their exact distance; an excluded one comes last."""
    distances = np.empty(candidates.shape)
    for row, numbers in enumerate(candidates):
        gap = database[numbers].astype(np.float64) - queries[row]
        distances[row] = np.einsum("ij,ij->i", gap, gap)
    if excluded is not None:
        distances[candidates == excluded[:, None]] = np.inf
    return np.take_along_axis(candidates, np.argsort(distances, axis=1, kind="stable"), axis=1)
