"""The leaderboard as a data frame: a line per board, row and metric, with nothing rounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.csv_text import csv_text
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.standings_model import TASKS, Board, Leaderboard, Row

if TYPE_CHECKING:
    from pandas import DataFrame

COSTS = {"seconds": "cost/seconds", "cpu_seconds": "cost/cpu_seconds", "peak_mib": "cost/peak_memory_mib"}

DTYPES = {
    **dict.fromkeys(("dataset", "settings", "data"), "str"),
    **dict.fromkeys(("slides", "expected"), "int64"),
    **dict.fromkeys(("supervision", "method"), "str"),
    "refit": "bool",
    **dict.fromkeys(("variant", "preset", "seeds", "metric"), "str"),
    **dict.fromkeys(("mean", "std", "low", "high"), "float64"),
    **dict.fromkeys(("rank", "labels"), "str"),
    **dict.fromkeys(("minutes", *COSTS), "float64"),
    **dict.fromkeys(("runs", "published_in"), "str"),
}
"""Column → dtype; `benchmark.leaderboard` says what they hold."""


def as_frame(leaderboard: Leaderboard, filters: Filters, names: Sequence[str] = ()) -> DataFrame:
    """The metrics that the filters ask for, or `names`, in the columns of `DTYPES`."""
    from pandas import DataFrame

    lines = [
        line
        for board in leaderboard.boards
        for row in board.rows
        for line in _lines(board, row, [name for name in names or _metrics(filters) if name in row.figures])
    ]
    return DataFrame(lines, columns=list(DTYPES)).astype(DTYPES)


def as_csv(leaderboard: Leaderboard, filters: Filters, names: Sequence[str] = ()) -> str:
    """The same as CSV; what is undefined is an empty field."""
    frame = as_frame(leaderboard, filters, names)
    return csv_text(frame.assign(refit=frame["refit"].map({True: "true", False: "false"})))


def _metrics(filters: Filters) -> list[str]:
    shown = [name for task in TASKS for name in filters.columns(task)]
    return list(dict.fromkeys((*shown, *filters.metrics)))


def _lines(board: Board, row: Row, metrics: list[str]) -> Iterator[dict[str, Any]]:
    common = {
        "dataset": board.dataset,
        "settings": board.told_apart,
        "data": "synthetic" if board.synthetic else "real",
        "slides": board.used,
        "expected": board.expected,
        "supervision": row.supervision,
        "method": row.method,
        "refit": row.refit,
        "variant": row.variant,
        "preset": row.preset,
        "seeds": " ".join(map(str, row.seeds)),
        "labels": words.labels(row.labels),
        "minutes": row.minutes,
        **{column: row.mean(name) for column, name in COSTS.items()},
        "runs": " ".join(run.id for run in row.runs),
        "published_in": row.origin,
    }
    for name in metrics:
        figure, standing = row.figures[name], board.standings.get(name, {}).get(row.label)
        numbers = {"mean": figure.mean, "std": figure.std, "low": figure.low, "high": figure.high}
        yield {**common, "metric": name, **numbers, "rank": "" if standing is None else standing.text}
