"""All metrics by name, with title, direction, range, unit and definition."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from benchmark.metrics import objects, refinement, segmentation
from benchmark.metrics.pooled import Counts, Floats, PooledMetric, ratio

Needs = Literal[
    "cells", "coverage", "objects", "coarse", "annotation", "units", "validation", "ranked", "classes", "embeddings"
]
Over = Literal["sums", "slides", "pairs"]


@dataclass(frozen=True)
class Coverage(Counts):
    """Numbers of tissue cells with and without a score."""

    scored: int = 0
    unscored: int = 0


@PooledMetric
def coverage(scored: Floats, unscored: Floats) -> Floats:
    """Share of the tissue cells that have a score; all other cell metrics see only these."""
    return ratio(scored, scored + unscored)


@dataclass(frozen=True)
class MetricInfo:
    """The meaning of a metric. `direction`: where better is; "none" (thresholds, p values) is not ranked.

    `needs` names the evidence it is computed from, `undefined` says when it has no value, and `formula` is set
    where the metric follows from pooled sums. `over`: "sums" evaluates it once, of the sums over slides; "slides"
    is the mean of the slides' own values; "pairs" tests the slides' values against those of the coarse annotation.
    """

    title: str
    direction: Literal["up", "down", "none"]
    range: tuple[float, float]
    unit: str
    definition: str
    needs: Needs
    undefined: str = ""
    formula: PooledMetric | None = None
    over: Over = "sums"


def _share(
    title: str, needs: Needs, definition: str, undefined: str = "", formula: PooledMetric | None = None
) -> MetricInfo:
    return MetricInfo(title, "up", (0.0, 1.0), "share", definition, needs, undefined, formula)


def _threshold(title: str, needs: Needs, definition: str) -> MetricInfo:
    return MetricInfo(title, "none", (-inf, inf), "score", definition, needs)


def _cells(title: str, formula: PooledMetric, definition: str, undefined: str) -> MetricInfo:
    return _share(title, "cells", definition, undefined, formula)


def _mean(title: str, needs: Needs, formula: PooledMetric, definition: str, undefined: str) -> MetricInfo:
    rule = f"mean over slides of {definition}; a slide where that is undefined is left out"
    return MetricInfo(title, "up", (0.0, 1.0), "share", rule, needs, undefined, formula, "slides")


def _mean_percent(title: str, direction: Literal["up", "down"], formula: PooledMetric, of: str) -> MetricInfo:
    rule = f"mean over slides of the percent of {of}; a slide where that is undefined is left out"
    undefined = f"the coarse annotation has no {'wrong' if direction == 'up' else 'right'} cell"
    return MetricInfo(title, direction, (0.0, 100.0), "%", rule, "coarse", undefined, formula, "slides")


def _tested(title: str, formula: PooledMetric, what: str) -> MetricInfo:
    rule = f"two-sided Wilcoxon signed-rank test over slides, {what} of the prediction against the coarse annotation"
    undefined = f"no slide has an {what} that differs from that of the coarse annotation"
    return MetricInfo(title, "none", (0.0, 1.0), "p", rule, "annotation", undefined, formula, "pairs")


_NO_CLASS = "one of the two classes appears neither in the truth nor in the prediction"
_NO_FOREGROUND = "no cell is positive, neither in the truth nor in the prediction"
_NO_TRUTH, _NO_CELL = "no cell of the truth is positive", "no tissue cell has a score"

METRICS: Mapping[str, MetricInfo] = {
    "image/auc": _share("AUC", "units", "P(s+ > s−) + P(s+ = s−)/2 over units"),
    "image/sensitivity": _share("Sensitivity", "units", "share of positive units with score >= 0.5"),
    "image/specificity": _share("Specificity", "units", "share of negative units with score < 0.5"),
    "image/specificity_at_100": _share(
        "Specificity at 100 % sensitivity",
        "units",
        "share of negative test units below the lowest positive score of the test units",
    ),
    "image/threshold_at_100": _threshold(
        "Threshold at 100 % sensitivity", "units", "the lowest positive score of the test units"
    ),
    "image/specificity_at_99_5": _share(
        "Specificity at 99.5 % sensitivity", "units", "the same when floor(0.005 n+) positive units may be missed"
    ),
    "image/specificity_at_99": _share(
        "Specificity at 99 % sensitivity", "units", "the same when floor(0.01 n+) positive units may be missed"
    ),
    "image/sensitivity_at_val": _share(
        "Sensitivity (validation threshold)", "validation", "at the lowest positive score of the validation units"
    ),
    "image/specificity_at_val": _share(
        "Specificity (validation threshold)", "validation", "at the lowest positive score of the validation units"
    ),
    "image/threshold_at_val": _threshold(
        "Validation threshold", "validation", "the lowest positive score of the validation units"
    ),
    "image/accuracy_at_youden": _share(
        "Accuracy (Youden's validation threshold)",
        "validation",
        "share of units that are right at the threshold of the largest TPR − FPR of the validation units",
    ),
    "image/f1_at_youden": _share(
        "F1 (Youden's validation threshold)",
        "validation",
        "2TP/(2TP+FP+FN) of units at the threshold of the largest TPR − FPR of the validation units",
    ),
    "image/threshold_at_youden": _threshold(
        "Youden's validation threshold", "validation", "the threshold of the largest TPR − FPR of the validation units"
    ),
    "instance/auc": _share("Instance AUC", "ranked", "P(s+ > s−) + P(s+ = s−)/2 over the cells of all slides, pooled"),
    "instance/average_precision": _share(
        "Instance average precision", "ranked", "Σ (R_k − R_(k−1)) P_k over the cells of all slides, pooled"
    ),
    "instance/f1_at_val": _share(
        "Instance F1 (validation threshold)",
        "ranked",
        "2TP/(2TP+FP+FN) over cells at the threshold of the highest F1 on the cells of the validation slides",
    ),
    "instance/threshold_at_val": _threshold(
        "Instance threshold", "ranked", "the threshold of the highest F1 on the cells of the validation slides"
    ),
    "instance/f1_best": MetricInfo(
        "Best instance F1 (upper bound)",
        "none",
        (0.0, 1.0),
        "share",
        "the highest F1 over all thresholds of the test cells themselves: an upper bound, no result",
        "ranked",
    ),
    "pixel/miou": _cells("mIoU", segmentation.miou, "mean of foreground and background IoU, pooled", _NO_CLASS),
    "pixel/iou": _cells("IoU", segmentation.iou, "TP/(TP+FP+FN), pooled", _NO_FOREGROUND),
    "pixel/iou_background": _cells(
        "IoU of the background",
        segmentation.iou_background,
        "TN/(TN+FP+FN), pooled",
        "no cell is negative, neither in the truth nor in the prediction",
    ),
    "pixel/dice": _cells("Dice", segmentation.dice, "2TP/(2TP+FP+FN) of the foreground, pooled", _NO_FOREGROUND),
    "pixel/dice_from_miou": _cells(
        "Dice from mIoU", segmentation.dice_from_miou, "2m/(1+m) of the pooled mIoU, as OEEM prints Dice", _NO_CLASS
    ),
    "pixel/f1": _cells(
        "F1", segmentation.dice, "foreground F1, the same number as pixel/dice under its other name", _NO_FOREGROUND
    ),
    "pixel/f1_macro": _cells("Macro F1", segmentation.f1_macro, "mean F1 of both classes, pooled", _NO_CLASS),
    "pixel/tpr": _cells("TPR", segmentation.tpr, "TP/(TP+FN), pooled", _NO_TRUTH),
    "pixel/ppv": _cells("PPV", segmentation.ppv, "TP/(TP+FP), pooled", "no cell was predicted positive"),
    "pixel/npv": _cells("NPV", segmentation.npv, "TN/(TN+FN), pooled", "no cell was predicted negative"),
    "pixel/accuracy": _cells("Accuracy", segmentation.accuracy, "(TP+TN)/cells, pooled", _NO_CELL),
    "class/accuracy": _share("Accuracy of all classes", "classes", "share of cells of the right class, pooled"),
    "class/f1_macro": _share(
        "Macro F1 of all classes",
        "classes",
        "mean over classes of 2TP/(2TP+FP+FN), pooled; a class in neither truth nor prediction scores 1",
    ),
    "class/jaccard_macro": _share(
        "Macro Jaccard of all classes",
        "classes",
        "mean over classes of TP/(TP+FP+FN), pooled; a class in neither truth nor prediction scores 1",
    ),
    "pixel/coverage": _share(
        "Coverage", "coverage", "share of tissue cells that have a score", "there is no tissue cell", coverage
    ),
    "object/f1": _share(
        "Object F1",
        "objects",
        "GlaS challenge: a prediction that covers at least half of the object it overlaps most is a hit, an object "
        "without one is missed (as the Matlab code counts); pooled over slides",
        "there is no object, neither in the truth nor in the prediction",
        objects.object_f1,
    ),
    "object/f1_text": _share(
        "Object F1, misses as in the text",
        "objects",
        "GlaS challenge: as object/f1, but an object is missed only when the prediction it overlaps most covers less "
        "than half of it (as the text says); pooled over slides",
        "there is no object, neither in the truth nor in the prediction",
        objects.object_f1_text,
    ),
    "object/dice": _share(
        "Object Dice",
        "objects",
        "GlaS challenge: area-weighted Dice with the most overlapping object, both directions, pooled over slides",
        "there is no object, neither in the truth nor in the prediction",
        objects.object_dice,
    ),
    "object/hausdorff": MetricInfo(
        "Object Hausdorff",
        "down",
        (0.0, inf),
        "cells",
        "GlaS challenge: area-weighted Hausdorff distance to the counterpart, both directions, pooled over slides",
        "objects",
        "truth or prediction has no object on any slide",
        objects.object_hausdorff,
    ),
    "refine/cleaned": MetricInfo(
        "Cleaned",
        "up",
        (0.0, 100.0),
        "%",
        "percent of the coarse annotation's wrong cells that are right afterwards",
        "coarse",
        "the coarse annotation has no wrong cell",
        refinement.cleaned,
    ),
    "refine/mis_modified": MetricInfo(
        "Mis-modified",
        "down",
        (0.0, 100.0),
        "%",
        "percent of the coarse annotation's right cells that are wrong afterwards",
        "coarse",
        "the coarse annotation has no right cell",
        refinement.mis_modified,
    ),
    "refine/accuracy_gain": MetricInfo(
        "Accuracy gain",
        "up",
        (-100.0, 100.0),
        "points",
        "accuracy after minus accuracy of the coarse annotation, in percentage points",
        "coarse",
        "no tissue cell has a score",
        refinement.accuracy_gain,
    ),
    "refine/f1_p": _tested("p of F1 against the coarse annotation", segmentation.dice, "F1"),
    "refine/accuracy_p": _tested("p of accuracy against the coarse annotation", segmentation.accuracy, "accuracy"),
    "slide/accuracy": _mean("Accuracy per slide", "cells", segmentation.accuracy, "(TP+TN)/cells", _NO_CELL),
    "slide/tpr": _mean("TPR per slide", "cells", segmentation.tpr, "TP/(TP+FN)", _NO_TRUTH),
    "slide/ppv": _mean("PPV per slide", "cells", segmentation.ppv, "TP/(TP+FP)", "no cell was predicted positive"),
    "slide/f1": _mean("F1 per slide", "cells", segmentation.dice, "2TP/(2TP+FP+FN)", _NO_FOREGROUND),
    "slide/f1_macro": _mean(
        "Macro F1 per slide",
        "cells",
        segmentation.f1_macro_or_one,
        "the mean F1 of both classes (a class in neither truth nor prediction scores 1)",
        _NO_CELL,
    ),
    "slide/jaccard_macro": _mean(
        "Macro Jaccard per slide",
        "cells",
        segmentation.jaccard_macro_or_one,
        "the mean IoU of both classes (a class in neither truth nor prediction scores 1)",
        _NO_CELL,
    ),
    "slide/cleaned": _mean_percent(
        "Cleaned per slide", "up", refinement.cleaned, "the coarse annotation's wrong cells that are right afterwards"
    ),
    "slide/mis_modified": _mean_percent(
        "Mis-modified per slide",
        "down",
        refinement.mis_modified,
        "the coarse annotation's right cells that are wrong afterwards",
    ),
    "coarse/accuracy": _mean(
        "Accuracy of the coarse annotation", "annotation", segmentation.accuracy, "(TP+TN)/cells", _NO_CELL
    ),
    "coarse/tpr": _mean("TPR of the coarse annotation", "annotation", segmentation.tpr, "TP/(TP+FN)", _NO_TRUTH),
    "coarse/ppv": _mean(
        "PPV of the coarse annotation", "annotation", segmentation.ppv, "TP/(TP+FP)", "nothing is annotated"
    ),
    "coarse/f1": _mean(
        "F1 of the coarse annotation",
        "annotation",
        segmentation.dice,
        "2TP/(2TP+FP+FN)",
        "no cell is positive, neither in the truth nor in the coarse annotation",
    ),
    "retrieval/p_at_10": _share(
        "P@10",
        "embeddings",
        "share of the 10 nearest other cells (Euclidean) that have the query's class; mean over the queries of a "
        "class, then over classes",
    ),
    "retrieval/perfect_p_at_10": _share(
        "Perfect P@10",
        "embeddings",
        "share of queries whose 10 nearest other cells all have their class; mean over a class, then over classes",
    ),
}
"""Name → meaning, in the order of display. `name@subset` is the same metric on a part of the test slides."""


def metric_info(name: str) -> MetricInfo:
    """The entry of a name, with or without `@subset`. Raises `KeyError` for an unknown one."""
    return METRICS[name.partition("@")[0]]


def _schema() -> str:
    text = "\n".join(f"{name}|{info.direction}|{info.unit}|{info.definition}" for name, info in METRICS.items())
    return f"2-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


SCHEMA = _schema()
"""Version of all names and definitions. The first number is raised by hand when a formula,
or the harness around it (`benchmark.provenance.HARNESS`), changes a result."""
