"""Which rows of a track differ: paired tests between them, and ranks that call a tie a tie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting import paired
from benchmark.reporting.leaderboard.standings_model import (
    TASKS,
    Board,
    PairTest,
    Row,
    Standing,
    applies,
)
from benchmark.reporting.paired import PairedTest
from benchmark.stored import StoredRun

if TYPE_CHECKING:
    from pandas import DataFrame, Series

CONTENDERS = 5
"""So many rows of a track are tested against each other, those with the best means; the others keep that order."""

LEVEL = 0.05

Table = Callable[["StoredRun"], "DataFrame"]
"""Gives a table of a run, empty where the run has none."""


def rank_rows(board: Board, slides: Table, units: Table, *, contenders: int = CONTENDERS) -> Board:
    """The board with the tests of the first metric of each task, and the ranks that follow from them.

    Holm's correction is over the tests of one track and metric.

    Args:
        board: without tests.
        slides: gives the table per slide of a run, see `benchmark.stored.slide_table`.
        units: gives the test units of a run, see `benchmark.stored.unit_table`.
        contenders: so many rows of a track are tested, those with the best means.
    """
    tests: list[PairTest] = []
    standings: dict[str, dict[str, Standing]] = {}
    for task, metric in _primary(board).items():
        standings[metric] = {}
        for track, rows in board.tracks().items():
            having = [row for row in rows if metric in row.figures and applies(task, row)]
            ranked = sorted(having, key=lambda row: _better(metric) * row.figures[metric].mean, reverse=True)
            made = _tests(metric, track, ranked[:contenders], slides, units)
            tests += made
            standings[metric].update(_standings(metric, ranked, made, contenders))
    return replace(board, tests=tuple(tests), standings=standings)


def primary(board: Board) -> list[str]:
    """The first metric of each task that some row of it has."""
    return list(_primary(board).values())


def _primary(board: Board) -> dict[str, str]:
    """Task → the metric that ranks it."""
    first = {}
    for task, names in TASKS.items():
        rows = [row for row in board.rows if applies(task, row)]
        name = next((name for name in names if any(name in row.figures for row in rows)), None)
        first.update({task: name} if name is not None else {})
    return first


def _better(metric: str) -> int:
    return -1 if METRICS[metric].direction == "down" else 1


def _tests(metric: str, track: str, rows: Sequence[Row], slides: Table, units: Table) -> list[PairTest]:
    pairs = list(combinations(rows, 2))
    if metric == "image/auc":
        tests = [_delong(one, other, units) for one, other in pairs]
    else:
        means = {row.label: slide_values(row, metric, slides) for row in rows}
        tests = [paired.over_slides(means[one.label], means[other.label]) for one, other in pairs]
    return [
        PairTest(
            metric, track, one.label, other.label, t.kind, t.pairs, t.difference, t.corrected, t.refused, t.direction
        )
        for (one, other), t in zip(pairs, paired.correct(tests), strict=True)
    ]


def slide_values(row: Row, metric: str, slides: Table) -> Series[float]:
    """Slide → value of the metric, the mean over the row's seeds; slides that lack it in a seed are left out."""
    per_seed = [paired.values(slides(run), column_of(metric)) for run in row.runs]
    shared = [slide for slide in per_seed[0].index if all(slide in seed.index for seed in per_seed)]
    total = sum((seed[shared] for seed in per_seed[1:]), start=per_seed[0][shared])
    return total / len(per_seed)


def column_of(metric: str) -> str:
    """The column of the table per slide that a metric is made of."""
    family, _, name = metric.partition("/")
    if family != "slide":
        return metric
    return f"refine/{name}" if name in ("cleaned", "mis_modified") else f"pixel/{name}"


def _delong(one: Row, other: Row, units: Table) -> PairedTest:
    """DeLong's test on the units of the lowest seed that both rows have."""
    seeds = sorted(set(one.seeds) & set(other.seeds))
    if not seeds:
        return PairedTest("DeLong", refused="no seed in common")
    first, second = (units(row.runs[row.seeds.index(seeds[0])]) for row in (one, other))
    test = paired.over_units(first, second)
    return replace(test, kind=f"DeLong, seed {seeds[0]}") if not test.refused else test


def _standings(metric: str, ranked: Sequence[Row], tests: Sequence[PairTest], contenders: int) -> dict[str, Standing]:
    """Rank = 1 + number of significantly better rows of the track; the place by the mean for those not tested.

    A pair whose ranks and whose mean point to different rows is a tie. A row that is alone in its track has no rank.
    """
    if len(ranked) < 2:
        return {}
    tested = _tested([row.label for row in ranked[:contenders]], tests)
    worse = dict.fromkeys(tested, 0)
    for test in tests:
        if not {test.one, test.other} <= tested or test.p is None or test.p > LEVEL:
            continue
        if test.direction and not paired.torn(test.direction, test.difference):
            worse[test.other if _better(metric) * test.direction > 0 else test.one] += 1
    counts = list(worse.values())
    return {
        row.label: Standing(worse[row.label] + 1, tied=counts.count(worse[row.label]) > 1, tested=True)
        if row.label in tested
        else Standing(place + 1, tied=False, tested=False)
        for place, row in enumerate(ranked)
    }


def _tested(labels: Sequence[str], tests: Sequence[PairTest]) -> set[str]:
    """The contenders, in the order of their means, of which each could be tested against every other one.

    While a pair of them was refused, the row with the most refusals leaves, of equal ones that with the worst mean.
    """
    refused = [{test.one, test.other} for test in tests if test.refused]
    left = list(labels)
    while counts := {label: n for label in left if (n := sum(pair <= {*left} for pair in refused if label in pair))}:
        left.remove(max(reversed(counts), key=counts.__getitem__))
    return set(left) if len(left) > 1 else set()
