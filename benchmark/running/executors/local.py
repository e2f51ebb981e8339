"""Runs in processes of this machine, each stopped at its limits, none able to harm another."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pydantic import Field

from benchmark.errors import EngineError, TrackingError
from benchmark.guardian import GRACE, Guardian
from benchmark.process_tree import MARK, kill_tree
from benchmark.running.executors.executor import Curve, Ended, Engine, EngineOptions, Say
from benchmark.running.limits import Limits, MemoryWatch, duration, memory_kills
from benchmark.running.outcome import Outcome
from benchmark.running.states import FAILURES, STOPPED, State
from benchmark.running.task import Task
from benchmark.running.worker import work

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
SAFE_PATH, SET_HERE = "PYTHONSAFEPATH", "for bench's server process"
_CRASHES = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"}
RESTING_SHARE = 4
"""A process that holds more than this part of what a task may hold does no further task."""
PERIOD = 0.05
"""Seconds between two looks at memory and clock."""


@dataclass
class _Job:
    """One run at work."""

    number: int
    task: Task
    process: BaseProcess
    pipe: Connection
    kills: int
    watch: MemoryWatch
    mark: str
    """Borne by everything the task starts, see `process_tree`."""
    began: float = field(default_factory=time.monotonic)
    run: str | None = None
    outcome: Outcome | None = None
    elsewhere: str | None = None
    stopped: tuple[State, str] | None = None
    """State and reason when it was stopped from here."""
    killed_at: float | None = None
    offered: bool = False
    """Whether the process offered to do another task."""


class LocalOptions(EngineOptions):
    """The file of the local engine."""

    workers: int = Field(1, ge=1, description="runs at a time")


class LocalEngine(Engine):
    """Processes of this machine."""

    name = "local"
    Options = LocalOptions
    remote = False

    def prepare(self) -> None:
        """Start the server process, which takes some seconds that the plan can use; returns at once."""
        if "forkserver" in multiprocessing.get_all_start_methods():
            _context()
            from multiprocessing import forkserver

            with _installed_modules():
                forkserver.ensure_running()

    def executor(self, jobs: int, limits: Limits, say: Say, curve: Curve, *, queued: int = 0) -> LocalExecutor:
        """An executor of at most `jobs` processes at a time, each within `limits`; none waits in a queue."""
        return LocalExecutor(jobs, limits, say, curve)


LOCAL = LocalEngine()


class LocalExecutor:
    """Starts a process for every task, at most `jobs` at a time, and says how each ended; an `Executor`.

    A process that did a short task and offers to do the next is given it: that is a task of its own nonetheless, with
    its own limits, mark and end.

    `opened` is given the number of a task and the id of its stored run, as soon as there is one. `forks`: the processes
    are forked from this one, which has no threads and does nothing else, instead of from a server process.
    """

    def __init__(
        self,
        jobs: int,
        limits: Limits,
        say: Say,
        curve: Curve,
        opened: Callable[[int, str], None] | None = None,
        *,
        forks: bool = False,
    ) -> None:
        self._jobs, self._limits, self._say, self._curve = jobs, limits, say, curve
        self._opened = opened
        self._forks = forks
        self._context: Any = multiprocessing.get_context("fork") if forks else _context()
        self._running: dict[int, _Job] = {}
        self._resting: list[_Job] = []
        self._guardian = Guardian()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        while self._resting:
            self._dismiss(self._resting.pop())
        self._guardian.close()

    @property
    def free(self) -> bool:
        """True when another task may be started."""
        return len(self._running) < self._jobs

    @property
    def busy(self) -> bool:
        """True while a task is at work."""
        return bool(self._running)

    def start(self, number: int, task: Task) -> None:
        """Start a task; `number` tells it from the others."""
        mark = uuid.uuid4().hex
        task = replace(task, environment={**task.environment, MARK: mark})
        process, here = self._take_rested(task) or self._begin(number, task)
        assert process.pid is not None
        self._running[number] = _Job(number, task, process, here, memory_kills(), MemoryWatch(process.pid), mark)
        self._guardian.watch(process.pid, mark)

    def _begin(self, number: int, task: Task) -> tuple[BaseProcess, Connection]:
        """A new process that does the task."""
        here, there = self._context.Pipe()
        target = partial(_work_forked, here, self._guardian) if self._forks else work
        process = self._context.Process(target=target, args=(task, there), name=f"bench {number}")
        with _installed_modules():
            process.start()
        there.close()
        return process, here

    def _take_rested(self, task: Task) -> tuple[BaseProcess, Connection] | None:
        """A process that did a task like this one and is told to do this one; None where there is none."""
        while self._resting:
            job = self._resting.pop()
            if job.task.like(task):
                with suppress(OSError):
                    job.pipe.send(task)
                    return job.process, job.pipe
            self._dismiss(job)
        return None

    def _dismiss(self, job: _Job) -> None:
        """End a process that rests."""
        with suppress(OSError):
            job.pipe.send(None)
        job.process.join(GRACE)
        _signal(job, _KILL)
        job.process.join()
        self._guardian.forget(job.process.pid)
        job.pipe.close()
        job.process.close()

    def ended(self) -> Iterator[Ended]:
        """Wait a moment, then give the tasks that are over by now."""
        jobs = list(self._running.values())
        wait([*(job.pipe for job in jobs), *(job.process.sentinel for job in jobs)], PERIOD)
        for job in jobs:
            self._listen(job)
            if job.offered and self._may_rest(job):
                yield self._rest(job)
                continue
            if job.process.is_alive():
                self._guard(job)
                continue
            self._listen(job)
            yield self._end(job)

    def stop(self) -> list[Ended]:
        """Ask all tasks to end as Ctrl-C would, and kill what does not within some seconds."""
        for job in self._running.values():
            if job.stopped is None:
                job.stopped = ("interrupted", STOPPED)
                _signal(job, signal.SIGTERM)
        over: list[Ended] = []
        deadline = time.monotonic() + GRACE
        while self._running:
            try:
                if time.monotonic() > deadline:
                    for job in self._running.values():
                        _kill(job)
                over.extend(self.ended())
            except KeyboardInterrupt:
                deadline = 0.0
        return over

    def give_up(self, number: int, state: State, reason: str) -> None:
        """Ask one task to end; its outcome has this state and reason."""
        job = self._running.get(number)
        if job is not None and job.stopped is None:
            job.stopped, job.killed_at = (state, reason), time.monotonic()
            _signal(job, signal.SIGTERM)

    def leave(self) -> list[str]:
        """Processes of this machine end with the command; raises `EngineError`."""
        raise EngineError("runs on this machine end with the command", fix="nohup bench run … &")

    def _listen(self, job: _Job) -> None:
        with suppress(EOFError, OSError):
            while job.pipe.poll():
                kind, content = job.pipe.recv()
                if kind == "say":
                    self._say(job.number, content)
                elif kind == "run":
                    job.run = content
                    if self._opened is not None:
                        self._opened(job.number, content)
                elif kind == "curve":
                    self._curve(job.number, *content)
                elif kind == "end":
                    job.outcome = content
                elif kind == "free":
                    job.offered = True
                else:
                    job.elsewhere = content

    def _guard(self, job: _Job) -> None:
        """Stop a run that is over one of its limits."""
        now = time.monotonic()
        if job.killed_at is not None:
            if now > job.killed_at + GRACE:
                _kill(job)
            return
        seconds, memory = self._limits.seconds, self._limits.memory
        if seconds is not None and now - job.began > seconds:
            job.stopped = ("timed out", f"stopped after {duration(seconds)} (--timeout)")
            job.killed_at = now
            _signal(job, signal.SIGTERM)
            return
        held = job.watch.held()
        if held > memory:
            shares = f"used {held / 2**30:.2f} GiB, the limit is {memory / 2**30:.2f} GiB (--memory)"
            job.stopped, job.killed_at = ("out of memory", shares), now
            _kill(job)

    def _may_rest(self, job: _Job) -> bool:
        """Whether its process may be given another task: it was not stopped and holds little of what a task may."""
        if job.stopped is not None or job.watch.held() > self._limits.memory / RESTING_SHARE:
            with suppress(OSError):
                job.pipe.send(None)
            job.offered = False
            return False
        return True

    def _rest(self, job: _Job) -> Ended:
        """Keep the process of a task that is over for the next one."""
        del self._running[job.number]
        assert job.outcome is not None
        self._resting.append(job)
        return self._told(job, job.outcome)

    def _told(self, job: _Job, done: Outcome) -> Ended:
        """How a task ended that told it itself."""
        seconds = time.monotonic() - job.began
        outcome = replace(done, seconds=done.seconds or seconds, run_id=done.run_id or job.run)
        failed = outcome.state in FAILURES and not isinstance(outcome.error, TrackingError)
        return Ended(job.number, outcome, outcome.run_id is not None or not failed)

    def _end(self, job: _Job) -> Ended:
        del self._running[job.number]
        pid = job.process.pid
        job.process.join()
        _signal(job, _KILL)
        kill_tree(None, job.watch.members, mark=job.mark if job.outcome is None or job.stopped else None)
        self._guardian.forget(pid)
        code = job.process.exitcode or 0
        job.pipe.close()
        job.process.close()
        seconds = time.monotonic() - job.began
        if job.elsewhere is not None:
            return Ended(job.number, None, True, job.elsewhere)
        done = job.outcome
        if done is not None and (done.state in ("ok", "finished before") or job.stopped is None):
            return self._told(job, done)
        state, reason = job.stopped or _how(code, memory_kills() - job.kills)
        return Ended(job.number, Outcome(job.task.spec, state, reason, job.run, seconds=seconds), False)


def _work_forked(here: Connection, guardian: Guardian, task: Task, there: Connection) -> None:
    """Do a task in a process forked from the executor's, whose ends of the pipes it must not hold open.

    They tell the guardian, and the task itself, that the executor's process is gone.
    """
    here.close()
    guardian.disown()
    work(task, there)


def _context() -> Any:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["benchmark.running.executors.preload"])
    return context


@contextmanager
def _installed_modules() -> Iterator[None]:
    """Let a server process started within import what is installed, never a `benchmark/` of the working directory.

    The server is a `python -c`, which looks into the working directory first; `preload` takes the variable away again.
    """
    if os.environ.get(SAFE_PATH):
        yield
        return
    os.environ[SAFE_PATH] = SET_HERE
    try:
        yield
    finally:
        del os.environ[SAFE_PATH]


def _signal(job: _Job, number: int) -> None:
    """Send a signal to a run's whole session, its readers included."""
    pid = job.process.pid
    if pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _kill(job: _Job) -> None:
    """Kill a run with everything below it, whatever session that is in."""
    kill_tree(job.process.pid, job.watch.members, mark=job.mark)


def _how(code: int, memory_kills_: int) -> tuple[State, str]:
    """State and reason of a process that exited without reporting."""
    if memory_kills_ > 0:
        return "out of memory", "killed by the system: out of memory"
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else f"signal {-code}"
        if name in _CRASHES:
            return "failed", f"its process crashed: {name} in its own code or a library that it uses"
        return "failed", f"its process was ended by {name} from outside"
    return "failed", f"its process exited without reporting (exit code {code})"
