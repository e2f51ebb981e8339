"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table, and an empty one."""
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell(value) for value in row) + " |"
    yield ""


def cell(value: object) -> str:
    """Write a value on one line, without what would end the cell or begin a tag."""
    value = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    text = "" if value is None else " ".join(str(value).split())
    return escaped(text.replace("|", "\\|"))


def escaped(text: str) -> str:
    """What would begin a tag is text, but in code it stands as it is."""
    parts = re.split(r"(`[^`\n]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def fields(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of parameters or options, without the columns that are empty throughout."""
    if not rows:
        return
    names = [name for name in rows[0] if any(row[name] not in (None, "", {}, ()) for row in rows)]
    shown = [[f"`{row[name]}`" if name == "name" else _value(row[name]) for name in names] for row in rows]
    yield from table(["in other presets" if name == "values" else name for name in names], shown)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {one}" for name, one in value.items())
    return "" if value is None else str(value)
