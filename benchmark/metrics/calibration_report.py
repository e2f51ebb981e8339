"""All that a run says of its scores as probabilities: both levels, the decision curve, the threshold's stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from benchmark.metrics.calibrated import KINDS, Kind, Level, level_of
from benchmark.metrics.catalogue import MetricInfo, Needs
from benchmark.metrics.evidence import SlideEvidence, Units
from benchmark.metrics.net_benefit import THRESHOLDS, called, net_benefit, net_benefit_of_all, net_benefit_of_counts
from benchmark.metrics.statistics import LEVEL, patient_draws
from benchmark.metrics.threshold_stability import QUANTILES, Stability, threshold_stability

Direction = Literal["up", "down", "none"]
_LEVELS: Mapping[str, tuple[str, Needs]] = {"unit": ("units", "units"), "cell": ("cells", "ranked")}
_FIGURES: Mapping[str, tuple[str, Direction, tuple[float, float], str]] = {
    "ece": ("ECE", "down", (0.0, 1.0), "expected calibration error, at most 15 bins of equal mass"),
    "brier": ("Brier score", "down", (0.0, 1.0), "mean of (p − y)²"),
    "reliability": ("Reliability", "down", (0.0, 1.0), "part of the Brier score: Σ n_m/n (p̄_m − ȳ_m)²"),
    "resolution": ("Resolution", "up", (0.0, 0.25), "part of the Brier score: Σ n_m/n (ȳ_m − ȳ)²"),
    "uncertainty": ("Uncertainty", "none", (0.0, 0.25), "part of the Brier score: ȳ (1 − ȳ), of the data alone"),
    "remainder": ("Remainder", "none", (-1.0, 1.0), "Brier score − (reliability − resolution + uncertainty)"),
}

CALIBRATION: Mapping[str, MetricInfo] = {
    f"calibration/{kind}_{name}": MetricInfo(
        f"{title} of {level}", direction, limits, "share", f"{definition}; {level} of the test slides", needs
    )
    for kind, (level, needs) in _LEVELS.items()
    for name, (title, direction, limits, definition) in _FIGURES.items()
}
"""Name → meaning. They are no part of the schema of the metrics: no other figure depends on them."""


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at `thresholds` of the score (with its 95 % band over patients) and of acting on every slide."""

    thresholds: tuple[float, ...]
    score: tuple[float, ...]
    everybody: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """`before`: levels of the scores as they were before they were scaled by `temperatures`; empty where none was.

    `decision`, `stability`: a sentence where there is none. `notes`: why a temperature is lacking.
    """

    levels: Mapping[Kind, Level]
    decision: DecisionCurve | str
    stability: Stability | str
    before: Mapping[Kind, Level] = field(default_factory=dict)
    temperatures: Mapping[Kind, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def numbers(self) -> dict[str, float]:
        """The figures under their stored names, such as `calibration/unit_ece.low`."""
        found = {}
        for ending, levels in (("", self.levels), ("_before", self.before)):
            for kind, level in levels.items():
                found.update({f"calibration/{kind}_{name}{ending}": value for name, value in level.values.items()})
                for name, (low, high) in level.intervals.items():
                    found[f"calibration/{kind}_{name}{ending}.low"] = low
                    found[f"calibration/{kind}_{name}{ending}.high"] = high
        found.update({f"calibration/{kind}_temperature": value for kind, value in self.temperatures.items()})
        if isinstance(self.stability, Stability):
            found["calibration/threshold"] = self.stability.threshold
            found["calibration/threshold.low"], *_, found["calibration/threshold.high"] = self.stability.thresholds
            found["calibration/threshold_missed"] = self.stability.missed
        return found

    def facts(self) -> dict[str, Any]:
        """Everything, for `calibration.json`."""
        return {
            "levels": {kind: asdict(level) for kind, level in self.levels.items()},
            "before": {kind: asdict(level) for kind, level in self.before.items()},
            "temperatures": dict(self.temperatures),
            "notes": list(self.notes),
            "decision": self.decision if isinstance(self.decision, str) else asdict(self.decision),
            "stability": self.stability
            if isinstance(self.stability, str)
            else {**asdict(self.stability), "quantiles": QUANTILES},
        }


def calibrate(
    test: Sequence[SlideEvidence],
    *,
    absent: Mapping[Kind, str] | None = None,
    temperatures: Mapping[Kind, float] | None = None,
    notes: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> Calibration:
    """The calibration of test slides.

    Args:
        test: their evidence.
        absent: levels that are no probabilities or must not be shown, and why.
        temperatures: those that the scores were scaled by.
        notes: why one of them is lacking.
        resamples: of patients.
        seed: of the resamples.
    """
    reasons = absent or {}
    levels = {
        kind: Level(reasons[kind]) if kind in reasons else level_of(test, kind, resamples=resamples, seed=seed)
        for kind in KINDS
    }
    raw = [_unscaled(slide) for slide in test]
    heat = temperatures or {}
    before = {kind: level_of(raw, kind, resamples=resamples, seed=seed) for kind in heat if not levels[kind].absent}
    decision: DecisionCurve | str = levels["unit"].absent
    stability: Stability | str = levels["unit"].absent
    if not levels["unit"].absent:
        decision = decision_curve(test, resamples=resamples, seed=seed)
        stability = _stability(Units.of(test), resamples, seed)
    return Calibration(levels, decision, stability, before, dict(heat), tuple(notes))


def _unscaled(slide: SlideEvidence) -> SlideEvidence:
    units = slide.unit_scores if slide.units_before is None else slide.units_before
    return replace(slide, sums=slide.sums if slide.before is None else slide.before, unit_scores=units)


def decision_curve(slides: Sequence[SlideEvidence], *, resamples: int, seed: int) -> DecisionCurve | str:
    """The decision curve of slides, or why there is none: it is about acting on a slide, not on a crop of one."""
    if any(slide.unit_labels.size > 1 for slide in slides):
        return "units are parts of slides, and nobody acts on one of them by itself"
    units = Units.of(slides)
    if len(set(units.labels.tolist())) < 2:
        return "all slides are of one class"
    curve = tuple(net_benefit(units.labels, units.scores).tolist())
    everybody = tuple(net_benefit_of_all(float(units.labels.mean())).tolist())
    patients = int(units.patients.max()) + 1
    if patients < 2:
        return DecisionCurve(tuple(THRESHOLDS.tolist()), curve, everybody)
    counts = np.zeros((3, patients, THRESHOLDS.size))
    for number in range(patients):
        own = units.patients == number
        counts[0, number], counts[1, number] = called(units.labels[own], units.scores[own])
        counts[2, number] = own.sum()
    hits, alarms, number_of = (patient_draws(patients, resamples, seed) @ part for part in counts)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(net_benefit_of_counts(hits, alarms, number_of), [tail, 1 - tail], axis=0)
    return DecisionCurve(tuple(THRESHOLDS.tolist()), curve, everybody, tuple(low.tolist()), tuple(high.tolist()))


def _stability(units: Units, resamples: int, seed: int) -> Stability | str:
    found = threshold_stability(units.labels, units.scores, units.patients, resamples=resamples, seed=seed)
    return found or "it takes two patients, a positive and a negative unit"
