"""What the metrics of all classes and of retrieval need of a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import PredictionError
from benchmark.method import Prediction
from benchmark.metrics.evidence import Embedded
from benchmark.metrics.multiclass import confusion_matrix
from benchmark.slides import Grid, ScoreMap

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.slides import Slide


def class_counts(
    dataset: Dataset, slide: Slide, prediction: Prediction, scores: ScoreMap, tissue: NDArray[np.bool_] | None
) -> NDArray[np.int64] | None:
    """The confusion matrix of all classes over the cells that count; None for data of two classes, or no classes.

    `scores`: on the evaluation grid; a cell without a score does not count. A cell of another grid has the class of the
    nearest predicted one. Raises `PredictionError` when the classes do not fit the grid or the data.
    """
    names = dataset.classes
    if len(names) <= 2 or prediction.classes is None:
        return None
    own, grid = np.asarray(prediction.classes), prediction.scores.grid
    if own.shape != grid.shape or own.dtype.kind not in "iu":
        msg = f"the classes of slide {slide.id!r} are {own.dtype} {own.shape}, expected whole numbers {grid.shape}"
        raise PredictionError(msg)
    predicted = own[np.ix_(*_nearest(grid, scores.grid))]
    counted = ~np.isnan(scores.values) if tissue is None else ~np.isnan(scores.values) & tissue
    wrong = predicted[counted & ((predicted < 0) | (predicted >= len(names)))]
    if wrong.size:
        msg = f"{wrong.size} scored cells of slide {slide.id!r} have classes such as {wrong[0]}"
        raise PredictionError(f"{msg}; expected 0 to {len(names) - 1}: {', '.join(names)}")
    truth = dataset.truth(slide).labels(scores.grid)
    return confusion_matrix(truth[counted], predicted[counted], len(names))


def embedded_cells(dataset: Dataset, slide: Slide, prediction: Prediction) -> Embedded | None:
    """The embedded cells with their true classes, those left out whose class nobody knows; None without embeddings.

    Raises `PredictionError` when rows, columns and values do not belong together.
    """
    own = prediction.embeddings
    if own is None:
        return None
    grid = prediction.scores.grid
    sizes = {len(own.values), own.rows.size, own.cols.size}
    inside = own.rows.size == 0 or (own.rows.max() < grid.rows and own.cols.max() < grid.cols)
    if len(sizes) > 1 or own.values.ndim != 2 or not inside:
        msg = f"the embeddings of slide {slide.id!r} have shape {own.values.shape} for {own.rows.size} cells"
        raise PredictionError(f"{msg} of a {grid.rows} × {grid.cols} grid; expected n × d, and n rows and columns")
    truth = dataset.truth(slide)
    known = ~truth.ignored(grid)[own.rows, own.cols]
    labels = truth.labels(grid)[own.rows, own.cols]
    return Embedded(np.asarray(own.values)[known], labels[known].astype(np.int64))


def _nearest(own: Grid, wanted: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every row and every column of `wanted`, the row and the column of `own` whose centre is nearest."""
    (x, y), (other_x, other_y) = own.centres, wanted.centres
    return _index(y, other_y), _index(x, other_x)


def _index(own: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    right = np.searchsorted(own, wanted).clip(1, max(1, own.size - 1))
    left = right - 1
    if own.size == 1:
        return left
    return np.where(wanted - own[left] <= own[right] - wanted, left, right)
