"""The text of a table: its encoding and separator recognised, its cells cut, their lines counted."""

from __future__ import annotations

import codecs
import io
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),  # before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
"""Byte order mark, codec, name."""

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Separator → its name; the first wins where several would do."""

ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How .xlsx, .ods and .xls files begin, whatever they are called."""


@dataclass(frozen=True, eq=False)
class Text:
    """`cells`: text as it is in the file, NaN where a row has no cell; index: the line. `form`: how it was read."""

    cells: pd.DataFrame
    form: str
    notes: tuple[str, ...]


def decode(content: bytes) -> tuple[str, str, tuple[str, ...]]:
    r"""The text with `\n` at the ends of its lines, the name of its encoding, and notes.

    Raises `ValueError` for what is no text.
    """
    if content.startswith(ARCHIVES):
        raise ValueError("it is a workbook of a spreadsheet program, not text")
    mark, codec, name = next((known for known in MARKS if content.startswith(known[0])), (b"", "", ""))
    if not codec and content.count(0) > len(content) // 4:
        codec, name = ("utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"), "UTF-16"
    notes: tuple[str, ...] = ()
    if codec:
        text = _decoded(content[len(mark) :], codec, name)
        name += " with byte order mark" if mark else ""
    else:
        try:
            text, name = content.decode("utf-8"), "UTF-8"
        except UnicodeDecodeError as error:
            text, name = _decoded(content, "cp1252", "UTF-8 or Windows-1252"), "Windows-1252"
            line = content.count(b"\n", 0, error.start) + 1
            word = _word(content, error.start).decode("cp1252")
            notes = (f"it is not UTF-8 and is read as Windows-1252, such as {word!r} in line {line}",)
    if (count := text.count("\0")) > len(text) // 100 + 1:
        raise ValueError("it holds NUL characters: it is no text")
    if count:
        line = text.count("\n", 0, text.index("\0")) + 1
        notes = (*notes, f"a NUL character in line {line} is read as \ufffd")
        text = text.replace("\0", "\ufffd")
    return text.replace("\r\n", "\n").replace("\r", "\n"), name, notes


def _decoded(content: bytes, codec: str, name: str) -> str:
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not {name} text: byte {error.start} ({error.reason})") from error


def _word(content: bytes, place: int) -> bytes:
    start = max(content.rfind(mark, 0, place) for mark in (b",", b";", b"\t", b"\n", b"\r", b'"')) + 1
    end = re.compile(rb'[,;\t\r\n"]|$').search(content, place)
    return content[start : end.start() if end else place + 1].strip()


def find_separator(text: str, needs: Sequence[str]) -> tuple[str, str, int]:
    """The separator, the text without a line such as `sep=;`, and the number of lines taken away (0 or 1).

    The separator is the one under which the first line has most of the columns in `needs`, and then most columns.
    Raises `ValueError` where the first line cannot be cut.
    """
    first, _, rest = text.partition("\n")
    told = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", first, re.IGNORECASE)
    if told:
        return told[1], rest, 1
    line = next((line for line in text.split("\n") if line.strip()), "")
    wanted = {name.lower() for name in needs}

    def score(separator: str) -> tuple[int, int]:
        try:
            cells = [str(cell).strip().lower() for cell in _cut(line + "\n", separator).iloc[0].dropna()]
        except (ValueError, IndexError):
            return (-1, 0)
        return len(wanted & set(cells)), len(cells)

    return max(SEPARATORS, key=score), text, 0


def parse(text: str, separator: str, encoding: str, skipped: int, notes: tuple[str, ...]) -> Text:
    """Cut the text into cells. Raises `ValueError`, naming the line, where quotation marks do not fit."""
    try:
        cells = _cut(text, separator)
    except ValueError as error:
        raise ValueError(_quotation(text, separator, str(error), skipped)) from error
    breaks = cells.fillna("").map(lambda cell: cell.count("\n")).sum(axis=1)
    before = breaks.cumsum().shift(fill_value=0)
    cells.index = (before + 1 + skipped + cells.index).astype(int).rename("line")
    return Text(cells, f"{encoding}, separated by {SEPARATORS.get(separator, repr(separator))}", notes)


def _cut(text: str, separator: str) -> pd.DataFrame:
    """Rows of cells; NaN where a row is shorter than the longest. The Python engine tells those from empty cells."""
    import pandas as pd

    cells: pd.DataFrame = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        names=range(_width(text, separator)),
        index_col=False,
        dtype=object,
        keep_default_na=False,
        skip_blank_lines=False,
        skipinitialspace=True,
        engine="python",
    )
    return cells


def _width(text: str, separator: str) -> int:
    """No row has more cells than this; pandas would drop what is beyond the names that it is given."""
    widest = count = 0
    quoted = False
    for line in text.split("\n"):
        count += line.count(separator)
        quoted ^= line.count('"') % 2 == 1
        widest = max(widest, count)
        count = count if quoted else 0
    return widest + 1


def _quotation(text: str, separator: str, reason: str, skipped: int) -> str:
    """In which line a quotation mark does not fit, in words."""
    lines = text.split("\n")
    if "unexpected end" in reason:
        odd = next((number for number, line in enumerate(lines, 1) if line.count('"') % 2), len(lines))
        return f"line {odd + skipped}: a quotation mark is not closed"

    def fails(count: int) -> bool:
        try:
            _cut("\n".join(lines[:count]), separator)
        except ValueError as error:
            return str(error) == reason
        return False

    return f"line {bisect_left(range(1, len(lines) + 1), True, key=fails) + 1 + skipped}: {reason}"
