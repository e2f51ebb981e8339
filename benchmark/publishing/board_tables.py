"""The three tables of a published board as Arrow tables: numbers, slides, units."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.errors import DataError
from benchmark.publishing.board_form import NUMBERS, RUNS, SLIDES, TEXTS, UNITS, FormError

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import DataType, Table

KEYS: Mapping[str, tuple[str, ...]] = {
    NUMBERS: ("run", "name"),
    SLIDES: ("run", "slide"),
    UNITS: ("run", "slide", "unit"),
}
"""File → the columns that together name one of its rows."""

LARGEST_NUMBER = 1e18
"""Beyond it, means and spreads would overflow; nothing that is measured or counted here comes near."""


def fixed_columns(file: str) -> dict[str, DataType]:
    """Column → type, of the columns that the file always has."""
    import pyarrow as pa

    columns = {
        NUMBERS: {"run": pa.string(), "name": pa.string(), "value": pa.float64()},
        SLIDES: {"run": pa.string(), "slide": pa.string()},
        UNITS: {
            "run": pa.string(),
            "slide": pa.string(),
            "patient": pa.string(),
            "unit": pa.int64(),
            "label": pa.int8(),
            "score": pa.float64(),
        },
    }
    return columns[file]


def numbers_table(numbers: Mapping[str, Mapping[str, float]]) -> Table:
    """Run → name → value, as a row each; those that are not finite are left out."""
    rows = [
        (run, name, float(value))
        for run, own in numbers.items()
        for name, value in sorted(own.items())
        if math.isfinite(value)
    ]
    return _table(fixed_columns(NUMBERS), rows)


def slides_table(slides: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Run → its rows per slide, under the union of their columns. Raises `DataError` for a column of mixed kinds."""
    names = dict.fromkeys(name for rows in slides.values() for row in rows for name in row if name != "slide")
    values = {name: [row.get(name) for rows in slides.values() for row in rows] for name in names}
    types = {name: _type_of(name, column) for name, column in values.items()}
    keys = [(run, str(row["slide"])) for run, rows in slides.items() for row in rows]
    rows = [(*key, *line) for key, line in zip(keys, _lines(values, len(keys)), strict=True)]
    return _table({**fixed_columns(SLIDES), **types}, rows)


def units_table(units: Mapping[str, DataFrame]) -> Table:
    """Run → its test units, as `benchmark.stored.unit_table` gives them; a score that is not a number is null."""
    rows = [
        (run, slide, patient, int(unit), int(label), None if math.isnan(score) else float(score))
        for run, table in units.items()
        for slide, patient, unit, label, score in zip(
            *(table[name] for name in ("slide", "patient", "unit", "label", "score")), strict=True
        )
    ]
    return _table(fixed_columns(UNITS), rows)


def parquet_bytes(table: Table) -> bytes:
    """The table as a Parquet file."""
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def read_table(file: str, content: bytes, runs: Iterable[str]) -> Table:
    """A table of the form.

    Raises `FormError` for other columns or types, rows of unknown runs, rows that come twice, and numbers that are
    not finite.
    """
    import pyarrow as pa
    from pyarrow import compute, parquet

    try:
        table = parquet.read_table(pa.BufferReader(content))
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormError(f"is not a Parquet file that can be read ({str(error).splitlines()[0][:120]})") from None
    _require_columns(file, table)
    _require_once(file, table, set(runs))
    for name in table.column_names:
        if pa.types.is_float64(table.schema.field(name).type):
            fine = compute.less_equal(compute.abs(table[name].drop_null()), LARGEST_NUMBER)
            if not compute.all(fine, min_count=0).as_py():
                raise FormError(f"has a value in {name!r} that is not finite, or beyond ±{LARGEST_NUMBER:g}")
    return table


def _require_columns(file: str, table: Table) -> None:
    import pyarrow as pa

    names = table.column_names
    if len(set(names)) < len(names):
        raise FormError("has two columns of one name")
    fixed = fixed_columns(file)
    for name, kind in fixed.items():
        if name not in names:
            raise FormError(f"has no column {name!r}")
        if table.schema.field(name).type != kind:
            raise FormError(f"has {table.schema.field(name).type} in the column {name!r}, expected {kind}")
        if name != "score" and table[name].null_count:
            raise FormError(f"has empty cells in the column {name!r}")
    for name in (name for name in names if name not in fixed):
        kinds = (pa.string(),) if name in TEXTS else (pa.float64(), pa.int64(), pa.bool_(), pa.string())
        if file != SLIDES or table.schema.field(name).type not in kinds:
            raise FormError(
                f"has a column {name[:40]!r} of {table.schema.field(name).type}, which the form does not know"
            )


def _require_once(file: str, table: Table, runs: set[str]) -> None:
    from pyarrow import compute

    for run in table["run"].unique().to_pylist():
        if run not in runs:
            raise FormError(f"has rows of a run {run[:40]!r} that {RUNS} does not name")
    counts = table.group_by(list(KEYS[file])).aggregate([([], "count_all")])
    for row in counts.filter(compute.greater(counts["count_all"], 1)).slice(0, 1).to_pylist():
        what = ", ".join(f"{name} {row[name]!r}" for name in KEYS[file][1:])
        raise FormError(f"has {what} of run {row['run'][:8]} {row['count_all']} times")


def _lines(columns: Mapping[str, list[Any]], rows: int) -> Iterable[tuple[Any, ...]]:
    return zip(*columns.values(), strict=True) if columns else [()] * rows


def _type_of(name: str, values: Sequence[Any]) -> DataType:
    """The type of a column: text by its name, else by what it holds."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if name in TEXTS or kinds == {str}:
        return pa.string()
    if len(kinds) == 1 and kinds <= {bool, int}:
        return pa.bool_() if kinds == {bool} else pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    told = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"the column {name!r} of the tables per slide holds {told}; expected one kind")


def _table(columns: Mapping[str, DataType], rows: Sequence[tuple[Any, ...]]) -> Table:
    import pyarrow as pa

    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [pa.array(values, type=kind) for values, kind in zip(by_column, columns.values(), strict=True)]
    return pa.table(arrays, names=list(columns))
