"""The numbers that two runs share, and the paired tests between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.statistics import holm, wilcoxon
from benchmark.reporting.comparison.comparison_facts import Figure, Interval, PairedTest
from benchmark.tracking.stored_runs import StoredRun

AUC = "image/auc"
APART = ("labels/", "cost/", "stage/", "system/")
"""Beginnings of names that are no metric; labels and costs have tables of their own."""

Rows = Sequence[Mapping[str, Any]]
Units = Sequence[tuple[str, int, float]]


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


def tested(figures: Sequence[Figure], rows: tuple[Rows, Rows], units: tuple[Units, Units]) -> list[Figure]:
    """The figures with their tests, corrected for their number by Holm's rule.

    AUC over units: DeLong, from the units of both runs. Every other metric with a column in the tables per slide:
    Wilcoxon's signed-rank test over the slides on which both have a value.
    """
    columns = [{column for row in table for column in row} for table in rows]
    made = []
    for figure in figures:
        if figure.name == AUC:
            figure = replace(figure, test=_delong(*units))
        elif figure.main and all(figure.name in column for column in columns):
            figure = replace(figure, test=_signed_rank(figure.name, *rows))
        made.append(figure)
    numbers = [number for number, figure in enumerate(made) if figure.test is not None and figure.test.p is not None]
    corrected = holm([p for figure in made if figure.test is not None and (p := figure.test.p) is not None])
    for number, p in zip(numbers, corrected, strict=True):
        test = made[number].test
        assert test is not None
        made[number] = replace(made[number], test=replace(test, corrected=p))
    return made


def values(rows: Rows, column: str) -> dict[str, float]:
    """Slide → value of a column, where it has one."""
    return {str(row["slide"]): float(row[column]) for row in rows if row.get(column) is not None}


def _signed_rank(metric: str, one: Rows, other: Rows) -> PairedTest:
    first, second = values(one, metric), values(other, metric)
    shared = [slide for slide in first if slide in second]
    if not shared:
        return PairedTest("Wilcoxon", refused="no slide with a value in both")
    left, right = (np.array([table[slide] for slide in shared]) for table in (first, second))
    found = wilcoxon(left, right)
    return PairedTest("Wilcoxon", len(shared), float(np.mean(left - right)), None if found is None else found.p)


def _delong(one: Units, other: Units) -> PairedTest:
    from benchmark.metrics.comparison import delong

    for which, table in (("one", one), ("other", other)):
        if not table:
            return PairedTest("DeLong", refused=f"`{which}` has no readable units.csv")
    first, second = ({name: (label, score) for name, label, score in table} for table in (one, other))
    shared = [name for name in first if name in second]
    if len(shared) != max(len(first), len(second)) or any(first[name][0] != second[name][0] for name in shared):
        return PairedTest("DeLong", refused="the units of the two runs, or their labels, are not the same")
    labels = [first[name][0] for name in shared]
    if min(sum(labels), len(labels) - sum(labels)) < 2:
        return PairedTest("DeLong", refused="fewer than two positive or two negative units")
    found = delong(labels, [first[name][1] for name in shared], [second[name][1] for name in shared])
    if found is None:
        return PairedTest("DeLong", len(shared), 0.0)
    return PairedTest("DeLong", len(shared), found.difference, found.p)


def _interval(run: StoredRun, name: str) -> Interval | None:
    low, high = run.metrics.get(f"{name}.low"), run.metrics.get(f"{name}.high")
    return None if low is None or high is None else (low, high)
