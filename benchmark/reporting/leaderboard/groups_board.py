"""`bench leaderboard --by COLUMN`: the figures of every row for the groups of a column of the data."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.subgroups import FEWEST, Column, Group, worst
from benchmark.near_names import did_you_mean, near_names
from benchmark.reporting.leaderboard.build_boards import Filters, mean_of
from benchmark.reporting.leaderboard.leaderboard_tables import SHORT, Sheet
from benchmark.reporting.leaderboard.leaderboard_words import number
from benchmark.reporting.leaderboard.standings_model import Board, Figure, Leaderboard, Row
from benchmark.stored import Artifacts, MissingError, group_columns

SHOWN = 3
"""Metrics in one table, each with its interval; `--metric` chooses others, CSV and JSON have all."""

REMARKS = (
    f"▼: the worst group of its row, of those with a stated fact and at least {FEWEST} slides. "
    "±: standard deviation over seeds. [ ]: 95 % interval over patients, mean of the seeds' ends.",
)
COLUMNS = (
    *("dataset", "settings", "data", "method", "variant", "preset", "seeds", "column", "group", "slides", "patients"),
    *("metric", "mean", "std", "low", "high", "worst"),
)
"""Of the CSV file."""


@dataclass(frozen=True)
class GroupedRow:
    """A row of a board by groups: the means over its seeds.

    `row`: as on the board, without the seeds whose runs keep no groups.
    """

    row: Row
    groups: tuple[Group, ...]
    figures: Mapping[str, Mapping[str, Figure]]
    """Group → metric → figure."""


@dataclass(frozen=True)
class GroupedBoard:
    """`rows`: those whose runs have the groups; `notes`: why others have none."""

    board: Board
    rows: tuple[GroupedRow, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Seen:
    """What the runs' tables say besides the column that is asked for."""

    columns: dict[str, None] = field(default_factory=dict)
    refused: dict[str, None] = field(default_factory=dict)
    unpublished: bool = False


def grouped(leaderboard: Leaderboard, artifacts: Artifacts, column: str) -> list[GroupedBoard]:
    """Every board by that column, boards without it left out.

    Raises `ConfigError` where no run has groups by it: an unknown column, one of a single value, or runs that were
    stored before there were groups.
    """
    seen, boards = _Seen(), []
    for board in leaderboard.boards:
        rows, notes = [], []
        for row in board.rows:
            found = _columns(row, artifacts, seen)
            own = [columns[column] for columns in found.values() if column in columns]
            name, lost = board.names[row.label], [str(seed) for seed in row.seeds if seed not in found]
            notes += [f"{name}: {each.refused}" for each in own if each.refused][:1]
            notes += [f"{name}: no groups are kept of seed {', '.join(lost)}"] if lost else []
            if own and len(own) == len(found) and not any(each.refused for each in own):
                made, lacking = _row(_of_seeds(row, found), own)
                rows += [made] if made.groups else []
                notes += [f"{name}: {lacking}"] if lacking else []
                seen.refused.update({} if made.groups else {lacking: None})
            seen.refused.update(dict.fromkeys(each.refused for each in own if each.refused))
        if rows:
            boards.append(GroupedBoard(board, tuple(rows), tuple(notes)))
    if not boards:
        raise _nothing(column, seen)
    return boards


def _of_seeds(row: Row, seeds: Container[int]) -> Row:
    kept = [(seed, run) for seed, run in zip(row.seeds, row.runs, strict=True) if seed in seeds]
    return replace(row, seeds=tuple(seed for seed, _ in kept), runs=tuple(run for _, run in kept))


def _columns(row: Row, artifacts: Artifacts, seen: _Seen) -> dict[int, Mapping[str, Column]]:
    """Seed → the columns of its run, where that has any."""
    found: dict[int, Mapping[str, Column]] = {}
    seen.unpublished |= not row.origin
    for seed, run in zip(row.seeds, row.runs, strict=True):
        try:
            columns = group_columns(artifacts, run)
        except MissingError:
            continue
        seen.columns.update(dict.fromkeys(columns))
        found[seed] = columns
    return found


def _nothing(column: str, seen: _Seen) -> ConfigError:
    if seen.refused:
        return ConfigError(f"--by {column}: {next(iter(seen.refused))}", fix=_other(column, seen))
    if seen.columns:
        hint = did_you_mean(near_names(column, seen.columns, most=1))
        known = f"the data of these runs have: {', '.join(seen.columns)}"
        return ConfigError(
            f"--by {column}: no such column; {' '.join(filter(None, (hint, known)))}", fix=_other(column, seen)
        )
    if not seen.unpublished:
        msg = f"--by {column}: a published board keeps no groups of slides"
        return ConfigError(msg, fix=f"bench leaderboard --by {column}   # in a store that has the runs themselves")
    msg = f"--by {column}: the data of these runs have no columns to group by (runs of earlier versions keep none)"
    return ConfigError(msg, fix="docs/calibration.md says which datasets have columns; slides: any of the manifest")


def _other(column: str, seen: _Seen) -> str:
    others = [name for name in seen.columns if name != column]
    near = near_names(column, others, most=1) or others
    return f"bench leaderboard --by {near[0]}" if near else "bench leaderboard"


def _row(row: Row, columns: Sequence[Column]) -> tuple[GroupedRow, str]:
    """The mean over seeds of every group that has as many slides and patients in all of them, and which have not."""
    sizes = [{group.name: (group.slides, group.patients) for group in column.groups} for column in columns]
    names = dict.fromkeys(name for of_seed in sizes for name in of_seed)
    differing = [name for name in names if any(of_seed.get(name) != sizes[0].get(name) for of_seed in sizes)]
    figures: dict[str, dict[str, Figure]] = {}
    groups = []
    for group in columns[0].groups:
        if group.name not in differing:
            alike = [next(own for own in column.groups if own.name == group.name) for column in columns]
            figures[group.name] = _figures(alike)
            means = {name: figure.mean for name, figure in figures[group.name].items()}
            groups.append(Group(group.name, group.slides, group.patients, means))
    told = f"left out are groups that are not of the same slides in all seeds: {', '.join(differing)}"
    return GroupedRow(row, tuple(groups), figures), told if differing else ""


def _figures(alike: Sequence[Group]) -> dict[str, Figure]:
    """Metric → figure of one group over seeds, of the metrics that all of them have."""
    found = {}
    for name in alike[0].values:
        if all(name in each.values for each in alike):
            ends = [each.intervals[name] for each in alike if name in each.intervals]
            mean, std = mean_of([each.values[name] for each in alike])
            whole = len(ends) == len(alike)
            low, high = (mean_of([end[side] for end in ends])[0] if whole else None for side in (0, 1))
            found[name] = Figure(mean, std, low, high)
    return found


def group_sheets(boards: Sequence[GroupedBoard], column: str, filters: Filters) -> Iterator[Sheet]:
    """A table per board: the groups of every row side by side with its headline figures."""
    for each in boards:
        metrics = _metrics(each, filters)[:SHOWN]
        head = ("method", "seeds", "group", "slides", "patients", *(SHORT.get(m, METRICS[m].title) for m in metrics))
        blocks = []
        for row in each.rows:
            lowest = {metric: worst(row.groups, metric) for metric in metrics}
            lines = []
            for place, group in enumerate(row.groups):
                cells = [
                    number(row.figures[group.name].get(metric), metric) + (" ▼" if lowest[metric] is group else "")
                    for metric in metrics
                ]
                few = f" (only {group.slides})" if group.slides < FEWEST else ""
                name = each.board.names[row.row.label] if place == 0 else ""
                seeds = str(len(row.row.seeds)) if place == 0 else ""
                lines.append((name, seeds, group.name + few, str(group.slides), str(group.patients), *cells))
            blocks.append(tuple(lines))
        shared = (each.board.shared,) if each.board.shared else ()
        yield Sheet(f"{each.board.title}: by {column}", head, tuple(blocks), (*shared, *each.notes))


def _metrics(each: GroupedBoard, filters: Filters) -> list[str]:
    known = dict.fromkeys(m for row in each.rows for figures in row.figures.values() for m in figures)
    return [name for name in known if not filters.metrics or name in filters.metrics]


def group_lines(boards: Sequence[GroupedBoard], column: str, filters: Filters) -> Iterator[dict[str, Any]]:
    """A line per board, row, group and metric, with nothing rounded; see `COLUMNS`."""
    for each in boards:
        for row in each.rows:
            common = {
                "dataset": each.board.dataset,
                "settings": each.board.told_apart,
                "data": "synthetic" if each.board.synthetic else "real",
                **{name: getattr(row.row, name) for name in ("method", "variant", "preset")},
                "seeds": " ".join(map(str, row.row.seeds)),
                "column": column,
            }
            for metric in _metrics(each, filters):
                lowest = worst(row.groups, metric)
                for group in row.groups:
                    figure = row.figures[group.name].get(metric)
                    numbers = {n: getattr(figure, n, None) for n in ("mean", "std", "low", "high")}
                    size = {"group": group.name, "slides": group.slides, "patients": group.patients}
                    yield {**common, **size, "metric": metric, **numbers, "worst": lowest is group}


def as_json(boards: Sequence[GroupedBoard], column: str, filters: Filters) -> str:
    """The lines as a list of objects."""
    return json.dumps(list(group_lines(boards, column, filters)), indent=1, allow_nan=False) + "\n"


def as_csv(boards: Sequence[GroupedBoard], column: str, filters: Filters) -> str:
    """The lines as CSV; what is undefined is an empty field."""
    from pandas import DataFrame

    from benchmark.csv_text import csv_text

    frame = DataFrame(list(group_lines(boards, column, filters)), columns=list(COLUMNS))
    return csv_text(frame.assign(worst=frame["worst"].map({True: "true", False: "false"})))
