"""All that is said of the curves of one metric on one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.budget_curves.crossings import Crossing, Reach, Sensitivity
from benchmark.reporting.budget_curves.label_curve import LabelCurve
from benchmark.reporting.label_cost import CostModel


@dataclass(frozen=True)
class CurveSet:
    """The curves of one metric on one dataset. `board`: key of its first board. `title`: data and metric.

    `levels`: rows without a label time (they learn from none), name → mean. `goal`: the quality of `reaches`.
    """

    board: str
    dataset: str
    title: str
    metric: str
    curves: tuple[LabelCurve, ...]
    crossings: tuple[Crossing, ...]
    reaches: tuple[Reach, ...]
    sensitivity: tuple[Sensitivity, ...]
    goal: float
    levels: Mapping[str, float]
    cost: CostModel
    notes: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether more is better."""
        return METRICS[self.metric].direction != "down"


def curve_facts(found: CurveSet) -> dict[str, Any]:
    """The same for JSON; a time that is beyond the range, or that there is not, is text: `inf`, `-inf`, `nan`."""
    facts = {
        "dataset": found.dataset,
        "title": found.title,
        "metric": found.metric,
        "goal": found.goal,
        "curves": [_points(curve) for curve in found.curves],
        "crossings": [asdict(each) for each in found.crossings],
        "reaches": [asdict(each) for each in found.reaches],
        "sensitivity": [asdict(each) for each in found.sensitivity],
        "without_labels": dict(found.levels),
        "prices": found.cost.prices(),
        "notes": list(found.notes),
    }
    plain: dict[str, Any] = _finite(facts)
    return plain


def _points(curve: LabelCurve) -> dict[str, Any]:
    return {
        "name": curve.name,
        "supervision": curve.track,
        "seeds": list(curve.seeds),
        "budgets": list(curve.budgets),
        "minutes": curve.minutes.tolist(),
        "labels": [dict(counts) for counts in curve.counts],
        "values": curve.values.tolist(),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_finite(own) for own in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
