"""What a method loses on data of another place: its figure on its own test part, minus that on another's.

Both are of one fit: the run on the other dataset used the stages of the run on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.statistics import wilcoxon
from benchmark.reporting.command import TARGET
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.standings import primary
from benchmark.reporting.leaderboard.standings_model import NO_LABELS, Board, Figure, Leaderboard, Row
from benchmark.reporting.paired import FEWEST
from benchmark.reporting.run_names import setting, split_settings

_THERE = [name for name in TARGET if name != "test"]

FEWEST_RANKED = 3
"""Methods below which two orders say nothing."""


@dataclass(frozen=True)
class Drop:
    """One method: figures on the test part of its own data and of the other, over the seeds that both have.

    `drop`: by how much it is worse elsewhere, positive whatever the direction of the metric. `low`, `high`: its 95 %
    interval over test patients, see `difference_interval`; None where one of the figures has none.
    """

    name: str
    supervision: str
    seeds: tuple[int, ...]
    own: Figure
    other: Figure
    drop: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Transfer:
    """All methods from one dataset to another, by one metric; those with the smallest drop first.

    `methods`: how many the rest is about, which are those that learn from labels (all, where none does). `mean`, `low`,
    `high`: the mean drop, paired over methods, and Student's 95 % interval (None for one method). `p`: Wilcoxon's
    signed-rank test of the drops, from six methods on. `tau`: Kendall's, of the methods' order on the two.
    """

    trained: str
    tested: str
    synthetic: bool
    metric: str
    drops: tuple[Drop, ...]
    methods: int
    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    tau: float | None = None


def transfers(leaderboard: Leaderboard, filters: Filters) -> list[Transfer]:
    """Every board of another dataset's test slides beside that of the own, by the metrics asked for, or that rank."""
    found = []
    for board in (board for board in leaderboard.boards if board.elsewhere):
        home = _home(leaderboard.boards, board)
        for metric in filters.metrics or primary(board) if home else ():
            drops = list(_drops(home, board, metric))
            found += [_transfer(board, metric, drops)] if drops else []
    return found


def difference_interval(one: Figure, other: Figure) -> tuple[float, float] | None:
    """The 95 % interval of one − other, of two independent samples with their own intervals; None without them.

    With l and u the ends of each, the lower end is d − √((x₁ − l₁)² + (u₂ − x₂)²), the upper end
    d + √((u₁ − x₁)² + (x₂ − l₂)²). Source: Zou and Donner, Construction of confidence limits about effect measures,
    Statistics in Medicine 2008 (the method of variance estimates recovery).
    """
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    difference = one.mean - other.mean
    below = sqrt((one.mean - one.low) ** 2 + (other.high - other.mean) ** 2)
    above = sqrt((one.high - one.mean) ** 2 + (other.mean - other.low) ** 2)
    return difference - below, difference + above


def _home(boards: Sequence[Board], elsewhere: Board) -> list[Row]:
    """All rows on the own test part, measured alike: of every budget, those on most of its slides first."""
    first = elsewhere.rows[0].runs[0]
    wanted = (first.tag("trained_on"), first.tag("metrics_schema"), elsewhere.synthetic)
    own = [
        board
        for board in boards
        for run in [board.rows[0].runs[0]]
        if run.tag("board") and wanted == (run.tag("board"), run.tag("metrics_schema"), board.synthetic)
    ]
    return [row for board in sorted(own, key=lambda board: board.expected - board.used) for row in board.rows]


def _before(home: Sequence[Row], row: Row) -> tuple[Row, tuple[int, ...]] | None:
    """The row of the same fit on the own test part, with the seeds that both have."""
    for own in home:
        seeds = tuple(seed for seed in row.seeds if seed in own.seeds)
        if seeds and _fit(own) == _fit(row):
            return own, seeds
    return None


def _fit(row: Row) -> tuple[str | None, ...]:
    """Equal for rows of one fit: method, parameters, budget, and the prices that a budget in minutes was spent at."""
    return (row.label, row.runs[0].tag("row"), row.runs[0].tag("label_minutes"))


def _drops(home: Sequence[Row], board: Board, metric: str) -> Iterator[Drop]:
    worse = -1 if METRICS[metric.partition("@")[0]].direction == "down" else 1
    for row in board.rows:
        found = _before(home, row)
        if found is None:
            continue
        before, seeds = found
        own, other = _figure(before, seeds, metric), _figure(row, seeds, metric)
        if own is None or other is None:
            continue
        ends = difference_interval(own, other) if worse > 0 else difference_interval(other, own)
        low, high = ends or (None, None)
        name = board.names[row.label]
        yield Drop(name, row.supervision, seeds, own, other, worse * (own.mean - other.mean), low, high)


def _figure(row: Row, seeds: Sequence[int], metric: str) -> Figure | None:
    """A figure of a row over some of its seeds."""
    runs = [run.metrics for seed, run in zip(row.seeds, row.runs, strict=True) if seed in seeds]
    if not all(metric in run for run in runs):
        return None
    values = [run[metric] for run in runs]
    low, high = (_mean(runs, metric + end) for end in (".low", ".high"))
    return Figure(fmean(values), stdev(values) if len(values) > 1 else None, low, high)


def _mean(runs: Sequence[Mapping[str, float]], name: str) -> float | None:
    return fmean(run[name] for run in runs) if all(name in run for run in runs) else None


def _transfer(board: Board, metric: str, drops: Sequence[Drop]) -> Transfer:
    from scipy.stats import kendalltau, t

    learnt = [drop for drop in drops if drop.supervision != NO_LABELS] or drops
    values, pairs = [drop.drop for drop in learnt], [(drop.own.mean, drop.other.mean) for drop in learnt]
    own, other = zip(*pairs, strict=True)
    mean, low, high, p, tau = fmean(values), None, None, None, None
    if len(values) > 1:
        half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
        low, high = mean - half, mean + half
    if len(values) >= FEWEST:
        test = wilcoxon(own, other)
        p = None if test is None else test.p
    if len(values) >= FEWEST_RANKED:
        order = float(kendalltau(own, other).statistic)
        tau = order if order == order else None
    ordered = tuple(sorted(drops, key=lambda drop: (drop.drop, drop.name)))
    options = split_settings(board.settings)
    there = [options.get("test", ""), *(setting(name, options[name], whole=True) for name in _THERE if name in options)]
    here = [setting(name, value, whole=True) for name, value in options.items() if name not in TARGET]
    trained, tested = " ".join([board.dataset, *here]), " ".join(there)
    return Transfer(trained, tested, board.synthetic, metric, ordered, len(learnt), mean, low, high, p, tau)
