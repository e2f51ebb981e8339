"""What a run measured, as files to open: a table per slide, and one page with everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.csv_text import csv_text
from benchmark.reporting.run_facts import Cell, RunFacts
from benchmark.reporting.summary_page import render
from benchmark.storage import whole_file
from benchmark.stored import TABLE_SUFFIX


def write_report(folder: Path, facts: RunFacts) -> None:
    """Write `per_slide.csv`, `per_slide.table.json` and `summary.html` into `folder`."""
    write_table(folder, "per_slide", facts.rows, first=("slide", "subset", *facts.headlines))
    with whole_file(folder / "summary.html") as temporary:
        temporary.write_text(render(facts), encoding="utf-8")


def write_table(folder: Path, name: str, rows: Sequence[Mapping[str, Cell]], *, first: Sequence[str] = ()) -> None:
    """Write `name.csv` and `name.table.json`, the form that MLflow shows as a table.

    Columns in the order of first appearance, those of `first` ahead. What is undefined is an empty field in the one
    and null in the other; NaN is a `ValueError`.
    """
    from pandas import DataFrame

    known = dict.fromkeys(column for row in rows for column in row)
    columns = list(dict.fromkeys([*(column for column in first if column in known), *known]))
    lines = [[row.get(column) for column in columns] for row in rows]
    table = json.dumps({"columns": columns, "data": lines}, allow_nan=False)
    # As objects: a column of integers in which one is undefined would else be written as floats.
    text = csv_text(DataFrame(lines, columns=columns, dtype=object))
    for suffix, content in ((".csv", text), (TABLE_SUFFIX, table)):
        with whole_file(folder / f"{name}{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8", newline="")
