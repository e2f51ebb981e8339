"""What a sweep is after, checked against the metrics there are: objectives, constraints, what a pruner compares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from benchmark.errors import ConfigError
from benchmark.metrics.rows import slide_metrics
from benchmark.metrics.suite import METRICS
from benchmark.near_names import near_names
from benchmark.tuning.sweep_file import Constraint, Objective, Pruner
from benchmark.tuning.sweep_reader import LoadedSweep

OTHER_NUMBERS = ("cost/", "labels/")
"""Numbers of a run that are not metrics but may be objectives and constraints too; less is better."""

_BOUND = re.compile(r"\s*([^\s<>=]+)\s*(>=|<=)\s*(\S+)\s*")
_BETTER: dict[str, Literal["maximize", "minimize"]] = {"up": "maximize", "down": "minimize"}


def check_objective(objective: Objective, loaded: LoadedSweep) -> None:
    """Refuse a metric that does not exist, and a direction in which it gets worse."""
    place = loaded.file.objectives.index(objective)
    keys = ("objectives", place) if ("objectives",) in loaded.lines else ("objective",)
    metric = objective.metric
    if unknown := _unknown(metric):
        raise loaded.error(unknown, *keys, "metric")
    best = "minimize" if metric.startswith(OTHER_NUMBERS) else _BETTER.get(METRICS[metric].direction, "")
    if best != objective.direction:
        reasons = {"maximize": "higher is better", "minimize": "lower is better", "": "neither direction is better"}
        raise loaded.error(f"{metric} cannot be {objective.direction}d: {reasons[best]}", *keys, "direction")


def check_constraint(constraint: Constraint, loaded: LoadedSweep) -> None:
    """Refuse a bound on a metric of the file that does not exist, or beyond what the metric can be."""
    if wrong := _not_a_bound(constraint):
        raise loaded.error(wrong, "constraints", loaded.file.constraints.index(constraint), "metric")


def read_constraints(texts: Sequence[str]) -> tuple[Constraint, ...]:
    """The constraints of `--subject-to`. Raises `ConfigError`."""
    constraints = []
    for text in texts:
        parts = _BOUND.fullmatch(text)
        try:
            assert parts is not None
            side = "at_least" if parts[2] == ">=" else "at_most"
            constraint = Constraint(metric=parts[1], **{side: float(parts[3])})
        except (AssertionError, ValueError):
            message = f"--subject-to {text!r}: expected METRIC>=NUMBER or METRIC<=NUMBER"
            raise ConfigError(message, fix="--subject-to 'image/sensitivity>=0.95'") from None
        if wrong := _not_a_bound(constraint):
            raise ConfigError(f"--subject-to {text!r}: {wrong}", fix="--subject-to 'image/sensitivity>=0.95'")
        constraints.append(constraint)
    return tuple(constraints)


def joined(before: Sequence[Constraint], after: Sequence[Constraint]) -> tuple[Constraint, ...]:
    """Both; of two on the same side of a metric, the later one."""
    sides = {constraint.text.rpartition(" ")[0]: constraint for constraint in (*before, *after)}
    return tuple(sides.values())


def slidewise_pruner(pruner: Pruner, loaded: LoadedSweep) -> Pruner:
    """The pruner `wilcoxon` with what it watches, by default the objective, and in which direction that is better."""
    named, objective = pruner.watch, loaded.file.objectives[0].metric
    keys = ("pruner", "kind" if named is None else "watch")
    metric, known = named or objective, slide_metrics()
    if metric not in known:
        near = near_names(metric, known)
        hint = f"the nearest that has: {', '.join(near)}" if near else f"these have: {', '.join(known)}"
        missing = _unknown(metric) if named else None
        raise loaded.error(missing or f"{metric} has no value per slide to compare; {hint}", *keys)
    best = _BETTER[METRICS[metric].direction]
    if pruner.direction not in (None, best):
        raise loaded.error(f"{metric} cannot be {pruner.direction}d", "pruner", "direction")
    return pruner.model_copy(update={"watch": metric, "direction": best})


def _unknown(metric: str) -> str | None:
    """What to say of a metric that does not exist."""
    if metric.startswith(OTHER_NUMBERS) or metric in METRICS:
        return None
    close = near_names(metric, METRICS)
    hint = f"; the nearest: {', '.join(close)}" if close else "; expected a metric, or cost/seconds, labels/…"
    return f"there is no metric {metric!r}{hint}"


def _not_a_bound(constraint: Constraint) -> str | None:
    if unknown := _unknown(constraint.metric):
        return unknown
    bound = constraint.at_least if constraint.at_least is not None else constraint.at_most
    low, high = METRICS[constraint.metric].range if constraint.metric in METRICS else (0.0, float("inf"))
    if bound is not None and not low <= bound <= high:
        return f"{constraint.metric} is {low:g} … {high:g}; {constraint.text} says nothing, or cannot be met"
    return None
