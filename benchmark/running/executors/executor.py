"""The contract of an engine: starts tasks with their limits, watches them, stops them, says how each ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

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

    def leave(self) -> list[str]:
        """Let all tasks go on without this process, where the engine can; returns the ids of their jobs."""
        ...


class EngineOptions(BaseModel):
    """What the file of an engine may say; every engine has a subclass of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Engine(ABC):
    """Where tasks are done: this machine, a cluster. Registered under the entry point `bench.engines`."""

    name: ClassVar[str]
    Options: ClassVar[type[EngineOptions]]
    remote: ClassVar[bool] = True
    """Tasks may be done on other machines: with their devices, cores and memory, and their own copy of the package."""
    leaves: ClassVar[bool] = False
    """Tasks can go on without the process that started them."""

    def __init__(self, options: EngineOptions | None = None) -> None:
        self.options = options if options is not None else self.Options()

    @classmethod
    def keys(cls) -> frozenset[str]:
        """All keys that its file may have, beside `engine`."""
        return frozenset(cls.Options.model_fields)

    @property
    def workers(self) -> int:
        """Tasks at a time, unless the command line says."""
        return int(getattr(self.options, "workers", 1))

    def require(self) -> None:  # noqa: B027 - an engine without further packages has nothing to refuse
        """Raise `EngineError` when a package is missing here, an address does not answer, a password is wrong."""

    def prepare(self) -> None:  # noqa: B027 - an engine that starts at once has nothing to begin
        """Begin what takes long to start, while the runs are planned; returns at once."""

    @abstractmethod
    def executor(self, jobs: int, limits: Limits, say: Say, curve: Curve, *, queued: int = 0) -> Executor:
        """An executor of at most `jobs` tasks at a time, each within `limits`.

        `queued`: how many more may be handed over to wait in a queue of the engine's own, where it has one.
        """

    def states(self, jobs: list[str]) -> Mapping[str, str]:
        """Job id → its state in a word, for jobs that were left at work; those the engine knows nothing of are out."""
        return {}

    def cancel(self, job: str) -> None:
        """Cancel a job that was left at work. Raises `EngineError` when that fails."""
        raise NotImplementedError


def no_curve(number: int, step: int, value: float) -> None:
    """For tasks whose curves nobody watches."""
