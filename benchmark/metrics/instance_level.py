"""Instance level: how the scores of single cells rank, pooled over the test slides where truth is known.

A cell is predicted positive when its score >= the threshold. Truth serves evaluation alone. Source of the metrics:
HNM-WSI (arXiv 2410.02212), whose best F1 over all thresholds of the test cells is kept as an upper bound, marked so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.evidence import SlideEvidence
from benchmark.metrics.pooled import Floats, ratio
from benchmark.metrics.ranked import Ranked, auc_of, average_precision_of
from benchmark.metrics.statistics import percentile_interval
from benchmark.metrics.summary import Summary

BINS = 1024
"""Intervals are computed from at most so many bins of scores, equally full; values are exact."""
AUC, PRECISION, F1, THRESHOLD, BEST = (
    f"instance/{name}" for name in ("auc", "average_precision", "f1_at_val", "threshold_at_val", "f1_best")
)


def add_instances(
    summary: Summary, test: Sequence[SlideEvidence], validation: Sequence[SlideEvidence], draws: Floats | None
) -> None:
    """Report every metric `instance/…`, or why it has no value. `draws`: resamples × test slides."""
    parts = [slide.ranked for slide in test if slide.ranked is not None]
    if len(parts) < len(test) or not parts:
        reason = f"{len(test) - len(parts)} of {len(test)} slides lack a fine annotation"
        for name in (AUC, PRECISION, F1, THRESHOLD, BEST):
            summary.put(name, None, reason)
        return
    cells = Ranked.pooled(parts)
    one_class = "all scored cells of the test slides are of one class"
    binned = None if draws is None or not cells.values.size else _binned(cells, parts, draws)
    both = bool(cells.positive.any() and cells.negative.any())
    for name, formula in ((AUC, auc_of), (PRECISION, average_precision_of)):
        value = float(formula(cells.positive.astype(np.float64), cells.negative.astype(np.float64))) if both else None
        summary.put(name, value, one_class, percentile_interval(formula(*binned)) if binned is not None else None)
    best = cells.best_f1()
    summary.put(BEST, best[0] if best else None, "no scored cell is positive")
    if best is not None:
        summary.facts[f"{BEST}:threshold"] = f"{best[1]:.6g}, chosen on the test cells: an upper bound, no result"
    _at_validation(summary, parts, validation, draws)


def _at_validation(
    summary: Summary, parts: Sequence[Ranked], validation: Sequence[SlideEvidence], draws: Floats | None
) -> None:
    """F1 at the threshold that is best on the validation cells."""
    known = [slide.ranked for slide in validation if slide.ranked is not None]
    best = Ranked.pooled(known).best_f1() if known else None
    if best is None:
        reason = (
            "no cell of the validation slides is positive" if known else "no validation slide has a fine annotation"
        )
        summary.put(F1, None, reason)
        summary.put(THRESHOLD, None, reason)
        return
    counts = np.array([(*part.at_least(best[1]), int(part.positive.sum())) for part in parts], np.float64)
    value = float(_f1(counts.sum(axis=0)))
    interval = None if draws is None else percentile_interval(_f1(draws @ counts))
    summary.put(THRESHOLD, best[1], "")
    summary.put(
        F1, None if np.isnan(value) else value, "no cell is positive, neither in truth nor prediction", interval
    )


def _f1(counts: Floats) -> Floats:
    """2 TP / (TP + FP + P) from … × (TP, FP, P)."""
    return ratio(2 * counts[..., 0], counts.sum(axis=-1))


def _binned(cells: Ranked, parts: Sequence[Ranked], draws: Floats) -> tuple[Floats, Floats]:
    """Positive and negative cells per bin of scores in each resample, resamples × bins."""
    full = np.cumsum(cells.positive + cells.negative)
    edges = np.unique(np.searchsorted(full, np.linspace(0, full[-1], BINS + 1)[1:]))
    bins = np.searchsorted(edges, np.arange(cells.values.size))
    counts = np.zeros((2, len(parts), edges.size))
    for row, part in enumerate(parts):
        places = bins[np.searchsorted(cells.values, part.values)]
        for kind, numbers in enumerate((part.positive, part.negative)):
            counts[kind, row] = np.bincount(places, weights=numbers, minlength=edges.size)
    return draws @ counts[0], draws @ counts[1]
