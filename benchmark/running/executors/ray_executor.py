"""Tasks on Ray: heard through an actor beside the command, and started again where their node was lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmark.errors import EngineError
from benchmark.running.executors.executor import Curve, Ended, Say
from benchmark.running.executors.node_work import NodeWork
from benchmark.running.executors.remote import Held, RemoteExecutor
from benchmark.running.limits import Limits
from benchmark.running.states import State
from benchmark.running.task import Task

HEAR_SECONDS = 30.0
"""In which the actor beside the command answers."""


class Board:
    """What tasks told and what they are asked, by the name of their job; an actor."""

    def __init__(self) -> None:
        self._told: list[tuple[str, str, Any]] = []
        self._asked: dict[str, tuple[State, str]] = {}

    def tell(self, job: str, kind: str, content: Any) -> None:
        """Take a message of a task."""
        self._told.append((job, kind, content))

    def take(self) -> list[tuple[str, str, Any]]:
        """The messages since the last time."""
        told, self._told = self._told, []
        return told

    def ask(self, job: str, state: State, reason: str) -> None:
        """Ask a task to end."""
        self._asked[job] = (state, reason)

    def asked(self, job: str) -> tuple[State, str] | None:
        """State and reason when the task is to be given up."""
        return self._asked.get(job)


class _BoardLine:
    """The node's end, see `node_work.Line`."""

    def __init__(self, board: Any, job: str) -> None:
        self._board, self._job = board, job

    def tell(self, kind: str, content: Any) -> None:
        self._board.tell.remote(self._job, kind, content)

    def asked(self) -> tuple[State, str] | None:
        import ray

        word: tuple[State, str] | None = ray.get(self._board.asked.remote(self._job))
        return word


def do_on_node(number: int, task: Task, limits: Limits, job: str, board: Any) -> Ended:
    """What a task of Ray does; what it told has reached the board when it returns."""
    line = _BoardLine(board, job)
    ended = NodeWork(number, task, limits, lambda: job).do(line)
    line.asked()  # calls of one caller are done in their order
    return ended


@dataclass
class _Handle:
    reference: Any
    attempts: int = 1
    cancelled: bool = False


class RayExecutor(RemoteExecutor):
    """Gives tasks to Ray; an `Executor`."""

    def __init__(
        self, resources: Mapping[str, float], retries: int, jobs: int, limits: Limits, say: Say, curve: Curve
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        super().__init__(jobs, limits, say, curve, 0)
        self._ray, self._retries = ray, retries
        own = {name: amount for name, amount in resources.items() if name not in ("CPU", "GPU")}
        self._do = ray.remote(do_on_node).options(
            num_cpus=resources.get("CPU", 0), num_gpus=resources.get("GPU", 0), resources=own, max_retries=0
        )
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        lasting = {"max_restarts": -1, "max_task_retries": -1}  # a call waits while it is started again or out of reach
        self._board: Any = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here, **lasting).remote()
        self._token, self._heard = uuid.uuid4().hex[:8], dict[str, list[tuple[str, Any]]]()

    def leave(self) -> list[str]:
        """Tasks of Ray end with the command that owns them; raises `EngineError`."""
        raise EngineError("runs on the engine ray end with the command", fix="nohup bench run … &")

    def _submit(self, tasks: Sequence[tuple[int, Task]]) -> Iterable[Held]:
        for number, task in tasks:
            job = f"ray:{self._token}-{number}-{uuid.uuid4().hex[:6]}"
            yield Held(number, task, _Handle(self._begin(number, task, job)), job)

    def _begin(self, number: int, task: Task, job: str) -> Any:
        return self._do.remote(number, task, self._limits, job, self._board)

    def _refresh(self) -> None:
        with suppress(self._ray.exceptions.RayError):  # an actor that is started again is asked again
            for job, kind, content in self._ray.get(self._board.take.remote(), timeout=HEAR_SECONDS):
                self._heard.setdefault(job, []).append((kind, content))

    def _hear(self, held: Held) -> None:
        for kind, content in self._heard.pop(held.job, ()):
            self._take(held, kind, content)

    def _look(self, held: Held) -> Ended | None:
        if not self._ray.wait([held.handle.reference], timeout=0)[0]:
            return None
        self._refresh()
        known = self._ray.exceptions
        try:
            ended: Ended = self._ray.get(held.handle.reference)
            return ended
        except known.OutOfMemoryError:
            return self._lost(held, "was killed by Ray: its node was short of memory", "out of memory")
        except known.TaskCancelledError:
            return self._lost(held, "was cancelled", "interrupted")
        except (known.WorkerCrashedError, known.NodeDiedError, known.LocalRayletDiedError) as error:
            return self._again(held, error)
        except known.RayTaskError as error:
            return self._lost(held, f"failed on its node: {_last(error)}")
        except known.RayError as error:
            return self._lost(held, f"was lost by Ray: {type(error).__name__}")

    def _again(self, held: Held, error: Exception) -> Ended | None:
        """Start a task whose node was lost once more; Ray chooses a node that is there."""
        if held.stopped is not None:
            return self._lost(held, "ended with its node", "interrupted")
        if held.handle.attempts > self._retries:
            return self._lost(held, f"lost its node {held.handle.attempts} times ({type(error).__name__})")
        self._say(held.number, f"  its node was lost ({type(error).__name__}): it starts elsewhere")
        held.handle.attempts += 1
        held.handle.reference = self._begin(held.number, held.task, held.job)
        return None

    def _ask(self, held: Held, state: State, reason: str) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._board.ask.remote(held.job, state, reason)
            # One that has not begun is not heard by anyone; cancelling one at work raises KeyboardInterrupt in it.
            if state == "interrupted":
                self._ray.cancel(held.handle.reference)

    def _cancel_all(self, tasks: Sequence[Held]) -> None:
        for held in tasks:
            with suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(held.handle.reference, force=True)

    def _close(self) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._board)


def _last(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = (lines or ["no word of why"])[-1]
    return f"{told}; its Python has no histobench" if "No module named 'benchmark" in told else told
