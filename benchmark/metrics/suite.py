"""One call that computes every metric that applies to a set of predictions.

    evidence = [gather(slide.id, slide.patient, truth=..., scores=..., unit_labels=..., unit_scores=...), ...]
    summary = summarise(evidence)

Cell, object and refinement metrics pool sums over slides; image-level ones use the units. What does not apply is in
`Summary.absent` with a reason, never 0 or NaN. Intervals are 95 %, percentiles of a bootstrap over patients; those
of specificity at fixed sensitivity, and of rates when every patient has one unit, are Clopper-Pearson's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.metrics import classification
from benchmark.metrics.catalogue import METRICS, SCHEMA, Coverage, MetricInfo, metric_info
from benchmark.metrics.evidence import SlideEvidence, gather, patient_numbers
from benchmark.metrics.image_level import ImageLevel
from benchmark.metrics.objects import ObjectEvidence
from benchmark.metrics.pooled import Counts, Floats
from benchmark.metrics.refinement import RefinementEvidence
from benchmark.metrics.segmentation import Confusion
from benchmark.metrics.statistics import patient_draws, percentile_interval
from benchmark.metrics.summary import Summary

__all__ = ["METRICS", "SCHEMA", "MetricInfo", "SlideEvidence", "Summary", "gather", "metric_info", "summarise"]

_MISSING = {"objects": "numbered objects in the truth", "coarse": "a coarse annotation"}


def summarise(
    test: Sequence[SlideEvidence],
    *,
    validation: Sequence[SlideEvidence] = (),
    hidden: Mapping[str, str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Compute all metrics of `METRICS` that apply to the test slides, and again per subset as `name@subset`.

    `validation` sets the threshold of `image/…_at_val` and nothing else. `hidden` maps names (or `prefix/*`) of
    metrics that must not be shown to the reason. The same arguments give the same result, bit for bit.
    """
    summary = _group(test, validation, "test", resamples, seed)
    for subset in dict.fromkeys(slide.subset for slide in test if slide.subset is not None):
        part = [slide for slide in test if slide.subset == subset]
        summary.add_subset(subset, _group(part, validation, subset, resamples, seed))
    summary.per_slide.extend(_rows(test))
    summary.facts.update(_facts(test, resamples))
    summary.hide(hidden or {})
    return summary


def _group(
    slides: Sequence[SlideEvidence], validation: Sequence[SlideEvidence], group: str, resamples: int, seed: int
) -> Summary:
    """All metrics of one group of slides."""
    summary = Summary()
    ImageLevel(summary, slides, group, resamples, seed).add(validation)
    patients = patient_numbers(slides)
    count = int(patients.max(initial=-1)) + 1
    draws = patient_draws(count, resamples, seed)[:, patients] if count > 1 else None
    for needs in ("cells", "coverage", "objects", "coarse"):
        columns = _columns(slides, needs)
        names = [name for name, info in METRICS.items() if info.needs == needs]
        if columns is None:
            lacking = sum(getattr(slide, needs) is None for slide in slides)
            for name in names:
                summary.put(name, None, f"{lacking} of {len(slides)} slides lack {_MISSING[needs]}")
        else:
            _pooled(summary, names, columns, draws)
    return summary


def _columns(slides: Sequence[SlideEvidence], needs: str) -> dict[str, Floats] | None:
    """The sums that a family of metrics is made of, one entry per slide; None when a slide lacks them."""
    if needs == "cells":
        return Confusion.columns([slide.cells for slide in slides])
    if needs == "coverage":
        return Coverage.columns([_coverage(slide) for slide in slides])
    kind: type[Counts] = ObjectEvidence if needs == "objects" else RefinementEvidence
    evidence = [getattr(slide, needs) for slide in slides]
    return None if None in evidence else kind.columns(evidence)


def _coverage(slide: SlideEvidence) -> Coverage:
    cells = slide.cells
    return Coverage(cells.tp + cells.fp + cells.fn + cells.tn, slide.unscored)


def _pooled(summary: Summary, names: Sequence[str], columns: dict[str, Floats], draws: Floats | None) -> None:
    """Values from the sums over slides, intervals from the sums over each resample's slides."""
    pooled = {name: column.sum() for name, column in columns.items()}
    resampled = {} if draws is None else {name: draws @ column for name, column in columns.items()}
    for name in names:
        info = METRICS[name]
        if info.formula is None:
            continue
        value = float(info.formula.many(pooled))
        interval = percentile_interval(info.formula.many(resampled)) if resampled else None
        summary.put(name, None if np.isnan(value) else value, info.undefined, interval)


def _rows(slides: Sequence[SlideEvidence]) -> list[dict[str, Any]]:
    """One flat row per slide. Slides with one unit show its label and score, those with many their AUC."""
    rows = [_row(slide) for slide in slides]
    for needs in ("cells", "coverage", "objects", "coarse"):
        columns = _columns(slides, needs)
        if columns is None:
            continue
        for name, info in METRICS.items():
            if info.needs == needs and info.formula is not None:
                for row, value in zip(rows, info.formula.many(columns), strict=True):
                    row[name] = None if np.isnan(value) else float(value)
    return rows


def _row(slide: SlideEvidence) -> dict[str, Any]:
    labels, scores, cells = slide.unit_labels, slide.unit_scores, slide.cells
    single, scored = labels.size == 1, not np.isnan(scores).any()
    return {
        "slide": slide.slide,
        "patient": slide.patient,
        "subset": slide.subset,
        "units": int(labels.size),
        "positive_units": int(labels.sum()),
        "label": int(labels[0]) if single else None,
        "score": float(scores[0]) if single and scored else None,
        "image/auc": classification.auc(labels, scores) if scored else None,
        "tp": cells.tp,
        "fp": cells.fp,
        "fn": cells.fn,
        "tn": cells.tn,
        "unscored": slide.unscored,
    }


def _facts(test: Sequence[SlideEvidence], resamples: int) -> dict[str, str]:
    """What a reader should know about the figures as a whole."""
    patients = len({slide.patient for slide in test})
    units = sum(slide.unit_labels.size for slide in test)
    positive = sum(int(slide.unit_labels.sum()) for slide in test)
    facts = {
        "slides": f"{len(test)} slides of {patients} patients",
        "units": f"{units} units, {positive} of them positive",
        "intervals": f"95 %, percentiles of {resamples} resamples of {patients} patients; specificity at fixed "
        "sensitivity: Clopper-Pearson with the threshold held fixed"
        if patients > 1
        else "none: all slides come from one patient",
    }
    alone = sum(slide.objects.alone for slide in test if slide.objects is not None)
    if alone:
        facts["object/hausdorff:alone"] = f"{alone} objects on slides without a counterpart count with the diagonal"
    unscored = sum(slide.unscored for slide in test)
    if unscored:
        facts["unscored"] = f"{unscored} tissue cells have no score and count in no metric but pixel/coverage"
    return facts
