"""Notes beside the image-level figures: how to judge an interval or a threshold."""

from __future__ import annotations

from benchmark.metrics.at_sensitivity import Reselected
from benchmark.metrics.comparison import delong_interval
from benchmark.metrics.evidence import Units

DECLARED = (0.1, 0.25, 0.75, 0.9)
"""Thresholds besides 0.5 at which the rates are reported: fixed here, not chosen on any units."""

Interval = tuple[float, float]


def delong_words(units: Units) -> str:
    """DeLong's 95 % interval of the AUC, and why it is not the one reported; both classes must occur."""
    patients = len(set(units.patients.tolist()))
    if patients < 2:
        return "none: all units come from one patient"
    delong = delong_interval(units.labels, units.scores)
    if delong is None:
        return "none: fewer than two positive or two negative units"
    _, interval, variance = delong
    if variance == 0:
        return "none: all units of a class rank alike, so there is no variance"
    text = f"{between(interval)}, assuming that the {units.labels.size} units are independent"
    if patients == units.labels.size:
        return f"{text}: each comes from a patient of its own; the figure shows the bootstrap over patients"
    return f"{text}, but they come from {patients} patients; the figure shows the bootstrap over patients"


def reselected_words(result: Reselected) -> str:
    """The interval of a specificity whose threshold every resample chose again."""
    how = f"{result.resamples} resamples of {result.drawn} of {result.patients} patients"
    if result.interval is None:
        return f"none: the specificity is the same in all {how}"
    return f"{between(result.interval)}, the threshold chosen again in each of {how} (m = n^0.7, reflected)"


def proportion(successes: int, trials: int, interval: Interval | None) -> str:
    """`3 of 3, 95 % interval 0.2924 to 1.0000`."""
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
