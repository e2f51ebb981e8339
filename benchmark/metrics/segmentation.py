"""Cell-level metrics (pixels on tiles, patches on whole slides), all from one pooled confusion matrix.

Pooled means: counts are added over slides first, then put into the formula (OEEM, released evaluation).
Class 1 is the positive class (foreground), class 0 the negative one (background); both count in `miou`.
Undefined, where a formula divides by zero, is None: neither 0 nor 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.pooled import Counts, Floats, PooledMetric, ratio


@dataclass(frozen=True)
class Confusion(Counts):
    """Numbers of cells: true positive, false positive, false negative, true negative."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(
        cls, truth: NDArray[np.bool_], predicted: NDArray[np.bool_], where: NDArray[np.bool_] | None = None
    ) -> Confusion:
        """Count the cells of two masks of one shape, only those in `where` when it is given."""
        counted = truth.size if where is None else int(np.count_nonzero(where))
        if where is not None:
            truth, predicted = truth & where, predicted & where
        tp = int(np.count_nonzero(truth & predicted))
        fp = int(np.count_nonzero(predicted)) - tp
        fn = int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, counted - tp - fp - fn)


@PooledMetric
def iou(tp: Floats, fp: Floats, fn: Floats) -> Floats:
    """Foreground intersection over union: TP / (TP + FP + FN)."""
    return ratio(tp, tp + fp + fn)


@PooledMetric
def iou_background(tn: Floats, fp: Floats, fn: Floats) -> Floats:
    """Background intersection over union: TN / (TN + FP + FN)."""
    return ratio(tn, tn + fp + fn)


@PooledMetric
def miou(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Mean of the two class IoUs, (IoU_0 + IoU_1) / 2; the background is a class (OEEM, Table 1)."""
    return (ratio(tp, tp + fp + fn) + ratio(tn, tn + fp + fn)) / 2


@PooledMetric
def dice(tp: Floats, fp: Floats, fn: Floats) -> Floats:
    """Foreground Dice = foreground F1 = 2 TP / (2 TP + FP + FN)."""
    return ratio(2 * tp, 2 * tp + fp + fn)


def dice_of(mean_iou: float) -> float:
    """Dice as OEEM's tables print it, a function of mIoU: 2 m / (1 + m). Shares in, shares out."""
    return 2 * mean_iou / (1 + mean_iou)


@PooledMetric
def dice_from_miou(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """The other reading of Dice: 2 mIoU / (1 + mIoU), see `dice_of`. Never below `f1_macro`."""
    mean = miou.many({"tp": tp, "fp": fp, "fn": fn, "tn": tn})
    return ratio(2 * mean, 1 + mean)


@PooledMetric
def f1_macro(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Mean over the two classes of TP_c / (TP_c + (FP_c + FN_c) / 2) (OEEM, released evaluation)."""
    return (ratio(tp, tp + (fp + fn) / 2) + ratio(tn, tn + (fp + fn) / 2)) / 2


@PooledMetric
def f1_macro_or_one(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Mean F1 of both classes; one that is in neither truth nor prediction scores 1. NaN without cells."""
    return _mean_or_one(ratio(2 * tp, 2 * tp + fp + fn), ratio(2 * tn, 2 * tn + fp + fn), tp + fp + fn + tn)


@PooledMetric
def jaccard_macro_or_one(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Mean IoU of both classes; one that is in neither truth nor prediction scores 1. NaN without cells."""
    return _mean_or_one(ratio(tp, tp + fp + fn), ratio(tn, tn + fp + fn), tp + fp + fn + tn)


def _mean_or_one(foreground: Floats, background: Floats, cells: Floats) -> Floats:
    mean = (np.where(np.isnan(foreground), 1.0, foreground) + np.where(np.isnan(background), 1.0, background)) / 2
    return np.where(cells > 0, mean, np.nan)


@PooledMetric
def tpr(tp: Floats, fn: Floats) -> Floats:
    """True positive rate (recall, sensitivity): TP / (TP + FN). Zero when nothing is predicted positive."""
    return ratio(tp, tp + fn)


@PooledMetric
def ppv(tp: Floats, fp: Floats) -> Floats:
    """Positive predictive value (precision): TP / (TP + FP)."""
    return ratio(tp, tp + fp)


@PooledMetric
def npv(tn: Floats, fn: Floats) -> Floats:
    """Negative predictive value: TN / (TN + FN)."""
    return ratio(tn, tn + fn)


@PooledMetric
def accuracy(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Share of cells that are right: (TP + TN) / (TP + FP + FN + TN)."""
    return ratio(tp + tn, tp + fp + fn + tn)
