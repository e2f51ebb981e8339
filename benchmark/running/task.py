"""What a process is told to do, and how it is heard while it does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmark.config import RunSpec
from benchmark.running.device import assigned_device, cores, read_threads
from benchmark.running.job import Job, Known

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.running.outcome import Outcome


@dataclass(frozen=True)
class Task:
    """All that a process has to know to do one piece of work; it can be pickled.

    `work` names a function as `module:function`, which is a `Work`: an engine has to know no more of it. `arguments`
    are passed to it by name.
    """

    work: str
    arguments: Mapping[str, Any]
    spec: RunSpec
    known: Known
    store: str
    cache: Path
    threads: int
    environment: Mapping[str, str]
    folder: str
    path: tuple[str, ...]
    debug: bool = False
    terminal: bool = False
    """True: progress bars go straight to the terminal; False: lines go through the channel."""

    def like(self, other: Task) -> bool:
        """Whether a process that is set up for this task is set up for the other, but for its environment's mark."""
        return (self.threads, self.folder, self.path, self.spec.device) == (
            other.threads,
            other.folder,
            other.path,
            other.spec.device,
        )


class Channel(Protocol):
    """How a task is heard while it is done."""

    @property
    def console(self) -> Console:
        """What is printed here reaches the user."""
        ...

    def opened(self, run: str) -> None:
        """Tell the id of the stored run, as soon as there is one."""
        ...

    def curve(self, step: int, value: float) -> None:
        """Tell a point of the curve that may end a trial early."""
        ...


class Work(Protocol):
    """The function that a task names.

    Raises what goes wrong, and `ElsewhereError` when another process does the same.
    """

    def __call__(self, task: Task, channel: Channel, **arguments: Any) -> Outcome:
        """Do it."""
        ...


@dataclass
class Tasks:
    """Makes the tasks of one command: of `jobs` side by side, each has its device and its share of the cores.

    `remote`: they are done on other machines, whose devices and cores are theirs to find. `gpus`: numbers of the
    CUDA devices that the tasks are given, one each.
    """

    store: str
    cache: Path
    jobs: int
    debug: bool = False
    terminal: bool = False
    remote: bool = False
    gpus: tuple[int, ...] = ()
    _environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    _slots: dict[int, int] = field(default_factory=dict)

    def make(self, number: int, job: Job, work: str, *, spec: RunSpec | None = None, **arguments: Any) -> Task:
        """The task of one job; `number` holds a device until `over`. `spec`: other parameters on the same data."""
        spec = spec or job.spec
        taken = set(self._slots.values())
        slot = self._slots[number] = next(slot for slot in count() if slot not in taken)
        told = self._environment.get("OMP_NUM_THREADS", "")
        return Task(
            work=work,
            arguments=arguments,
            spec=replace(spec, device=self._device(spec.device, slot)),
            known=job.known,
            store=self.store,
            cache=self.cache,
            threads=read_threads(told) or max(cores() // self.jobs, 1),
            environment=self._environment,
            folder=str(Path.cwd()),
            path=tuple(sys.path),
            debug=self.debug,
            terminal=self.terminal,
        )

    def _device(self, wanted: str, slot: int) -> str:
        if self.remote or wanted != "auto":
            return wanted
        return f"cuda:{self.gpus[slot]}" if self.gpus else assigned_device(wanted, slot, self.jobs)

    def over(self, number: int) -> None:
        """The task of that number is over; its device is free."""
        del self._slots[number]
