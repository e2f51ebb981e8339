"""Sentences beside the image-level figures: what a reader needs to judge an interval or a threshold."""

from __future__ import annotations

from benchmark.metrics.at_sensitivity import Reselected
from benchmark.metrics.classification import clopper_pearson
from benchmark.metrics.comparison import delong_interval
from benchmark.metrics.evidence import Units

DECLARED = (0.1, 0.25, 0.75, 0.9)
"""Thresholds besides 0.5 at which the rates can always be read: declared here, not chosen on any units."""

Interval = tuple[float, float]


def delong_words(units: Units) -> str:
    """DeLong's 95 % interval of the AUC, and why it is not the one reported; both classes must occur."""
    patients = len(set(units.patients.tolist()))
    if patients < 2:
        return "none: all units come from one patient"
    found = delong_interval(units.labels, units.scores)
    if found is None:
        return "none: fewer than two positive or two negative units"
    _, interval, variance = found
    if variance == 0:
        return "none: no unit is ranked differently from the others of its class, so there is no variance"
    said = f"{between(interval)}, taking {units.labels.size} units for independent"
    if patients == units.labels.size:
        return f"{said}, as each comes from a patient of its own; reported is the bootstrap over patients"
    return f"{said}, which they are not: they come from {patients} patients; reported is the bootstrap over patients"


def reselected_words(found: Reselected) -> str:
    """The interval of a specificity whose threshold every resample chose again."""
    how = f"{found.resamples} resamples of {found.drawn} of {found.patients} patients"
    if found.interval is None:
        return f"none: the specificity is the same in all {how}"
    return f"{between(found.interval)}, the threshold chosen again in each of {how} (m = n^0.7, reflected)"


def proportion(successes: int, trials: int) -> str:
    """`3 of 3, 95 % interval 0.2924 to 1.0000`, after Clopper and Pearson."""
    interval = clopper_pearson(successes, trials)
    return f"{successes} of {trials}" + (f", {between(interval)}" if interval else "")


def rates_at(rates: dict[float, tuple[int, int, Interval | None]]) -> str:
    """`at 0.1: 1 of 5 (0.0051 to 0.7164); at 0.25: …`: units that are right of all of their class, and the interval."""
    return "; ".join(
        f"at {threshold:g}: {right} of {cases}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")
        for threshold, (right, cases, interval) in rates.items()
    )


def between(interval: Interval) -> str:
    """`95 % interval 0.2924 to 1.0000`."""
    return f"95 % interval {interval[0]:.4f} to {interval[1]:.4f}"
