"""Scores of a run at temperatures that are fitted on its validation slides (`bench run --calibrate`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.metrics.calibrated import KINDS, Kind, score_sums
from benchmark.metrics.evidence import SlideEvidence
from benchmark.metrics.ranked import Ranked
from benchmark.metrics.score_sums import ScoreSums
from benchmark.metrics.temperature import fit_temperature, scaled
from benchmark.slides import ScoreMap


def fitted(validation: Sequence[SlideEvidence], absent: Mapping[Kind, str]) -> tuple[dict[Kind, float], list[str]]:
    """The temperatures of units and cells, and why one of them has none; `absent`: levels that have no calibration."""
    temperatures: dict[Kind, float] = {}
    notes = []
    for kind in KINDS:
        sums = absent[kind] if kind in absent else score_sums(validation, kind)
        if isinstance(sums, str):
            notes.append(f"no temperature of {kind}s: {sums}")
            continue
        found = fit_temperature(ScoreSums.pooled(sums))
        if isinstance(found, str):
            notes.append(f"no temperature of {kind}s: {found}")
        else:
            temperatures[kind] = found
    return temperatures, notes


def at_temperature(scores: ScoreMap, temperature: float | None) -> ScoreMap:
    """A score map at a temperature, the very same without one."""
    return scores if temperature is None else ScoreMap(scores.grid, scaled(scores.values, temperature))


def units_at_temperature(slide: SlideEvidence, temperature: float | None) -> SlideEvidence:
    """Evidence with its units at a temperature; what they were before is kept."""
    if temperature is None:
        return slide
    return replace(slide, unit_scores=scaled(slide.unit_scores, temperature), units_before=slide.unit_scores)


def measured_at(temperature: float, measure: Callable[[], SlideEvidence]) -> SlideEvidence:
    """What `measure` gives, with its units at a temperature."""
    return units_at_temperature(measure(), temperature)


def reheated(slide: SlideEvidence, temperatures: Mapping[Kind, float]) -> SlideEvidence:
    """Evidence gathered without temperatures as if there had been: what thresholds are chosen on."""
    cell = temperatures.get("cell")
    ranked = slide.ranked
    if ranked is not None and cell is not None:
        values, places = np.unique(scaled(ranked.values, cell), return_inverse=True)
        positive, negative = (np.bincount(places, weights=own) for own in (ranked.positive, ranked.negative))
        ranked = Ranked(values, positive.astype(np.int64), negative.astype(np.int64))
    return replace(units_at_temperature(slide, temperatures.get("unit")), ranked=ranked)
