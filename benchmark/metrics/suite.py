"""Every metric that applies to a set of predictions, in one call.

    evidence = [gather(slide.id, slide.patient, truth=..., scores=..., unit_labels=..., unit_scores=...), ...]
    summary = summarise(evidence)

Cell, object and refinement metrics pool sums over slides; those called `slide/…` and `coarse/…` are means over
slides; image-level ones use the units. What does not apply is in `Summary.absent` with a reason, never 0 or NaN.
Intervals are 95 %, percentiles of a bootstrap over patients; those of rates when every patient has one unit are
Clopper-Pearson's. The threshold of specificity at fixed sensitivity is held fixed in its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.metrics.catalogue import METRICS, SCHEMA, MetricInfo, metric_info
from benchmark.metrics.class_level import add_classes, add_retrieval
from benchmark.metrics.evidence import SlideEvidence, gather, patient_numbers
from benchmark.metrics.image_level import ImageLevel
from benchmark.metrics.instance_level import add_instances
from benchmark.metrics.pooled import Floats
from benchmark.metrics.rows import FAMILIES, columns, facts, rows, valid
from benchmark.metrics.slidewise import add_means, add_tests
from benchmark.metrics.statistics import patient_draws, percentile_interval
from benchmark.metrics.summary import Summary

__all__ = ["METRICS", "SCHEMA", "MetricInfo", "SlideEvidence", "Summary", "gather", "metric_info", "summarise"]

_MISSING = {
    "cells": "a fine annotation",
    "objects": "numbered objects in the truth",
    "coarse": "a coarse annotation",
    "annotation": "a coarse annotation",
}


def summarise(
    test: Sequence[SlideEvidence],
    *,
    validation: Sequence[SlideEvidence] = (),
    hidden: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Compute all metrics of `METRICS` that apply to the test slides, and again per subset as `name@subset`.

    Where some coarse annotations are valid (Eq. 11 of LC-MIL, see `is_valid`) and some are not, `name@valid` and
    `name@invalid` are the metrics of either kind; a slide may be in a subset of the dataset and in one of these.
    `validation` sets the threshold of `image/…_at_val` and nothing else. `hidden` maps names (or `prefix/*`) of
    metrics that must not be shown to the reason.
    `classes`: names of all classes, the negative one first. The same arguments give the same result, bit for bit.
    """
    summary = _group(test, validation, "test", classes, resamples, seed)
    for subset, part in _subsets(test).items():
        summary.add_subset(subset, _group(part, validation, subset, classes, resamples, seed))
    summary.per_slide.extend(rows(test))
    summary.facts.update(facts(test, resamples))
    summary.hide(hidden or {})
    return summary


def _group(
    slides: Sequence[SlideEvidence],
    validation: Sequence[SlideEvidence],
    group: str,
    classes: Sequence[str],
    resamples: int,
    seed: int,
) -> Summary:
    """All metrics of one group of slides."""
    summary = Summary()
    ImageLevel(summary, slides, group, resamples, seed).add(validation)
    patients = patient_numbers(slides)
    count = int(patients.max(initial=-1)) + 1
    draws = patient_draws(count, resamples, seed)[:, patients] if count > 1 else None
    for needs in FAMILIES:
        sums = columns(slides, needs)
        named = {
            over: [name for name, info in METRICS.items() if info.needs == needs and info.over == over]
            for over in ("sums", "slides", "pairs")
        }
        if sums is None:
            lacking = sum(getattr(slide, needs) is None for slide in slides)
            for name in (name for names in named.values() for name in names):
                summary.put(name, None, f"{lacking} of {len(slides)} slides lack {_MISSING[needs]}")
            continue
        _pooled(summary, named["sums"], sums, draws)
        add_means(summary, named["slides"], sums, draws)
        add_tests(summary, named["pairs"], columns(slides, "cells") or {}, sums)
    add_instances(summary, slides, validation, draws)
    add_classes(summary, slides, classes, draws)
    add_retrieval(summary, slides)
    return summary


def _subsets(test: Sequence[SlideEvidence]) -> dict[str, list[SlideEvidence]]:
    """The dataset's own subsets, then valid and invalid coarse annotations where both occur."""
    parts: dict[str, list[SlideEvidence]] = {}
    for slide in test:
        if slide.subset is not None:
            parts.setdefault(slide.subset, []).append(slide)
    usable = [slide for slide in test if valid(slide) is True]
    useless = [slide for slide in test if valid(slide) is False]
    if usable and useless and not {"valid", "invalid"} & set(parts):
        parts.update(valid=usable, invalid=useless)
    return parts


def _pooled(summary: Summary, names: Sequence[str], sums: dict[str, Floats], draws: Floats | None) -> None:
    """Values from the sums over slides, intervals from the sums over each resample's slides."""
    pooled = {name: column.sum() for name, column in sums.items()}
    resampled = {} if draws is None else {name: draws @ column for name, column in sums.items()}
    for name in names:
        info = METRICS[name]
        if info.formula is None:
            continue
        value = float(info.formula.many(pooled))
        interval = percentile_interval(info.formula.many(resampled)) if resampled else None
        summary.put(name, None if np.isnan(value) else value, info.undefined, interval)
