"""Tables that users write: text with any usual separator and encoding, or Parquet. Every row knows its line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import DataError

from .table_text import Text, decode, find_separator, parse

if TYPE_CHECKING:
    import pandas as pd

PARQUET = ".parquet"

_DECIMALS = re.compile(r"(\d+)[.,]0+")


@dataclass(frozen=True)
class Row:
    """`where`: file and line (of a Parquet file: row), as in `manifest.csv, line 3`. `cells`: column → text."""

    where: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The text of a cell; empty where the table has no such column."""
        return self.cells.get(column, "")


@dataclass(frozen=True, eq=False)
class Table:
    """A table with at least one row, all of it text.

    `frame`: names of columns in lower case, cells in Unicode NFC without blanks around; the index is the line in the
    file, of a Parquet file the row. `form`: encoding and separator, as recognised. `notes`: what was mended or passed
    over.
    """

    path: Path
    frame: pd.DataFrame
    form: str
    notes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.frame.columns)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows in their order."""
        unit = self.frame.index.name
        records = zip(self.frame.index, self.frame.to_dict("records"), strict=True)
        return tuple(
            Row(f"{self.path.name}, {unit} {number}", {str(name): str(cell) for name, cell in cells.items()})
            for number, cells in records
        )


def read_table(path: Path, needs: Sequence[str], *, fix: str, header: bool = True) -> Table:
    """Read a table. Separator (comma, semicolon, tab, bar), encoding and byte order mark are recognised.

    UTF-8, UTF-16 and UTF-32 are told apart from their bytes; what is none of them is read as Windows-1252, and a
    note says so. Every cell stays text: `007` is not 7. Blanks and invisible characters around a cell are removed.
    Rows without content, empty columns at the end and columns without a name are ignored.

    `needs`: columns that must be there, in any case; with `header=False` the names of the first columns of a table
    that has no header, whose rows may be shorter or longer. `fix`: the next command to type where the table itself
    is at fault.

    Raises `DataError`, naming file, line and column, when the file cannot be read, is empty, names a column twice,
    lacks one of `needs`, or has a row of another length than its header.
    """
    raw = _read_parquet(path, fix) if path.suffix.lower() == PARQUET else _read_text(path, needs, header)
    cells, mended = _clean(raw)
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise DataError(f"{path} is empty; expected the columns {', '.join(needs)}", fix=fix)
    if not header:
        frame = cells.iloc[:, : len(needs)].reindex(columns=range(len(needs)), fill_value="")
        frame.columns = list(needs)
    else:
        frame, passed = _named(path, raw, cells, needs, fix)
        mended += passed
    return Table(path, frame, raw.form, tuple(f"{path.name}: {note}" for note in (*raw.notes, *mended)))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, separator: str = ",") -> None:
    """Write a table as UTF-8 text with Unix line ends."""
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in rows], columns=list(columns), dtype=object)
    frame.to_csv(path, sep=separator, index=False, lineterminator="\n", encoding="utf-8")


def refuse_rows(faults: Sequence[str], fix: str) -> None:
    """Raise `DataError` with the first fault and the number of the others; nothing for none."""
    if faults:
        more = f" (and {len(faults) - 1} more such rows)" if len(faults) > 1 else ""
        raise DataError(faults[0] + more, fix=fix)


def number(text: str) -> float | None:
    """The number that a cell says, with a decimal point or a decimal comma; None for any other text."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        return None


def whole_number(text: str) -> str | None:
    """The digits of a whole number that a spreadsheet wrote with decimals, `17` for `17.0`; None for other texts."""
    match = _DECIMALS.fullmatch(text)
    return match[1] if match else None


def _read_text(path: Path, needs: Sequence[str], header: bool) -> Text:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read as a table: {reason}", fix=f"ls -l {path}") from error
    try:
        text, encoding, notes = decode(content)
        separator, text, skipped = find_separator(text, needs if header else ())
        return parse(text, separator, encoding, skipped, notes)
    except ValueError as error:
        fix = f"correct {path.name}, or save it again as CSV in UTF-8 or as Parquet"
        raise DataError(f"{path} cannot be read as a table: {error}", fix=fix) from error


def _read_parquet(path: Path, fix: str) -> Text:
    import pandas as pd

    try:
        frame = pd.read_parquet(path, dtype_backend="pyarrow")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}", fix=fix) from error
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    columns = {
        position: [str(name), *(_plain(path, str(name), row, cell) for row, cell in enumerate(values.tolist(), 1))]
        for position, (name, values) in enumerate(frame.items())
    }
    return Text(pd.DataFrame(columns, index=pd.RangeIndex(len(frame) + 1, name="row"), dtype=object), "Parquet", ())


def _plain(path: Path, column: str, row: int, value: Any) -> str:
    """As a text file would have it: nothing for a missing value, 1 for True and for 1.0."""
    import pandas as pd

    if isinstance(value, list | dict | bytes):
        msg = f"{path.name}, row {row}, column {column}: a {type(value).__name__}; expected text or a number"
        raise DataError(msg, fix=f"write {path.name} again without this column, or with text in it")
    if pd.isna(value):
        return ""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value)


def _clean(raw: Text) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """All cells as text in NFC without blanks or invisible characters around them; a note where there were some."""
    before = raw.cells.fillna("")
    cells = before.map(lambda cell: _stripped(unicodedata.normalize("NFC", cell)))
    plain = before.map(lambda cell: unicodedata.normalize("NFC", cell).strip())
    odd = [(cells.index[row], column) for row, column in zip(*(cells != plain).to_numpy().nonzero(), strict=True)]
    if not odd:
        return cells, ()
    (line, column), many = odd[0], len(odd)
    first = f"{cells.index.name} {line}, column {column + 1}"
    return cells, (f"invisible characters are removed from {many} cells, the first: {first}",)


def _stripped(text: str) -> str:
    """Without blanks and without format characters (zero-width space, byte order mark, marks of direction) around."""
    start, end = 0, len(text)
    while start < end and (text[start].isspace() or unicodedata.category(text[start]) == "Cf"):
        start += 1
    while end > start and (text[end - 1].isspace() or unicodedata.category(text[end - 1]) == "Cf"):
        end -= 1
    return text[start:end]


def _named(
    path: Path, raw: Text, cells: pd.DataFrame, needs: Sequence[str], fix: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows under the names of the header, and what was ignored."""
    top = f"{path.name}, {cells.index.name} {cells.index[0]}"
    names = [" ".join(name.lower().split()) for name in cells.iloc[0]]
    named = [position for position, name in enumerate(names) if name]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        places = " and ".join(str(position + 1) for position in named if names[position] == twice)
        msg = f"{path}: the column {twice} appears twice, as columns {places}"
        raise DataError(msg, fix=f"remove one of them from {path.name}")
    lacking = [name for name in needs if name.lower() not in names]
    if lacking:
        columns = ", ".join(names[position] for position in named)
        msg = f"{path} has no column {', '.join(lacking)}; its columns are: {columns} ({top}; read as {raw.form})"
        raise DataError(msg, fix=fix)
    rows = cells.iloc[1:]
    if rows.empty:
        raise DataError(f"{path} has a header and no rows", fix=fix)
    _check_lengths(path, raw, int(cells.index[0]), rows, names)
    nameless = [position for position, name in enumerate(names) if not name and (rows[position] != "").any()]
    frame = rows[named]
    frame.columns = [names[position] for position in named]
    _check_breaks(path, frame, needs)
    empty = len(raw.cells.index) - 1 - len(rows)
    passed = [f"{empty} empty rows are ignored"] if empty else []
    passed += [f"column {position + 1} has no name and is ignored" for position in nameless]
    return frame, tuple(passed)


def _check_lengths(path: Path, raw: Text, head: int, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse rows that lack a cell under a name, or have content beyond the header."""
    wide = int(raw.cells.loc[[head]].notna().to_numpy().sum())
    present = raw.cells.loc[rows.index].notna().to_numpy()
    filled = (rows != "").to_numpy()
    named = [position for position, name in enumerate(names) if name]
    wrong = ~present[:, named].all(axis=1) | filled[:, wide:].any(axis=1)
    if not wrong.any():
        return
    row = int(wrong.argmax())
    where = f"{path.name}, {rows.index.name} {rows.index[row]}"
    msg = f"{where}: {present[row].sum()} cells, but the header has {wide}; "
    lacking = next((names[position] for position in named if not present[row, position]), None)
    if lacking is not None:
        msg += f"column {lacking} is lacking"
    else:
        surplus = wide + int(filled[row, wide:].argmax())
        msg += f"{rows.iat[row, surplus]!r} in column {surplus + 1} is beyond it"
    raise DataError(msg, fix=f"edit {path}: every row has as many cells as the header")


def _check_breaks(path: Path, frame: pd.DataFrame, needs: Sequence[str]) -> None:
    for name in (name.lower() for name in needs):
        for line, cell in frame[name].items():
            if "\n" in str(cell):
                msg = f"{path.name}, {frame.index.name} {line}, column {name}: the cell goes on in the next line"
                raise DataError(msg, fix=f"edit {path}: look for a quotation mark that is not closed")
