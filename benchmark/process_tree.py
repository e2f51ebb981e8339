"""Whole trees of processes: children in sessions of their own, and children whose parent is gone, included."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

MARK = "BENCH_TASK"
"""Environment variable that everything a task starts inherits, with a value of the task's own."""

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_ROUNDS = 5


def members(pid: int) -> list[psutil.Process]:
    """The process and all below it, as far as they are there."""
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def marked(value: str) -> list[psutil.Process]:
    """Every process that was started with this value of `BENCH_TASK`, wherever it is in the tree by now."""
    bearers = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == value:
                bearers.append(process)
    return bearers


def kill_tree(pid: int | None, known: Iterable[psutil.Process] = (), *, mark: str | None = None) -> None:
    """Kill a process, all below it, those `known` to have been below it, and those that bear its mark.

    A child that is started meanwhile is met in the next of a few rounds. Processes that cannot be killed are left.
    """
    for _ in range(_ROUNDS):
        tree = [] if pid is None else members(pid)
        strays = [] if mark is None else marked(mark)
        doomed = {process.pid: process for process in (*tree, *known, *strays) if process.pid != os.getpid()}
        left = [process for process in doomed.values() if alive(process)]
        if not left:
            return
        for process in left:
            with suppress(psutil.Error, OSError):
                process.send_signal(_KILL)
        time.sleep(0.05)  # not `wait_procs`: that would take the exit code from the parent


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits to be reaped does not."""
    with suppress(psutil.Error):
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    return False
