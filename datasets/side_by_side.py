"""Work on many slides, in as many processes as it is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Result = TypeVar("Result")

WORTH = 8.0
"""Seconds of work on one core from which on processes are started: each takes about a second to begin."""


def side_by_side(
    jobs: Sequence[Callable[[], Result]], *, seconds: float, processes: int | None = None
) -> Iterator[Result]:
    """What the jobs return, in the order in which they end.

    `seconds`: what one takes on a core, about. `processes`: how many to use; None: one per core, but this one alone
    where all jobs together take less than `WORTH`. Jobs travel to other processes, so they must not change anything
    that they share. What a job raises is raised here.
    """
    import joblib

    if processes is None:
        processes = 1 if len(jobs) * seconds < WORTH else joblib.cpu_count()
    if processes == 1:
        yield from (job() for job in jobs)
        return
    parallel = joblib.Parallel(min(processes, len(jobs)), return_as="generator_unordered", batch_size=1)
    yield from parallel(joblib.delayed(job)() for job in jobs)
