"""Tables that a user writes: CSV, tab-separated text or Parquet, every row with the place it stands at."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

PARQUET = ".parquet"


@dataclass(frozen=True)
class Row:
    """`where`: file and line (of a Parquet file: row), as in `manifest.csv, line 3`. Cells without blanks around."""

    where: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The text of a cell; empty where the table has no such column."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class Table:
    """A table with at least one row. Names of columns are in lower case."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path, needs: Sequence[str], *, delimiter: str = ",", fix: str) -> Table:
    """Read a table; rows without any content are passed over.

    `fix`: the next command to type where the table itself is at fault.

    Raises `DataError` when it cannot be read, is empty, names a column twice, lacks one of `needs`, or has a row
    of another length than its header.
    """
    lines = _parquet(path, fix) if path.suffix.lower() == PARQUET else _text(path, delimiter, fix)
    where, header = next(lines, (path.name, ()))
    columns = tuple(name.strip().lower() for name in header)
    if not any(columns):
        raise DataError(f"{path} is empty; expected the columns {', '.join(needs)}", fix=fix)
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the column {twice[0]} is there twice", fix=f"remove one of them from {path.name}")
    lacking = [name for name in needs if name.lower() not in columns]
    if lacking:
        found = ", ".join(filter(None, columns))
        if delimiter == "," and len(columns) == 1 and ";" in columns[0]:
            what = f"{path} separates its columns by semicolons, as some spreadsheets do; expected commas"
            raise DataError(what, fix="save it again as CSV with commas, or as Parquet")
        raise DataError(f"{path} has no column {', '.join(lacking)}; its columns are: {found}", fix=fix)
    rows = []
    for where, cells in lines:
        texts = [cell.strip() for cell in cells]
        if not any(texts):
            continue
        if len(texts) != len(columns):
            msg = f"{where}: {len(texts)} cells, but the header has {len(columns)}"
            raise DataError(msg, fix=f"edit {path}: every row has as many cells as the header")
        rows.append(Row(where, dict(zip(columns, texts, strict=True))))
    if not rows:
        raise DataError(f"{path} has a header and no rows", fix=fix)
    return Table(path, columns, tuple(rows))


def refuse_rows(faults: Sequence[str], fix: str) -> None:
    """Raise `DataError` with the first fault and the number of the others; nothing for none."""
    if faults:
        more = f" (and {len(faults) - 1} more such rows)" if len(faults) > 1 else ""
        raise DataError(faults[0] + more, fix=fix)


def _text(path: Path, delimiter: str, fix: str) -> Iterator[tuple[str, Sequence[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for cells in reader:
                yield f"{path.name}, line {reader.line_num}", cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}", fix=fix) from error


def _parquet(path: Path, fix: str) -> Iterator[tuple[str, Sequence[str]]]:
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}", fix=fix) from error
    yield path.name, tuple(table.column_names)
    for number, cells in enumerate(zip(*(column.to_pylist() for column in table.columns), strict=True), start=1):
        yield f"{path.name}, row {number}", [_plain(cell) for cell in cells]


def _plain(value: Any) -> str:
    """As a CSV file would have it: nothing for a missing value, 1 for True and for 1.0."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value)
