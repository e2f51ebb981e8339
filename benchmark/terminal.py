"""Consoles that print foreign text as it is: no markup, no control characters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

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

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render to segments whose text holds no control characters."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control is None and _CONTROL.search(text):
                yield Segment(plain(text), segment.style)
            else:
                yield segment
