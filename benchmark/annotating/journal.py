"""What was done on the page, one JSON object a line: written through to the disk before it counts, never changed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from benchmark.errors import ConfigError, DataError
from benchmark.storage import append_line

Kind = Literal["answer", "example", "start", "undo", "redo", "end", "reopen"]
Cell = tuple[int, int]
Mark = tuple[int, int, int]
"""Row, column, index of the class."""


@dataclass(frozen=True)
class Event:
    """One thing done.

    `seconds`: what it took. `when`: seconds since 1970. `tab`, `tab_number`: the tab that sent it, and its number
    among what that tab sent.
    """

    kind: Kind
    marks: tuple[Mark, ...] = ()
    seconds: float = 0.0
    when: float = 0.0
    who: str = ""
    tab: str = ""
    tab_number: int = 0


@dataclass(frozen=True)
class Given:
    """An answer in force."""

    label: int
    seconds: float
    when: float
    who: str


@dataclass
class Record:
    """What is in force after some events: examples in order, answers by cell, and what undo and redo would do."""

    examples: dict[Cell, Given] = field(default_factory=dict)
    answers: dict[Cell, Given] = field(default_factory=dict)
    started: bool = False
    ended: bool = False
    done: list[tuple[int, Event]] = field(default_factory=list)
    """What undo takes back, last first, with its number in the journal."""
    undone: list[tuple[int, Event]] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Record:
        """What is in force after these events."""
        record = cls()
        for number, event in enumerate(events, start=1):
            if event.kind == "undo":
                record.undone.append(record.done.pop())
            elif event.kind == "redo":
                record.done.append(record.undone.pop())
            elif event.kind in ("end", "reopen"):
                record.ended = event.kind == "end"
            else:
                record.done.append((number, event))
                record.undone.clear()
        for _, event in record.done:
            record.started |= event.kind == "start"
            target = record.examples if event.kind == "example" else record.answers
            for row, col, label in event.marks:
                target[row, col] = Given(label, event.seconds / len(event.marks), event.when, event.who)
        return record


class Journal:
    """The events on disk. The first line says what the session is about; a later one about something else is refused.

    A last line without its end is what a killed program left: it never counted, and the next event replaces it.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], fits: Callable[[Mark], bool] = lambda mark: True) -> None:
        """Read what is there. `fits`: whether the slide has such a mark.

        Raises `ConfigError` for a session about something else, `DataError` for a bad line.
        """
        self.path, self.events = path, list[Event]()
        self._whole = 0
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
        if not lines:
            self._write(dict(about))
            return
        self._whole = sum(len(line) + 1 for line in lines)
        before = self._object(lines[0], 1)
        for name, value in about.items():
            if before.get(name) != value:
                what = f"{path} is a session with {name} {before.get(name)!r}, not {value!r}"
                raise ConfigError(what, fix="--out ANOTHER_FOLDER, or give the options of that session")
        self.events = [self._event(line, number, fits) for number, line in enumerate(lines[1:], start=2)]
        self._require_order()

    def append(self, event: Event) -> None:
        """Keep an event; it is on the disk when this returns."""
        self._write(asdict(event))
        self.events.append(event)

    def last_number(self, tab: str) -> int:
        """The number of the last event that a tab sent; 0 before the first."""
        return max((event.tab_number for event in self.events if event.tab == tab), default=0)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._whole = append_line(self.path, self._whole, (json.dumps(line) + "\n").encode())

    def _object(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            content = json.loads(line)
        except ValueError as error:
            content = error
        if not isinstance(content, dict):
            raise self._bad(number, f"is not an entry of a session: {content}")
        return content

    def _event(self, line: bytes, number: int, fits: Callable[[Mark], bool]) -> Event:
        fields = self._object(line, number)
        try:
            marks = tuple((int(row), int(col), int(label)) for row, col, label in fields.pop("marks"))
            event = Event(marks=marks, **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise self._bad(number, f"is not an entry of a session ({type(error).__name__}: {error})") from error
        if event.kind not in get_args(Kind):
            raise self._bad(number, f"has the unknown kind {event.kind!r}")
        for name, value in (("seconds", event.seconds), ("when", event.when), ("tab_number", event.tab_number)):
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise self._bad(number, f"has {name} {value!r}, expected a number from 0")
        if odd := [mark for mark in marks if not fits(mark)]:
            raise self._bad(number, f"marks row {odd[0][0]}, column {odd[0][1]} with class {odd[0][2]}: no such patch")
        return event

    def _require_order(self) -> None:
        """Raise `DataError` for an undo or a redo of nothing: a line before it was taken out."""
        done = undone = 0
        for number, event in enumerate(self.events, start=2):
            if event.kind in ("undo", "redo"):
                step = 1 if event.kind == "redo" else -1
                done, undone = done + step, undone - step
            elif event.kind not in ("end", "reopen"):
                done, undone = done + 1, 0
            if min(done, undone) < 0:
                raise self._bad(number, f"does {event.kind} where there is nothing to {event.kind}")

    def _bad(self, number: int, what: str) -> DataError:
        cut = f", or go on with what came before that line: sed -i '{number},$d' {self.path}" if number > 1 else ""
        return DataError(f"{self.path}, line {number} {what}", fix=f"--out ANOTHER_FOLDER{cut}")


def kind_of(text: Any) -> Kind | None:
    """The kind of that name; None for another."""
    return cast(Kind, text) if text in get_args(Kind) else None
