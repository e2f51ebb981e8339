"""Says what is being done: a spinner on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console

from benchmark.dataset import watched
from benchmark.terminal import PlainConsole

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
            changed(True)

        def made(done: int, total: int) -> None:
            state["slides"] = f": made {done} of {total} slides of its miniature"
            changed(False)

        with watched(made):
            yield tell


@contextmanager
def _spinner(console: Console, text: Callable[[], str]) -> Iterator[Callable[[bool], None]]:
    with console.status(text()) as status:
        yield lambda _: status.update(text())


@contextmanager
def _lines(console: Console, text: Callable[[], str], period: float) -> Iterator[Callable[[bool], None]]:
    """A thread says it, so that a slow step is no silence. Yields what to call after a change: true, another step."""
    began = {"now": time.monotonic()}

    def say() -> None:
        console.print(f"{text()} ({time.monotonic() - began['now']:.0f} s)", markup=False, soft_wrap=True)

    with _every(period, say):
        yield lambda anew: began.update(now=time.monotonic()) if anew else None


@contextmanager
def at_work(console: PlainConsole, what: str, quiet: float = PERIOD) -> Iterator[None]:
    """Within the block, say that it is at work after every `quiet` seconds without a line; on a terminal bars do."""
    began = time.monotonic()

    def say() -> None:
        if console.silence > quiet:
            console.print(f"  at work for {time.monotonic() - began:.0f} s: {what}", soft_wrap=True)

    with nullcontext() if console.is_terminal else _every(min(quiet, 1.0), say):
        yield


@contextmanager
def _every(period: float, say: Callable[[], None]) -> Iterator[None]:
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(period):
            say()

    thread = threading.Thread(target=watch, name="doing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
