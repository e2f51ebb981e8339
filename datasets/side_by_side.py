"""Work on many slides, in as many processes as it is worth."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

WORTH = 8.0
"""Seconds of work on one core from which on processes are started: each takes about a second to begin."""

SHARED = 100_000
"""Bytes from which on an array that jobs have in common is given to the processes once, as a file in memory."""

LOOK = 0.5
"""Seconds between two looks of a process at whether the one that started it is still there."""


@dataclass(frozen=True)
class Hands:
    """So many processes to do jobs with; 1: this one alone."""

    number: int

    def do(self, jobs: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """What the jobs return, in the order in which they end.

        Jobs travel to other processes, so they must not change anything that they share. What a job raises is raised
        here.
        """
        if self.number == 1:
            yield from (job() for job in jobs)
            return
        import joblib

        parallel = joblib.Parallel(
            min(self.number, len(jobs)),
            backend="loky",
            return_as="generator_unordered",
            batch_size=1,
            max_nbytes=SHARED,
            initializer=_begin,
            initargs=(os.getpid(),),
        )
        yield from parallel(joblib.delayed(job)() for job in jobs)


@contextmanager
def side_by_side(seconds: float, processes: int | None = None) -> Iterator[Hands]:
    """Hands for work that takes so many `seconds` on one core; at the end of the block their processes are gone.

    `processes`: how many to use; None: one per core, but this one alone for less than `WORTH`. A process that was
    itself started by `multiprocessing` works alone: daemons may have no children, and its siblings use the other cores.
    """
    number = _number(seconds) if processes is None else processes
    if number == 1 or multiprocessing.parent_process() is not None:
        yield Hands(1)
        return
    from joblib.externals.loky import get_reusable_executor

    failed = True
    try:
        yield Hands(number)
        failed = False
    finally:
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=failed)


def _number(seconds: float) -> int:
    if seconds < WORTH:
        return 1
    import joblib

    return int(joblib.cpu_count())


def _begin(parent: int) -> None:
    """In a process of its own: leave Ctrl-C to the parent, and end when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
