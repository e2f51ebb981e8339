"""What a person sees of a run: progress with the time left, messages, a closing table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmark.running.scalars import Curves

T = TypeVar("T")

_LOG_PERIOD = 9.0


class Numbers(Protocol):
    """Where logged numbers go: a run of the tracking store."""

    def log(self, name: str, value: float, step: int | None = None) -> None:
        """Take one number."""


class RunReporter:
    """Progress and messages go to the console (bars on a terminal, lines elsewhere), numbers to the live run if any."""

    def __init__(self, console: Console, live: Numbers | None) -> None:
        self._console = console
        self._live = live
        self._open: Progress | None = None
        self._curves = Curves()
        self.history: list[tuple[str, float, int | None]] = []

    def log(self, name: str, value: float, step: int | None) -> None:
        """Keep one number, and send it to the tracking store if that takes it (`scalars`)."""
        self.history.append((name, value, step))
        if self._live is not None and self._curves.admits(name):
            self._live.log(name, value, step)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(f"  {text}", soft_wrap=True)

    def track(self, items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
        """Pass the items on and show how far it is."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        if not self._console.is_terminal:
            yield from self._lines(items, description, total)
            return
        with self._bars() as bars:
            task = bars.add_task(description, total=total)
            for item in items:
                yield item
                bars.advance(task)
            bars.remove_task(task)

    @contextmanager
    def _bars(self) -> Iterator[Progress]:
        """One display for nested loops: rich allows a single live display at a time."""
        if self._open is not None:
            yield self._open
            return
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as self._open:
            try:
                yield self._open
            finally:
                self._open = None

    def _lines(self, items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
        began = said = time.monotonic()
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - said > _LOG_PERIOD:
                left = f", {(now - began) / done * (total - done):.0f} s left" if total else ""
                self.say(f"{description}: {done}/{total or '?'}{left}")
                said = now
        if said > began:
            self.say(f"{description}: done in {time.monotonic() - began:.0f} s")
