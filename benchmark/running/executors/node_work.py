"""What is done on a node of a cluster: one task in a process of its own, within limits, as on the local machine.

The node's process is the engine's; the run's is started, watched and ended by a `LocalExecutor` in it. So limits,
reasons, and what becomes of a killed run's children are the same wherever a run is done.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from benchmark.config import SYNTHETIC
from benchmark.errors import BenchError, EngineError
from benchmark.guardian import GRACE
from benchmark.running.device import cores, read_threads
from benchmark.running.executors.executor import Ended
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.limits import SHARE, Limits, machine_memory
from benchmark.running.outcome import Outcome
from benchmark.running.states import State
from benchmark.running.task import Task
from benchmark.tracking.owner import JOB

CARRIED = ("BENCH_", "MLFLOW_", "AWS_", "PG", "OMP_", "HF_", "SSL_CERT", "REQUESTS_CA", "http_proxy", "https_proxy")
"""Beginnings of the variables that a node takes over from the command; all others are the node's own."""
LOOK_SECONDS = 0.5
"""Between two looks whether the task is to be given up."""
KILL_WAIT = 40.0
"""Seconds to wait for the cluster's next word when it has ended a run: it requeues the job, or kills it."""


class Line(Protocol):
    """How a task on a node is heard, and told to end."""

    def tell(self, kind: str, content: Any) -> None:
        """Pass on `("run", id)`, `("say", text)` or `("curve", (step, value))`."""
        ...

    def asked(self) -> tuple[State, str] | None:
        """State and reason when the task is to be given up."""
        ...


class NodeWork:
    """One task on a node. `job`: the engine's name of the job, for the run's tags. `forks`: see `LocalExecutor`."""

    def __init__(self, number: int, task: Task, limits: Limits, job: Callable[[], str], *, forks: bool = False) -> None:
        self.number, self.task, self.limits, self.job, self._forks = number, task, limits, job, forks
        self._executor: LocalExecutor | None = None

    def do(self, line: Line, *, requeues: bool = False) -> Ended:
        """Do the task. `requeues`: the cluster may end it and start it again, so an interruption is not yet its end."""
        try:
            task = settled(self.task, self.job())
        except BenchError as error:
            return Ended(self.number, Outcome(self.task.spec, "failed", error.what, error=error), False)
        ended = self._watch(task, line)
        outcome = ended.outcome
        if requeues and outcome is not None and outcome.state == "interrupted" and line.asked() is None:
            time.sleep(KILL_WAIT)  # ended here by the signal that starts the job again, or by the one that kills it
        return ended

    def _watch(self, task: Task, line: Line) -> Ended:
        limits = self.limits if self.limits.chosen else replace(self.limits, memory=int(node_memory() * SHARE))
        said = 0.0
        given_up: tuple[State, str] | None = None
        with LocalExecutor(
            1,
            limits,
            lambda _, text: line.tell("say", text),
            lambda _, step, value: line.tell("curve", (step, value)),
            lambda _, run: line.tell("run", run),
            forks=self._forks,
        ) as self._executor:
            self._executor.start(self.number, task)
            while True:
                for ended in self._executor.ended():
                    return ended
                if given_up is None and time.monotonic() - said > LOOK_SECONDS:
                    said, given_up = time.monotonic(), line.asked()
                    if given_up is not None:
                        self._executor.give_up(self.number, *given_up)

    def stop(self) -> None:
        """End the run as Ctrl-C would, for the cluster wants the node back; returns when it has ended."""
        if self._executor is not None:
            self._executor.stop()


def settled(task: Task, job: str) -> Task:
    """The task as it is done on this node. Raises `EngineError` when the node does not see what the command saw."""
    require_sight(task)
    told = {name: value for name, value in task.environment.items() if name.startswith(CARRIED)}
    environment = {**os.environ, **told, JOB: job}
    threads = told.get("OMP_NUM_THREADS", "")
    path = tuple(dict.fromkeys((*sys.path, *task.path)))
    count = read_threads(threads) or cores()
    return replace(task, environment=environment, path=path, threads=count, terminal=False)


def require_sight(task: Task) -> None:
    """Raise `EngineError` unless this node has the working directory, the data and a cache that can be written."""
    node = platform.node()
    if not Path(task.folder).is_dir():
        raise EngineError(f"the node {node} does not see the working directory {task.folder}", fix="cd to a shared one")
    lost = next((root for root in (task.known.root, task.known.tested_at) if root and not root.is_dir()), None)
    if lost is not None:
        name = task.spec.dataset if lost == task.known.root or task.spec.target is None else task.spec.target.dataset
        what = f"the node {node} does not see the data of {name}: {lost}"
        miniature = "--cache a shared folder, for the miniature is in it"
        raise EngineError(what, fix=miniature if SYNTHETIC in task.spec.places else "--data a folder on a shared disk")
    try:
        task.cache.mkdir(parents=True, exist_ok=True)
        writable = os.access(task.cache, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        what = f"the node {node} cannot write the cache {task.cache}"
        raise EngineError(what, fix="--cache a folder on a shared disk")


def node_memory() -> int:
    """Bytes that a job may use on this node: what SLURM gave it, else what the machine has."""
    told = os.environ.get("SLURM_MEM_PER_NODE", "")
    return min(machine_memory(), int(told) * 2**20) if told.isdigit() and int(told) else machine_memory()


STOP_SECONDS = GRACE + 4.0
"""Within which a task that is given up on a node has ended, killed if need be."""
