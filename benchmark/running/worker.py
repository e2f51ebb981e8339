"""The process that does one run: started for it, ended with it, and heard through a pipe.

It is forked from a server process that has the libraries loaded already, so that it starts in some milliseconds. It
sits in a session of its own, so that Ctrl-C reaches the matrix alone and all processes it starts can be ended together.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from benchmark.config import RunSpec
from benchmark.running.job import Known
from benchmark.tuning.task import TrialTask

if TYPE_CHECKING:
    from benchmark.running.attempt import Outcome

WIDTH = 110


@dataclass(frozen=True)
class Task:
    """All that a process has to know to do one run."""

    spec: RunSpec
    store: str
    cache: Path
    known: Known
    force: bool
    debug: bool
    threads: int
    terminal: bool
    """True: progress bars go straight to the terminal; False: lines go through the pipe."""
    environment: dict[str, str]
    folder: str
    path: tuple[str, ...]
    trial: TrialTask | None = None
    """Set where this is no run of its own but a trial of a study."""


def work(task: Task, pipe: Connection) -> None:
    """Do the run of `task`; tells `("run", id)`, `("say", text)` and at last `("end", outcome)` or `("elsewhere", "")`.

    A trial tells `("curve", (step, value))` besides.

    Never returns an exception: what goes wrong is in the outcome.
    """
    _settle(task)
    watcher = threading.Thread(target=_watch, args=(pipe,), name="matrix-watch", daemon=True)
    watcher.start()
    sender = _Sender(pipe)
    try:
        _tell(sender, "end", _outcome(task, sender))
    except _Elsewhere:
        _tell(sender, "elsewhere", "")
    sys.stdout.flush()


class _Elsewhere(Exception):
    pass


class _Sender:
    """Messages of several threads through one pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, kind: str, content: object) -> None:
        with self._lock:
            self._pipe.send((kind, content))


def _tell(sender: _Sender, kind: str, content: Any) -> None:
    # A matrix that is gone does not listen; the stored run says how it ended.
    with suppress(BrokenPipeError, ConnectionResetError):
        sender.send(kind, content)


def _settle(task: Task) -> None:
    """Make this process look like one that was started by the matrix: environment, folder, modules to be found."""
    with suppress(AttributeError, PermissionError):
        os.setsid()
    os.environ.clear()
    os.environ.update(task.environment)
    os.environ["OMP_NUM_THREADS"] = str(task.threads)
    os.chdir(task.folder)
    sys.path[:] = task.path
    from benchmark.registry import refresh

    refresh()


def _watch(pipe: Connection) -> None:
    """End this process like Ctrl-C does when the matrix is gone: its end of the pipe is closed then."""
    with suppress(EOFError, OSError):
        pipe.recv()
    os.kill(os.getpid(), signal.SIGTERM)


def _outcome(task: Task, sender: _Sender) -> Outcome:
    from benchmark.running.attempt import ElsewhereError, Outcome, Way, run_one
    from benchmark.running.job import reopen_job
    from benchmark.running.states import reason_of, state_of
    from benchmark.tracking.store import Tracker

    tracker = Tracker(task.store, cache=task.cache / "tracking")
    way = Way(force=task.force, wait=False, surveyed=True, opened=lambda run: sender.send("run", run))
    try:
        job = reopen_job(task.spec, task.cache, task.known)
        if task.trial is not None:
            from benchmark.tuning.trial import run_trial

            tell = partial(_tell, sender, "curve")
            done = run_trial(job, tracker, _console(task, sender), task.trial, way.opened, tell)
        else:
            done = run_one(job, tracker, _console(task, sender), way)
    except ElsewhereError:
        raise _Elsewhere from None
    except (Exception, KeyboardInterrupt) as error:
        trace = traceback.format_exc()
        if task.debug and not isinstance(error, KeyboardInterrupt):
            _tell(sender, "say", trace)
        return Outcome(task.spec, state_of(error), reason_of(error), error=_portable(error), trace=trace)
    return replace(done, spec=task.spec)


def _portable(error: BaseException) -> BaseException:
    """The error, or a plain one with its words where its class cannot travel between processes."""
    import pickle

    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error if str(again) == str(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _console(task: Task, sender: _Sender) -> Any:
    from rich.console import Console

    if task.terminal:
        return Console()
    return Console(file=cast("IO[str]", _Lines(sender)), width=WIDTH, force_terminal=False)


class _Lines(io.TextIOBase):
    """A text stream whose lines go to the matrix, which prints them."""

    def __init__(self, sender: _Sender) -> None:
        self._sender, self._rest = sender, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            _tell(self._sender, "say", line)
        return len(text)
