"""CSV that spreadsheets do not execute: a text cell that would be a formula begins with an apostrophe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escaped(cell: Any) -> Any:
    """The cell as a spreadsheet may read it; numbers stay as they are (OWASP, "CSV injection")."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def unescaped(text: str) -> str:
    """The text of which `escaped` made this cell."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def csv_text(frame: DataFrame, **settings: Any) -> str:
    """A table as CSV without its index, with escaped cells. `settings` are those of `DataFrame.to_csv`."""
    from pandas import Series

    columns = {
        str(name): Series([escaped(cell) for cell in column], index=column.index, dtype=column.dtype)
        for name, column in frame.items()
        if column.dtype == object or column.dtype == "string"
    }
    text: str = frame.assign(**columns).to_csv(index=False, lineterminator="\n", **settings)
    return text
