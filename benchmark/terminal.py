"""Consoles that print foreign text as it is: no markup, no control characters."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing."""


def plain(text: str) -> str:
    r"""The text with control characters written out, ESC as `\x1b`, so that no terminal obeys them."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class PlainConsole(Console):
    """A console that reads no markup in strings and passes no control character of a text on to the terminal.

    Messages of failed runs, names of slides and values of parameters come from files and plug-ins: `[/]` or ESC in
    them are letters. Styles are given with `rich.text.Text` or `style=`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, "emoji": False, **settings})
        self._printed = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since anything was printed."""
        return time.monotonic() - self._printed

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print, with control characters written out before anything is measured: no cell is cut for them."""
        self._printed = time.monotonic()
        super().print(*map(_written_out, objects), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render to segments whose text holds no control characters."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control is None and _CONTROL.search(text):
                yield Segment(plain(text), segment.style)
            else:
                yield segment


def _written_out(part: Any) -> Any:
    """The same strings, texts and tables without control characters; other things are left to `render`."""
    if isinstance(part, str):
        return plain(part)
    if isinstance(part, Text):
        return _text(part) if _CONTROL.search(part.plain) else part
    if isinstance(part, Group):
        return Group(*map(_written_out, part.renderables), fit=part.fit)
    if isinstance(part, Padding):
        part.renderable = _written_out(part.renderable)
    if isinstance(part, Table):
        part.title = _written_out(part.title)
        for column in part.columns:
            column.header = _written_out(column.header)
            column._cells = [_written_out(cell) for cell in column._cells]
    return part


def _text(text: Text) -> Text:
    """The text with its styles, control characters written out."""
    found = [match.start() for match in _CONTROL.finditer(text.plain)]
    pieces = text.divide([place for start in found for place in (start, start + 1)])
    whole = text.blank_copy()
    for piece in pieces:
        piece.plain = plain(piece.plain)
        whole.append_text(piece)
    return whole
