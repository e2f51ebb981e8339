"""Reports the metrics of all classes, and those of retrieval, for a group of slides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.metrics import multiclass
from benchmark.metrics.evidence import SlideEvidence
from benchmark.metrics.pooled import Floats
from benchmark.metrics.retrieval import mean_precision_at_10, neighbour_hits, perfect_share_at_10
from benchmark.metrics.statistics import percentile_interval
from benchmark.metrics.summary import Summary

POOLED = {
    "class/accuracy": multiclass.accuracy,
    "class/f1_macro": multiclass.f1_macro,
    "class/jaccard_macro": multiclass.jaccard_macro,
}
PER_CLASS = {"class/f1": multiclass.f1_per_class, "class/jaccard": multiclass.jaccard_per_class}
MOST = 100_000
"""Embedded cells up to which all are compared with all others."""
RETRIEVAL = {"retrieval/p_at_10": mean_precision_at_10, "retrieval/perfect_p_at_10": perfect_share_at_10}


def add_classes(summary: Summary, slides: Sequence[SlideEvidence], names: Sequence[str], draws: Floats | None) -> None:
    """Accuracy, macro F1 and macro Jaccard of the pooled matrix, and `class/f1/NAME`, `class/jaccard/NAME` per class.

    `names`: of all classes. `draws`: how often each slide is drawn in each resample (resamples × slides).
    """
    reason = _lacking(slides, names)
    if reason or not any(slide.classes is not None for slide in slides):
        for name in POOLED:
            summary.put(name, None, reason or "there are no slides")
        return
    nothing = np.zeros((len(names), len(names)), np.int64)
    stacked = np.stack([nothing if slide.classes is None else slide.classes for slide in slides])
    pooled = stacked.sum(axis=0)
    resampled = None if draws is None else np.einsum("rs,scd->rcd", draws, stacked.astype(np.float64))
    for name, formula in POOLED.items():
        value = float(formula(pooled))
        interval = None if resampled is None else percentile_interval(formula(resampled))
        summary.put(name, None if np.isnan(value) else value, "no tissue cell has a score", interval)
    summary.classes.extend(names)
    summary.confusion.extend(pooled.tolist())
    if not pooled.sum():
        return
    for name, formula in PER_CLASS.items():
        values = formula(pooled)
        ends = None if resampled is None else formula(resampled)
        for number, own in enumerate(names):
            within = None if ends is None else percentile_interval(ends[:, number])
            summary.put(f"{name}/{own}", float(values[number]), "", within)
    nowhere = [own for number, own in enumerate(names) if not pooled[number].sum() + pooled[:, number].sum()]
    if nowhere:
        summary.facts["class/f1_macro:nowhere"] = f"{', '.join(nowhere)}: neither in truth nor prediction, counts as 1"


def _lacking(slides: Sequence[SlideEvidence], names: Sequence[str]) -> str:
    if len(names) <= 2:
        return "not applicable: the data have two classes, see the figures called pixel/"
    if any(slide.cells is None for slide in slides):
        return f"{sum(slide.cells is None for slide in slides)} of {len(slides)} slides lack a fine annotation"
    if any(slide.classes is None for slide in slides if slide.counted and slide.scored):
        return "not applicable: the method scores the positive class alone and names no class per cell"
    return ""


def class_rows(slide: SlideEvidence) -> dict[str, Any]:
    """The figures over all classes of one slide, for its row; nothing where it has none."""
    if slide.classes is None or not slide.counted:
        return {}
    values = {name: float(formula(slide.classes)) for name, formula in POOLED.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def add_retrieval(summary: Summary, slides: Sequence[SlideEvidence]) -> None:
    """Both readings of P@10, every embedded cell of the slides against all the others."""
    lacking = any(slide.embedded is None and slide.counted and slide.scored > 0 for slide in slides)
    embedded = [slide.embedded for slide in slides if slide.embedded is not None]
    if lacking or not embedded:
        for name in RETRIEVAL:
            summary.put(name, None, "the method gives no embeddings")
        return
    values = np.concatenate([own.values for own in embedded])
    labels = np.concatenate([own.labels for own in embedded])
    if not 2 <= len(labels) <= MOST:
        for name in RETRIEVAL:
            summary.put(name, None, f"{len(labels)} cells are embedded; every one against all others: 2 to {MOST}")
        return
    hits = neighbour_hits(values, labels)
    for name, metric in RETRIEVAL.items():
        summary.put(name, metric(hits, labels), "there are no queries")
    counted = np.bincount(labels)
    summary.facts["retrieval/p_at_10:queries"] = (
        f"{len(labels)} cells, each a query against all the others; fewest of a class: {counted[counted > 0].min()}"
    )
