"""What a run found, as files a person opens: a table per slide and one page that says it all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.storage import whole_file
from benchmark.tracking.names import TABLE_SUFFIX

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class StageCost:
    """What one stage cost. A reused stage shows what it cost when it was computed."""

    name: str
    seconds: float
    peak_mib: float
    reused: bool = False
    peak_gpu_mib: float = 0.0


@dataclass(frozen=True)
class RunFacts:
    """All that the summary page shows.

    `values`, `intervals`, `absent`: metric name (`name@subset` for a part of the slides) → number, 95 % interval,
    reason. `spreads`: standard deviation over slides of metrics that are means over slides. `titles`: metric name →
    what a person calls it. `headlines`: the names shown large, those without a value are skipped. `train`: numbers
    about training slides. `ledger`: label counter → count. `facts`: further lines, name → text. `rows`: one per
    slide; `slide` is its id, `note` what the method says of it. `pictures`: slide id → overlay. `rank_by`: the
    column that says which slides went worst. `figures`: caption → picture. `command`: repeats the run.
    """

    title: str
    subtitle: str
    command: str
    synthetic: bool
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    headlines: Sequence[str] = ()
    train: Mapping[str, float] = field(default_factory=dict)
    ledger: Mapping[str, int] = field(default_factory=dict)
    stages: Sequence[StageCost] = ()
    totals: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Cell]] = ()
    rank_by: str = ""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    figures: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    spreads: Mapping[str, float] = field(default_factory=dict)


def write_report(folder: Path, facts: RunFacts) -> None:
    """Write `per_slide.csv`, `per_slide.table.json` and `summary.html` into `folder`."""
    from benchmark.reporting.summary_page import render

    write_table(folder, "per_slide", facts.rows, first=("slide", "subset", *facts.headlines))
    with whole_file(folder / "summary.html") as temporary:
        temporary.write_text(render(facts), encoding="utf-8")


def write_table(folder: Path, name: str, rows: Sequence[Mapping[str, Cell]], *, first: Sequence[str] = ()) -> None:
    """Write `name.csv` and `name.table.json`, the form that MLflow shows as a table.

    Columns in the order of first appearance, those of `first` ahead. What is undefined is an empty field in the one
    and null in the other; NaN is a `ValueError`.
    """
    known = dict.fromkeys(column for row in rows for column in row)
    columns = list(dict.fromkeys([*(column for column in first if column in known), *known]))
    lines = [[row.get(column) for column in columns] for row in rows]
    table = json.dumps({"columns": columns, "data": lines}, allow_nan=False)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if cell is None else cell for cell in line] for line in lines])
    for suffix, content in ((".csv", text.getvalue()), (TABLE_SUFFIX, table)):
        with whole_file(folder / f"{name}{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8", newline="")
