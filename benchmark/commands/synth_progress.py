"""How far the making of a miniature is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

_Tell = Callable[[int, int], None]

PERIOD = 8.0
"""Seconds between two lines where the output is no terminal."""


@contextmanager
def progress_of(out: Console, slides: int, period: float = PERIOD) -> Iterator[None]:
    """Show how many of `slides` a dataset has made within the block."""
    from benchmark.dataset import watched

    with _bar(out, slides) if out.is_terminal else _lines(out, slides, period) as tell, watched(tell):
        yield


@contextmanager
def _bar(out: Console, slides: int) -> Iterator[_Tell]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("making slides"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=out, transient=True) as bar:
        task = bar.add_task("", total=slides)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _lines(out: Console, slides: int, period: float) -> Iterator[_Tell]:
    """A thread says it, so that a slow slide is no silence."""
    state, stop, began = [0, slides], threading.Event(), time.monotonic()

    def tell(done: int, total: int) -> None:
        state[:] = done, total

    def say() -> None:
        while not stop.wait(period):
            seconds = round(time.monotonic() - began)
            out.print(f"made {state[0]} of {state[1]} slides in {seconds} s", markup=False, soft_wrap=True)

    thread = threading.Thread(target=say, name="synth-progress", daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        stop.set()
        thread.join()
