"""Which rows of a track differ: paired tests between them, and ranks that call a tie a tie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.statistics import holm, wilcoxon
from benchmark.reporting.leaderboard.standings_model import TASKS, Board, PairTest, Row, Standing
from benchmark.tracking.stored_runs import StoredRun

CONTENDERS = 5
"""So many rows of a track are tested against each other, those with the best means; the others keep that order."""

LEVEL = 0.05

Rows = Callable[[StoredRun], Sequence[Mapping[str, Any]]]
Units = Callable[[StoredRun], Sequence[tuple[str, int, float]]]


def judged(board: Board, slides: Rows, units: Units, *, contenders: int = CONTENDERS) -> Board:
    """The board with the tests of the first metric of each task, and the ranks that follow from them.

    Holm's correction is over the tests of one track and metric. `slides` and `units` fetch a run's tables.
    """
    tests: list[PairTest] = []
    standings: dict[str, dict[str, Standing]] = {}
    for metric in primary(board):
        standings[metric] = {}
        for track, rows in board.tracks().items():
            having = [row for row in rows if metric in row.figures]
            ranked = sorted(having, key=lambda row: _better(metric) * row.figures[metric].mean, reverse=True)
            made = _tests(metric, track, ranked[:contenders], slides, units)
            tests += made
            standings[metric].update(_standings(metric, ranked, made, contenders))
    return replace(board, tests=tuple(tests), standings=standings)


def primary(board: Board) -> list[str]:
    """The first metric of each task that some row has."""
    first = (
        next((name for name in names if any(name in r.figures for r in board.rows)), None) for names in TASKS.values()
    )
    return [name for name in first if name is not None]


def _better(metric: str) -> int:
    return -1 if METRICS[metric].direction == "down" else 1


def _tests(metric: str, track: str, rows: Sequence[Row], slides: Rows, units: Units) -> list[PairTest]:
    pairs = list(combinations(rows, 2))
    if metric == "image/auc":
        made = [_delong(metric, track, one, other, units) for one, other in pairs]
    else:
        tables = {row.label: slide_values(row, metric, slides) for row in rows}
        made = [_signed_rank(metric, track, one.label, other.label, tables) for one, other in pairs]
    tested = [number for number, test in enumerate(made) if test.p is not None]
    corrected = holm([p for test in made if (p := test.p) is not None])
    for number, p in zip(tested, corrected, strict=True):
        made[number] = replace(made[number], p=p)
    return made


def slide_values(row: Row, metric: str, slides: Rows) -> dict[str, float]:
    """Slide → value of the metric, the mean over the row's seeds; slides that lack it in a seed are left out."""
    column = _column(metric)
    per_seed = [
        {str(line["slide"]): float(line[column]) for line in slides(run) if line.get(column) is not None}
        for run in row.runs
    ]
    shared = [slide for slide in per_seed[0] if all(slide in seed for seed in per_seed)]
    return {slide: sum(seed[slide] for seed in per_seed) / len(per_seed) for slide in shared}


def _column(metric: str) -> str:
    """The column of the table per slide that a metric is made of."""
    family, _, name = metric.partition("/")
    if family != "slide":
        return metric
    return f"refine/{name}" if name in ("cleaned", "mis_modified") else f"pixel/{name}"


def _signed_rank(metric: str, track: str, one: str, other: str, tables: Mapping[str, Mapping[str, float]]) -> PairTest:
    base = PairTest(metric, track, one, other, "Wilcoxon")
    shared = [slide for slide in tables[one] if slide in tables[other]]
    if not shared:
        return replace(base, refused="no table per slide with this metric in both")
    first, second = (np.array([tables[label][slide] for slide in shared]) for label in (one, other))
    test = wilcoxon(first, second)
    difference = float(np.mean(first - second))
    return replace(base, pairs=len(shared), difference=difference, p=None if test is None else test.p)


def _delong(metric: str, track: str, one: Row, other: Row, units: Units) -> PairTest:
    """DeLong's test on the units of the lowest seed that both rows have."""
    from benchmark.metrics.comparison import delong

    base = PairTest(metric, track, one.label, other.label, "DeLong")
    seeds = sorted(set(one.seeds) & set(other.seeds))
    if not seeds:
        return replace(base, refused="no seed in common")
    first, second = (
        {name: (label, score) for name, label, score in units(row.runs[row.seeds.index(seeds[0])])}
        for row in (one, other)
    )
    shared = [name for name in first if name in second]
    if not shared or any(first[name][0] != second[name][0] for name in shared):
        return replace(base, refused="no table of units with the same labels in both")
    labels = [first[name][0] for name in shared]
    test = delong(labels, [first[name][1] for name in shared], [second[name][1] for name in shared])
    kind = f"DeLong, seed {seeds[0]}"
    if test is None and min(sum(labels), len(labels) - sum(labels)) < 2:
        return replace(base, kind=kind, refused="fewer than two positive or two negative units")
    if test is None:
        return replace(base, kind=kind, pairs=len(shared), difference=0.0)
    return replace(base, kind=kind, pairs=len(shared), difference=test.difference, p=test.p)


def _standings(metric: str, ranked: Sequence[Row], tests: Sequence[PairTest], contenders: int) -> dict[str, Standing]:
    """Rank = 1 + number of significantly better rows of the track; the order of the means beyond the contenders."""
    worse = dict.fromkeys((row.label for row in ranked), 0)
    untested = {label for test in tests if test.refused for label in (test.one, test.other)}
    for test in tests:
        if test.p is not None and test.p <= LEVEL and test.difference:
            loser = test.other if _better(metric) * test.difference > 0 else test.one
            worse[loser] += 1
    ranks = {
        row.label: place + 1 if place >= contenders or row.label in untested else worse[row.label] + 1
        for place, row in enumerate(ranked)
    }
    counts = list(ranks.values())
    return {
        row.label: Standing(
            rank=ranks[row.label],
            tied=counts.count(ranks[row.label]) > 1,
            tested=place < contenders and row.label not in untested,
        )
        for place, row in enumerate(ranked)
    }
