"""The tables of a board as the page shows them: text, and the number a column is sorted by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.standings_model import TASKS, Board, Figure, PairTest, Row, applies
from benchmark.reporting.paired import TORN, torn
from benchmark.reporting.references.load import OTHER

LEVEL = 0.05
SECONDS = ("cost/seconds", "cost/fit_seconds", "cost/score_seconds")


@dataclass(frozen=True)
class Cell:
    """`text` with `more` lines under it; `value` is what it is sorted by, None goes last."""

    text: str
    value: float | None = None
    more: tuple[str, ...] = ()
    best: bool = False


@dataclass(frozen=True)
class Column:
    """`better`: up, down, or none."""

    title: str
    better: str = "none"
    name: str = ""


@dataclass(frozen=True)
class Line:
    """A row: its name, how many seeds, and a cell per column."""

    label: str
    seeds: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TaskTable:
    """A task's rows by track, the track's best first."""

    task: str
    columns: tuple[Column, ...]
    tracks: tuple[tuple[str, tuple[Line, ...]], ...]


def task_tables(board: Board) -> Iterator[TaskTable]:
    """A table per task of which some row has a figure."""
    for task, names in TASKS.items():
        rows_of_task = [row for row in board.rows if applies(task, row)]
        shown = [name for name in names if any(name in row.figures for row in rows_of_task)]
        if shown:
            first = next((name for name in shown if name in board.standings), shown[0])
            tracks = [
                (track, _lines(board, [row for row in rows if applies(task, row)], first, shown))
                for track, rows in board.tracks().items()
                if any(name in row.figures for row in rows for name in shown if applies(task, row))
            ]
            metrics = [Column(METRICS[name].title, METRICS[name].direction, name) for name in shown]
            costs = [Column(title, "down") for title in ("Labels", "Label cost", "Seconds", "Peak MiB")]
            yield TaskTable(task, (Column("Rank", "down"), *metrics, *costs), tuple(tracks))


def probability(value: float) -> str:
    """A p value as text."""
    return f"{value:.4f}" if value >= 1e-4 else "< 0.0001"


def verdict(test: PairTest) -> str:
    """What a paired test says, in a word or two; the reason where it was refused."""
    if test.refused:
        return test.refused
    if test.p is None:
        return "equal everywhere"
    if test.p > LEVEL:
        return "tie"
    return TORN if torn(test.direction, test.difference) else "differ"


def metric_title(name: str) -> str:
    """What a person calls a metric; published ones that the suite does not have, as printed."""
    return METRICS[name].title if name in METRICS else name.removeprefix(OTHER)


def figure_text(name: str, value: float) -> str:
    """A metric's value, with as many digits as in the terminal; what the suite does not know, as it is."""
    if name.startswith(OTHER):
        return f"{value:g}"
    return f"{value:.{words.digits(name)}f}"


def _lines(board: Board, rows: Sequence[Row], first: str, names: Sequence[str]) -> tuple[Line, ...]:
    present = [row for row in rows if any(name in row.figures for name in names)]
    best = {name: _best(name, present) for name in names}
    standings = board.standings.get(first, {})
    lines = []
    for row in board.ordered(first, present):
        standing = standings.get(row.label)
        rank = Cell(standing.text, standing.rank) if standing else Cell("–")
        metrics = [_metric(name, row.figures.get(name), best[name]) for name in names]
        seeds = "1 seed" if len(row.seeds) == 1 else f"{len(row.seeds)} seeds"
        lines.append(Line(board.names[row.label], seeds, (rank, *metrics, *_costs(row))))
    return tuple(lines)


def _best(name: str, rows: Sequence[Row]) -> str:
    """The best value as it is shown, so that what looks alike is marked alike; empty where none is to be marked."""
    values = [value for row in rows if (value := row.mean(name)) is not None]
    direction = METRICS[name].direction
    if len(values) < 2 or direction == "none":
        return ""
    return figure_text(name, max(values) if direction == "up" else min(values))


def _metric(name: str, figure: Figure | None, best: str) -> Cell:
    if figure is None:
        return Cell("–")
    text = figure_text(name, figure.mean)
    spread = f" ± {figure_text(name, figure.std)}" if figure.std is not None else ""
    more: tuple[str, ...] = ()
    if figure.low is not None and figure.high is not None:
        more = (f"{figure_text(name, figure.low)} to {figure_text(name, figure.high)}",)
    return Cell(text + spread, figure.mean, more, best=text == best)


def _costs(row: Row) -> tuple[Cell, ...]:
    counts = [words.labels({name: count}) for name, count in row.labels.items()]
    labels = Cell(counts[0] if counts else "none", sum(row.labels.values()), tuple(counts[1:]))
    minutes = Cell(words.minutes(row.minutes), row.minutes)
    known = [value for name in SECONDS if (value := row.mean(name)) is not None]
    total = row.mean("cost/seconds")
    seconds = Cell(words.seconds(row), sum(known) if total is None else total) if known else Cell("–")
    return labels, minutes, seconds, Cell(words.memory(row), row.mean("cost/peak_memory_mib"))
