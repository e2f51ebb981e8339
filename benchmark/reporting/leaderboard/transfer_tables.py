"""The board of transfers on a terminal, in Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from benchmark.csv_text import csv_text
from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.leaderboard_tables import Sheet
from benchmark.reporting.leaderboard.standings_model import Figure
from benchmark.reporting.leaderboard.transfers import Drop, Transfer

NOTES = (
    "drop: by how much a method is worse on the other dataset than on its own test part; both figures are of one fit.",
    "[ ] of a method: 95 % interval over the test patients of both, for this fit; none where a figure has none "
    "(its run's page says why). [ ] of the mean: 95 % over methods (Student), as if they were drawn from many.",
    "tau: Kendall's, of the order of the methods on the two: 1 where it is the same, -1 where it is reversed.",
)


def transfer_sheets(found: Sequence[Transfer], rows: int | None = None) -> Iterator[Sheet]:
    """A table per pair of datasets and metric, with the mean over methods below. `rows`: at most; None for all."""
    for transfer in found:
        title = METRICS[transfer.metric.partition("@")[0]].title
        kind = " (synthetic)" if transfer.synthetic else ""
        head = ("supervision", "method", "seeds", "own test part", "elsewhere", "drop")
        lines = [_line(drop, transfer.metric) for drop in transfer.drops[:rows]]
        more = len(transfer.drops) - len(lines)
        lines += [("", f"… and {more} more", "", "", "", "")] if more > 0 else []
        total = Figure(transfer.mean, None, transfer.low, transfer.high)
        mean = ("", f"mean over {transfer.methods} methods that learn", "", "", "", _signed(total, transfer.metric))
        notes = tuple(filter(None, (_test(transfer), f"tau {transfer.tau:+.2f}" if transfer.tau is not None else "")))
        groups = (tuple(lines), (mean,)) if transfer.methods > 1 else (tuple(lines),)
        yield Sheet(f"{transfer.trained} → {transfer.tested}{kind}: {title}", head, groups, notes)


def as_json(found: Sequence[Transfer]) -> str:
    """Everything, as nested objects."""
    return json.dumps([asdict(transfer) for transfer in found], indent=1, allow_nan=False) + "\n"


def as_csv(found: Sequence[Transfer]) -> str:
    """A line per pair of datasets, metric and method; nothing rounded."""
    from pandas import DataFrame

    columns = ["trained", "tested", "data", "metric", "method", "supervision", "seeds", "own", "elsewhere"]
    lines = [
        (
            *(transfer.trained, transfer.tested, "synthetic" if transfer.synthetic else "real", transfer.metric),
            *(drop.name, drop.supervision, " ".join(map(str, drop.seeds)), drop.own.mean, drop.other.mean),
            *(drop.drop, drop.low, drop.high),
        )
        for transfer in found
        for drop in transfer.drops
    ]
    return csv_text(DataFrame(lines, columns=[*columns, "drop", "low", "high"]))


def _line(drop: Drop, metric: str) -> tuple[str, ...]:
    figures = (words.number(figure, metric) for figure in (drop.own, drop.other))
    change = _signed(Figure(drop.drop, None, drop.low, drop.high), metric)
    return (drop.supervision, drop.name, str(len(drop.seeds)), *figures, change)


def _signed(figure: Figure, metric: str) -> str:
    places = words.digits(metric)
    text = f"{figure.mean:+.{places}f}"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{figure.low:+.{places}f}, {figure.high:+.{places}f}]"


def _test(transfer: Transfer) -> str:
    return "" if transfer.p is None else f"Wilcoxon over {transfer.methods} methods: p = {transfer.p:.2g}"
