"""The evidence of many slides: as arrays, and as rows of the per-slide table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.metrics import classification
from benchmark.metrics.catalogue import METRICS, Coverage
from benchmark.metrics.class_level import POOLED, class_rows
from benchmark.metrics.evidence import SlideEvidence
from benchmark.metrics.objects import ObjectEvidence
from benchmark.metrics.pooled import Counts, Floats
from benchmark.metrics.refinement import RefinementEvidence, is_valid
from benchmark.metrics.segmentation import Confusion, accuracy, dice, npv, ppv, tpr

FAMILIES = ("cells", "coverage", "objects", "coarse", "annotation")
"""Kinds of evidence that are sums of cells."""

_BEFORE = {"accuracy": accuracy, "tpr": tpr, "ppv": ppv, "npv": npv, "f1": dice}
_KINDS: dict[str, type[Counts]] = {
    "cells": Confusion,
    "objects": ObjectEvidence,
    "coarse": RefinementEvidence,
    "annotation": Confusion,
}


def slide_metrics() -> tuple[str, ...]:
    """The metrics that a row of the per-slide table may have a value of."""
    named = [
        name
        for name, info in METRICS.items()
        if info.needs in FAMILIES and info.formula is not None and info.over == "sums"
    ]
    return ("image/auc", *named, *POOLED)


def columns(slides: Sequence[SlideEvidence], needs: str) -> dict[str, Floats] | None:
    """The sums that a family of metrics is made of, one entry per slide; None when a slide lacks them."""
    if needs == "coverage":
        return Coverage.columns([_coverage(slide) for slide in slides])
    evidence = [getattr(slide, needs) for slide in slides]
    return None if None in evidence else _KINDS[needs].columns(evidence)


def _coverage(slide: SlideEvidence) -> Coverage:
    return Coverage(slide.scored, slide.unscored)


def valid(slide: SlideEvidence) -> bool | None:
    """Whether the coarse annotation is usable; None where there is none, or no truth to tell by."""
    return (
        None
        if slide.annotation is None or not slide.counted
        else is_valid(ppv(slide.annotation), npv(slide.annotation))
    )


def rows(slides: Sequence[SlideEvidence]) -> list[dict[str, Any]]:
    """One flat row per slide. Slides with one unit show its label and score, those with many their AUC.

    `coarse_accuracy` … `coarse_f1` are those of the coarse annotation on the slide's scored tissue cells, `valid`
    says whether it is usable (`is_valid`); None where there is none, and wherever a metric is undefined.
    """
    table = [_row(slide) for slide in slides]
    for needs in FAMILIES:
        sums = columns(slides, needs)
        if sums is None:
            continue
        for name, info in METRICS.items():
            if info.needs == needs and info.formula is not None and info.over == "sums":
                for row, value in zip(table, info.formula.many(sums), strict=True):
                    row[name] = None if np.isnan(value) else float(value)
    for slide, row in zip(slides, table, strict=True):
        row.update(class_rows(slide))
    return table


def _row(slide: SlideEvidence) -> dict[str, Any]:
    labels, scores = slide.unit_labels, slide.unit_scores
    cells = slide.cells if slide.counted else None
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
        **{count: None if cells is None else getattr(cells, count) for count in ("tp", "fp", "fn", "tn")},
        "unscored": slide.unscored,
        "valid": valid(slide),
        **{
            f"coarse_{name}": None if slide.annotation is None else formula(slide.annotation)
            for name, formula in _BEFORE.items()
        },
    }


def _validity(test: Sequence[SlideEvidence]) -> dict[str, str]:
    kinds = [kind for kind in map(valid, test) if kind is not None]
    if not kinds:
        return {}
    text = f"{sum(kinds)} of {len(kinds)} are valid (PPV and NPV on tissue cells above 0.5), {len(kinds) - sum(kinds)}"
    known = {"coarse annotations": f"{text} are not"}
    if len({slide.patient for slide in test}) < len(test):
        known["paired tests"] = (
            "over slides, as in LC-MIL; slides of one patient are not independent, so p is too small"
        )
    return known


def facts(test: Sequence[SlideEvidence], resamples: int) -> dict[str, str]:
    """Notes on the figures as a whole."""
    patients = len({slide.patient for slide in test})
    units = sum(slide.unit_labels.size for slide in test)
    positive = sum(int(slide.unit_labels.sum()) for slide in test)
    known = {
        "slides": f"{len(test)} slides of {patients} patients",
        "units": f"{units} units, {positive} of them positive",
        "intervals": f"95 %, percentiles of {resamples} resamples of {patients} patients; rates of units: "
        "Clopper-Pearson where every patient has one unit; specificity at fixed sensitivity: the threshold held "
        "fixed; beside it, `…:threshold chosen again`, an m-out-of-n bootstrap"
        if patients > 1
        else "none: all slides come from one patient",
    }
    alone = sum(slide.objects.alone for slide in test if slide.objects is not None)
    if alone:
        known["object/hausdorff:alone"] = (
            f"{alone} objects have no counterpart on their slide and count with its diagonal"
        )
    unscored = sum(slide.unscored for slide in test)
    if unscored:
        known["unscored"] = f"{unscored} tissue cells have no score and count in no metric but pixel/coverage"
    return {**known, **_validity(test)}
