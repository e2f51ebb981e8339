"""What the executors of all clusters share: tasks handed over, heard, given up, and counted until they are over."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from benchmark.running.executors.executor import Curve, Ended, Executor, Say
from benchmark.running.executors.node_work import STOP_SECONDS
from benchmark.running.limits import Limits
from benchmark.running.outcome import Outcome
from benchmark.running.states import STOPPED, State
from benchmark.running.task import Task

PERIOD = 0.1
"""Seconds between two looks at the tasks."""


@dataclass
class Held:
    """A task that the engine has. `handle` is the engine's own."""

    number: int
    task: Task
    handle: Any
    job: str
    run: str | None = None
    stopped: tuple[State, str] | None = None
    began: float = field(default_factory=time.monotonic)


class RemoteExecutor(Executor, ABC):
    """An `Executor` whose tasks are done by an engine elsewhere; subclasses say how."""

    def __init__(self, jobs: int, limits: Limits, say: Say, curve: Curve, queued: int) -> None:
        self._room, self._limits, self._say, self._curve = jobs + queued, limits, say, curve
        self._jobs = jobs
        self._pending: list[tuple[int, Task]] = []
        self._held: dict[int, Held] = {}

    def __enter__(self) -> RemoteExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._close()

    @property
    def free(self) -> bool:
        """True when another task may be started."""
        return len(self._held) + len(self._pending) < self._room

    @property
    def busy(self) -> bool:
        """True while a task is at work or waits in the queue of the engine."""
        return bool(self._held or self._pending)

    def start(self, number: int, task: Task) -> None:
        """Hand over a task; those handed over between two looks go to the engine together."""
        self._pending.append((number, task))

    def ended(self) -> Iterator[Ended]:
        """Wait a moment, then give the tasks that are over by now."""
        self._submit_pending()
        time.sleep(PERIOD)
        self._refresh()
        for held in list(self._held.values()):
            self._hear(held)
            over = self._look(held)
            if over is not None:
                self._hear(held)
                self._forget(held)
                del self._held[held.number]
                yield self._told(held, over)

    def stop(self) -> list[Ended]:
        """Ask all tasks to end, cancel what does not within some seconds, and say how they ended."""
        reason: tuple[State, str] = ("interrupted", STOPPED)
        over = [Ended(number, Outcome(task.spec, *reason), False) for number, task in self._pending]
        self._pending.clear()
        for held in self._held.values():
            if held.stopped is None:
                held.stopped = reason
                self._ask(held, *reason)
        deadline = time.monotonic() + STOP_SECONDS
        cancelled = False
        while self._held:
            try:
                if time.monotonic() > deadline and not cancelled:
                    cancelled = True
                    self._cancel_all(list(self._held.values()))
                    deadline = time.monotonic() + STOP_SECONDS
                elif time.monotonic() > deadline:
                    over += [
                        self._told(held, self._lost(held, "did not end when it was cancelled"))
                        for held in self._held.values()
                    ]
                    self._held.clear()
                over.extend(self.ended())
            except KeyboardInterrupt:
                deadline = 0.0
        return over

    def give_up(self, number: int, state: State, reason: str) -> None:
        """Ask one task to end; its outcome has this state and reason."""
        held = self._held.get(number)
        if held is not None and held.stopped is None:
            held.stopped = (state, reason)
            self._ask(held, state, reason)

    def _submit_pending(self) -> None:
        if self._pending:
            tasks, self._pending = self._pending, []
            for held in self._submit(tasks):
                self._held[held.number] = held

    def _take(self, held: Held, kind: str, content: Any) -> None:
        """Pass on what a task told."""
        if kind == "say":
            self._say(held.number, content)
        elif kind == "run":
            held.run = content
        elif kind == "curve":
            self._curve(held.number, *content)

    def _told(self, held: Held, ended: Ended) -> Ended:
        """The end of a task with the state and reason for which it was stopped from here, and the id of its run."""
        outcome = ended.outcome
        if outcome is None or outcome.state in ("ok", "finished before"):
            return replace(ended, number=held.number)
        if held.stopped is not None:
            outcome = replace(outcome, state=held.stopped[0], reason=held.stopped[1], error=None)
        outcome = replace(outcome, spec=held.task.spec, run_id=outcome.run_id or held.run)
        return replace(ended, number=held.number, outcome=outcome)

    def _lost(self, held: Held, how: str, state: State = "failed") -> Ended:
        """The end of a task of which nothing was heard."""
        seconds = time.monotonic() - held.began
        return Ended(
            held.number, Outcome(held.task.spec, state, f"job {held.job} {how}", held.run, seconds=seconds), False
        )

    def _refresh(self) -> None:
        """Ask the engine for the state of all tasks at once."""

    def _forget(self, held: Held) -> None:
        """Delete what was kept of a task that is over and was heard to its end."""

    @abstractmethod
    def _submit(self, tasks: Sequence[tuple[int, Task]]) -> Iterable[Held]:
        """Give tasks to the engine."""

    @abstractmethod
    def _hear(self, held: Held) -> None:
        """Pass on what the task has told since the last time, by `_take`."""

    @abstractmethod
    def _look(self, held: Held) -> Ended | None:
        """How the task ended; None while it has not."""

    @abstractmethod
    def _ask(self, held: Held, state: State, reason: str) -> None:
        """Ask the task to end by itself; one that has not begun is cancelled."""

    @abstractmethod
    def _cancel_all(self, tasks: Sequence[Held]) -> None:
        """Cancel tasks that have not ended although they were asked to."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of the engine."""
