"""The contract of an engine: starts tasks with their limits, watches them, stops them, says how each ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from benchmark.running.limits import Limits
    from benchmark.running.outcome import Outcome
    from benchmark.running.states import State
    from benchmark.running.task import Task

Say = Callable[[int, str], None]
"""Is given the number of a task and a line that it prints."""

Curve = Callable[[int, int, float], None]
"""Is given the number of a task, and step and value of a point of its watched curve."""


@dataclass(frozen=True)
class Ended:
    """A task that is over: `outcome` is None when `holder`, another process, does it. `stored`: it wrote its end."""

    number: int
    outcome: Outcome | None
    stored: bool
    holder: str = ""


class Executor(AbstractContextManager["Executor"], Protocol):
    """Does tasks, several at a time. Used by `with`: no task is left at work when the block ends."""

    @property
    def free(self) -> bool:
        """True when another task may be started."""
        ...

    @property
    def busy(self) -> bool:
        """True while a task is at work."""
        ...

    def start(self, number: int, task: Task) -> None:
        """Start a task; `number` tells it from the others."""
        ...

    def ended(self) -> Iterable[Ended]:
        """Wait a moment, then give the tasks that are over by now."""
        ...

    def stop(self) -> list[Ended]:
        """Ask all tasks to end as Ctrl-C would, kill what does not within some seconds, and say how they ended."""
        ...

    def give_up(self, number: int, state: State, reason: str) -> None:
        """Ask one task to end; its outcome has this state and reason."""
        ...


class Engine(Protocol):
    """Where tasks are done: this machine, a cluster."""

    def prepare(self) -> None:
        """Begin what takes long to start, while the runs are planned; returns at once."""
        ...

    def executor(self, jobs: int, limits: Limits, say: Say, curve: Curve) -> Executor:
        """An executor of at most `jobs` tasks at a time, each within `limits`."""
        ...


def no_curve(number: int, step: int, value: float) -> None:
    """For tasks whose curves nobody watches."""
