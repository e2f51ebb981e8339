"""Says what is being done before the runs start: a spinner on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from benchmark.dataset import watched

PERIOD = 8.0
"""Seconds between two lines where the output is no terminal."""

Tell = Callable[[str], None]


@contextmanager
def doing(console: Console, what: str, period: float = PERIOD) -> Iterator[Tell]:
    """Within the block, show `what`, or whatever is told since; of miniatures, how many slides are made."""
    state = {"what": what, "slides": ""}

    def text() -> str:
        return f"{state['what']}{state['slides']}"

    with _spinner(console, text) if console.is_terminal else _lines(console, text, period) as changed:

        def tell(now: str) -> None:
            state.update(what=now, slides="")
            changed()

        def made(done: int, total: int) -> None:
            state["slides"] = f": made {done} of {total} slides of its miniature"
            changed()

        with watched(made):
            yield tell


@contextmanager
def _spinner(console: Console, text: Callable[[], str]) -> Iterator[Callable[[], None]]:
    with console.status(text()) as status:
        yield lambda: status.update(text())


@contextmanager
def _lines(console: Console, text: Callable[[], str], period: float) -> Iterator[Callable[[], None]]:
    """A thread says it, so that a slow step is no silence."""
    stop, began = threading.Event(), time.monotonic()

    def say() -> None:
        while not stop.wait(period):
            console.print(f"{text()} ({time.monotonic() - began:.0f} s)", markup=False, soft_wrap=True)

    thread = threading.Thread(target=say, name="doing", daemon=True)
    thread.start()
    try:
        yield lambda: None
    finally:
        stop.set()
        thread.join()
