"""Whether a process that has done a task may do the next: short, of our own components, and as it was before."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from benchmark.running.task import Task

SHORT = 5.0
"""CPU seconds of a task above which a process of its own costs too little to be worth sharing one."""

Surroundings = tuple[object, ...]


def surroundings() -> Surroundings:
    """What a task might leave changed for the next one in this process; the environment is set anew for each."""
    torch = sys.modules.get("torch")
    return (
        tuple(sys.path),
        frozenset(child.pid for child in psutil.Process().children()),
        frozenset(thread.ident for thread in threading.enumerate() if not thread.daemon),
        _folder(),
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT),
        None if torch is None else torch.get_default_dtype(),
        None if torch is None else torch.is_grad_enabled(),
    )


def reusable(task: Task, before: Surroundings, seconds: float) -> bool:
    """Whether this process, which was as `before` and worked for so many CPU seconds, may do another task."""
    return seconds < SHORT and surroundings() == before and _streams_are_open() and _ours(task)


def _folder() -> str:
    with suppress(OSError):
        return str(Path.cwd())
    return ""


def _streams_are_open() -> bool:
    with suppress(OSError):
        for number in range(3):
            os.fstat(number)
        return all(stream is not None and not stream.closed for stream in (sys.stdin, sys.stdout, sys.stderr))
    return False


def _ours(task: Task) -> bool:
    """Whether all code that the task may have run is this distribution's: others' has a process to itself, always."""
    from benchmark.registry import datasets, encoders, methods

    sets = [task.spec.dataset, *([] if task.spec.target is None else [task.spec.target.dataset])]
    used = [methods().entry(task.spec.method), *map(datasets().entry, sets), *encoders().entries()]
    return len({entry.distribution for entry in used}) == 1 and used[0].target.startswith("benchmark.")
