"""The process that does a task, or several short ones, and is heard through a pipe.

It is forked from a server process that has the libraries loaded already, so that it starts in some milliseconds. It
sits in a session of its own, so that Ctrl-C reaches the matrix alone and all processes it starts can be ended together.
Opening the store and touching the server's pages for the first time takes longer than a short task does, so a process
that is as it was before (`benchmark.running.reuse`) offers to do the next.
"""

from __future__ import annotations

import io
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from multiprocessing.connection import Connection
from typing import IO, TYPE_CHECKING, Any, cast

from benchmark.guardian import GRACE
from benchmark.process_tree import MARK, kill_tree
from benchmark.running import reuse
from benchmark.running.outcome import ElsewhereError, Outcome
from benchmark.running.states import reason_of, state_of, text_of
from benchmark.running.task import Task, Work
from benchmark.tracking.owner import JOB

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110


def work(task: Task, pipe: Connection) -> None:
    """Do a task and tell of it through the pipe; then those that come through it, if this process offers to.

    The messages: `("run", id)`, `("say", text)`, `("curve", (step, value))`, and at last `("end", outcome)` or
    `("elsewhere", whose)`; `("free", None)` is the offer. An error is an outcome too, never raised.
    """
    with suppress(AttributeError, PermissionError):
        os.setsid()
    orders = _Orders(pipe)
    after: Task | None = task
    while after is not None:
        after = orders.next() if _do(after, pipe) else None


def _do(task: Task, pipe: Connection) -> bool:
    """Do a task; True when this process offered to do another."""
    _settle(task)
    before = reuse.surroundings()
    began = time.process_time()
    channel = _PipeChannel(pipe, task.terminal)
    state = ""
    try:
        outcome = _outcome(task, channel)
        state = outcome.state
        channel.tell("end", outcome)
    except ElsewhereError as error:
        channel.tell("elsewhere", str(error))
    with suppress(OSError, ValueError):  # a plug-in may have closed it
        sys.stdout.flush()
    if state != "ok" or not reuse.reusable(task, before, time.process_time() - began):
        return False
    channel.tell("free", None)
    return True


@dataclass
class _Orders:
    """What the matrix sends: further tasks, and the end of the pipe, at which this process ends."""

    pipe: Connection
    _tasks: queue.SimpleQueue[Task | None] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._listen, name="matrix-watch", daemon=True).start()

    def next(self) -> Task | None:
        """Wait for the next task; None when there is none."""
        return self._tasks.get()

    def _listen(self) -> None:
        """End this process like Ctrl-C does when the matrix is gone: its end of the pipe is closed then.

        What has not ended some seconds later is killed with all that it started.
        """
        with suppress(EOFError, OSError):
            while True:
                self._tasks.put(self.pipe.recv())
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        kill_tree(os.getpid(), mark=os.environ.get(MARK))
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class _PipeChannel:
    """Messages of several threads through one pipe."""

    def __init__(self, pipe: Connection, terminal: bool) -> None:
        self._pipe, self._lock, self._terminal = pipe, threading.Lock(), terminal

    @cached_property
    def console(self) -> Console:
        from benchmark.terminal import PlainConsole

        if self._terminal:
            return PlainConsole()
        return PlainConsole(file=cast("IO[str]", _Lines(self)), width=WIDTH, force_terminal=False)

    def opened(self, run: str) -> None:
        self.tell("run", run)

    def curve(self, step: int, value: float) -> None:
        self.tell("curve", (step, value))

    def tell(self, kind: str, content: Any) -> None:
        # A matrix that is gone does not listen; the stored run says how it ended.
        with suppress(BrokenPipeError, ConnectionResetError), self._lock:
            self._pipe.send((kind, content))


def _settle(task: Task) -> None:
    """Make this process look like one that was started by the matrix: environment, folder, modules to be found."""
    os.environ.clear()
    os.environ.update(task.environment)
    if os.environ.get(JOB):
        _drop_handlers()
    os.environ["OMP_NUM_THREADS"] = str(task.threads)
    os.chdir(task.folder)
    if sys.path != list(task.path):
        sys.path[:] = task.path
        from benchmark.registry import refresh

        refresh()


def _drop_handlers() -> None:
    """Forget the handlers of the process of a node: submitit's, called here too, would queue the job a second time.

    SLURM sends its signals to every process of a job.
    """
    for number in (signal.SIGTERM, signal.SIGCONT):
        signal.signal(number, signal.SIG_DFL)
    asks = getattr(signal, f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}", signal.SIGUSR2)
    signal.signal(asks, signal.SIG_IGN)


def _outcome(task: Task, channel: _PipeChannel) -> Outcome:
    """What the function that the task names gives, or the outcome of its error. Raises `ElsewhereError`."""
    try:
        module, _, name = task.work.partition(":")
        function: Work = getattr(import_module(module), name)
        done = function(task, channel, **task.arguments)
    except ElsewhereError:
        raise
    except BaseException as error:  # also SystemExit and GeneratorExit of a plug-in: a run that failed
        trace = _trace(error)
        if task.debug and not isinstance(error, KeyboardInterrupt):
            channel.tell("say", trace)
        return Outcome(task.spec, state_of(error), reason_of(error), error=_portable(error), trace=trace)
    return replace(done, spec=task.spec)


def _portable(error: BaseException) -> BaseException:
    """The error, or a plain one with its words where its class cannot travel between processes."""
    text = text_of(error)
    try:
        again = pickle.loads(pickle.dumps(error))
        same = isinstance(error, Exception | KeyboardInterrupt) and str(again) == text
    except Exception:
        same = False
    return error if same else RuntimeError(f"{type(error).__name__}: {text}")


def _trace(error: BaseException) -> str:
    try:
        return traceback.format_exc()
    except Exception:  # the text of an error in the chain raises
        return "".join(traceback.format_tb(error.__traceback__))


class _Lines(io.TextIOBase):
    """A text stream whose lines go to the matrix, which prints them."""

    def __init__(self, channel: _PipeChannel) -> None:
        self._channel, self._rest = channel, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._channel.tell("say", line)
        return len(text)
