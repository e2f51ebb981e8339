"""The numbers that two runs share, and the paired tests between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.comparison.comparison_facts import Figure, Interval
from benchmark.reporting.paired import correct, over_slides, over_units, values
from benchmark.stored import StoredRun

if TYPE_CHECKING:
    from pandas import DataFrame

AUC = "image/auc"
APART = ("labels/", "cost/", "stage/", "system/")
"""Beginnings of names that are no metric; labels and costs have tables of their own."""


def shared_figures(one: StoredRun, other: StoredRun) -> list[Figure]:
    """Every metric that both runs have: those of the suite, then those of subsets, then whatever else was logged."""
    names = [name for name in one.metrics if name in other.metrics and not name.startswith(APART)]
    bare = [name for name in names if not name.endswith((".low", ".high", ".std"))]
    known = {name: number for number, name in enumerate(METRICS)}

    def place(name: str) -> tuple[int, int, str]:
        metric = "/".join(name.split("/")[-2:])
        return (0 if name in known else 1 if metric in known else 2, known.get(metric, 0), name)

    return [
        Figure(name, one.metrics[name], other.metrics[name], _interval(one, name), _interval(other, name))
        for name in sorted(bare, key=place)
    ]


def lacking(one: StoredRun, other: StoredRun) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Metrics of the suite that only `one` has, and those that only `other` has."""
    first, second = ({name for name in METRICS if name in run.metrics} for run in (one, other))
    return tuple(n for n in METRICS if n in first - second), tuple(n for n in METRICS if n in second - first)


def counted(one: StoredRun, other: StoredRun, start: str) -> tuple[Figure, ...]:
    """Labels or costs, that is, numbers whose name begins with `start`, unless both are zero; a missing one is zero."""
    names = [name for name in dict.fromkeys((*one.metrics, *other.metrics)) if name.startswith(start)]
    pairs = [Figure(name, one.metrics.get(name, 0.0), other.metrics.get(name, 0.0)) for name in sorted(names)]
    return tuple(pair for pair in pairs if pair.one or pair.other)


def with_tests(
    figures: Sequence[Figure], tables: tuple[DataFrame, DataFrame], units: tuple[DataFrame, DataFrame]
) -> list[Figure]:
    """The figures with their tests, corrected for their number by Holm's rule.

    AUC: DeLong, over the units of both runs. Every other metric with a column in the tables per slide: Wilcoxon's
    signed-rank test over the slides on which both have a value.
    """
    one, other = tables
    tests = {}
    for figure in figures:
        if figure.name == AUC:
            tests[figure.name] = over_units(*units)
        elif figure.main and figure.name in one and figure.name in other:
            tests[figure.name] = over_slides(values(one, figure.name), values(other, figure.name))
    corrected = dict(zip(tests, correct(list(tests.values())), strict=True))
    return [replace(figure, test=corrected.get(figure.name)) for figure in figures]


def _interval(run: StoredRun, name: str) -> Interval | None:
    low, high = run.metrics.get(f"{name}.low"), run.metrics.get(f"{name}.high")
    return None if low is None or high is None else (low, high)
