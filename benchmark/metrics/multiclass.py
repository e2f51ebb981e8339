"""Metrics of more than two classes, all from one confusion matrix: rows are the truth, columns the prediction.

Every function takes matrices … × C × C of counts and works on the last two axes, so that slides and bootstrap resamples
are evaluated at once. For class c: TP = m[c, c], FP = the rest of its column, FN = the rest of its row. A class that
occurs neither in the truth nor in the prediction scores 1 (scikit-learn's `zero_division=1`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.pooled import Floats, ratio

Matrix = NDArray[np.int64]


def confusion_matrix(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Matrix:
    """C × C numbers of cells, of two class maps of one shape with classes 0 to C − 1."""
    pairs = truth.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def accuracy(matrix: NDArray[np.number]) -> Floats:
    """Share of cells that are right: trace / sum; NaN without cells."""
    return ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def f1_per_class(matrix: NDArray[np.number]) -> Floats:
    """F1 of every class, … × C: 2 TP / (2 TP + FP + FN)."""
    hits, wrong = _counts(matrix)
    return _or_one(ratio(2 * hits, 2 * hits + wrong))


def jaccard_per_class(matrix: NDArray[np.number]) -> Floats:
    """Jaccard index of every class, … × C: TP / (TP + FP + FN)."""
    hits, wrong = _counts(matrix)
    return _or_one(ratio(hits, hits + wrong))


def f1_macro(matrix: NDArray[np.number]) -> Floats:
    """Mean F1 of the classes; NaN without cells."""
    return _of_some(matrix, f1_per_class(matrix).mean(axis=-1))


def jaccard_macro(matrix: NDArray[np.number]) -> Floats:
    """Mean Jaccard index of the classes; NaN without cells."""
    return _of_some(matrix, jaccard_per_class(matrix).mean(axis=-1))


def _counts(matrix: NDArray[np.number]) -> tuple[Floats, Floats]:
    """TP, and FP + FN, of every class."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    return hits, matrix.sum(axis=-1) + matrix.sum(axis=-2) - 2 * hits


def _or_one(values: Floats) -> Floats:
    return np.where(np.isnan(values), 1.0, values)


def _of_some(matrix: NDArray[np.number], values: Floats) -> Floats:
    """The values, but NaN for a matrix without any cell."""
    return np.where(matrix.sum(axis=(-2, -1)) > 0, values, np.nan)
