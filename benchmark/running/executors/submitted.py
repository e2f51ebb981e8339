"""Tasks as jobs of submitit: handed over as an array, heard through files, requeued by the cluster and resumed."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import EngineError
from benchmark.running.executors.executor import Curve, Ended, Say
from benchmark.running.executors.file_line import FileLine, Tail
from benchmark.running.executors.job_book import BookedJob, JobBook
from benchmark.running.executors.node_work import NodeWork
from benchmark.running.executors.remote import Held, RemoteExecutor
from benchmark.running.executors.slurm_states import AT_WORK, HOW, cancel_job, states_of
from benchmark.running.limits import Limits
from benchmark.running.states import State
from benchmark.running.task import Task

if TYPE_CHECKING:
    from benchmark.running.executors.slurm_options import SlurmOptions

ASK_SECONDS = 5.0
"""Between two questions to SLURM's controller."""
LATE_SECONDS = 20.0
"""For which a shared disk may keep back the result of a job that SLURM says has ended."""
MOST = 1000
"""Jobs of one array; SLURM's own limit is 1001 unless it is told otherwise."""


class SubmittedWork:
    """What a job does: one task. When the cluster wants its node back, the run ends, to resume in the next attempt."""

    def __init__(self, number: int, task: Task, limits: Limits, path: Path, cluster: str) -> None:
        self._facts = (number, task, limits, path, cluster)
        self._node: NodeWork | None = None

    def __call__(self) -> Ended:
        """Do the task."""
        number, task, limits, path, cluster = self._facts
        line = FileLine(path)
        line.tell("begun", platform.node())
        self._node = NodeWork(number, task, limits, _job_name, forks=cluster != "debug")
        return self._node.do(line, requeues=cluster == "slurm")

    def checkpoint(self) -> Any:
        """Called by submitit when the job is to be queued again: end the run, and say what to do next time."""
        from submitit.helpers import DelayedSubmission

        if self._node is not None:
            self._node.stop()
        return DelayedSubmission(SubmittedWork(*self._facts))


def _job_name() -> str:
    """The job that this process is in, as the tags of a run have it."""
    import submitit

    environment = submitit.JobEnvironment()
    return f"{environment.cluster}:{environment.job_id}"


@dataclass
class _Handle:
    """A job of submitit, and how its task is heard."""

    job: Any
    line: FileLine
    tail: Tail
    begun: bool = False
    cancelled: bool = False
    gone: float | None = None
    """When SLURM first said that it has ended, without a result so far."""


class SubmititExecutor(RemoteExecutor):
    """Hands tasks to submitit; an `Executor`."""

    def __init__(
        self, engine: str, options: SlurmOptions, jobs: int, limits: Limits, say: Say, curve: Curve, queued: int
    ) -> None:
        super().__init__(jobs, limits, say, curve, queued)
        self._engine, self._options = engine, options
        self._states: dict[str, str] = {}
        self._asked = 0.0
        self._answered = 0.0
        """When SLURM's controller last said which jobs it knows."""

    def leave(self) -> list[str]:
        """Let all jobs go on without this process; returns their ids. `bench jobs` knows them."""
        if self._options.cluster == "debug":
            raise EngineError("submitit's debug jobs are done in this process and cannot be left", fix="cluster: local")
        self._submit_pending()
        left = [held.job for held in self._held.values()]
        self._held.clear()
        return left

    def _submit(self, tasks: Sequence[tuple[int, Task]]) -> Iterator[Held]:
        for first in range(0, len(tasks), MOST):
            yield from self._submit_array(tasks[first : first + MOST])

    def _submit_array(self, tasks: Sequence[tuple[int, Task]]) -> Iterator[Held]:
        folder = (self._options.folder or tasks[0][1].cache / "jobs").expanduser().absolute() / "files"
        lines = [FileLine(folder / f"{uuid.uuid4().hex}.line") for _ in tasks]
        works = [
            SubmittedWork(number, task, self._limits, line.path, self._options.cluster)
            for (number, task), line in zip(tasks, lines, strict=True)
        ]
        for (number, task), line, job in zip(tasks, lines, self._given(folder, works), strict=True):
            held = Held(number, task, _Handle(job, line, Tail(line.path)), str(job.job_id))
            self._book(task, held.job)
            yield held

    def _given(self, folder: Path, works: list[SubmittedWork]) -> list[Any]:
        """The jobs of an array. Raises `EngineError` when the cluster refuses them."""
        import submitit

        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # passwords of stores may be in the tasks
            own = {"max_num_timeout": self._options.requeues, "python": self._options.python}
            named = {f"{kind}_{name}": value for kind in ("slurm", "local") for name, value in own.items()}
            executor = submitit.AutoExecutor(folder, cluster=self._options.cluster, **named)
            executor.update_parameters(
                name="bench",
                timeout_min=self._options.minutes,
                **{"slurm_array_parallelism": self._jobs, **self._options.passed_on},
            )
            return list(executor.submit_array(works))
        except OSError as error:
            raise EngineError(f"the files of the jobs cannot be written to {folder}: {error.strerror}") from error
        except Exception as error:  # whatever sbatch or submitit says
            told = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise EngineError(f"{self._options.cluster} refuses the jobs: {told}") from error

    def _book(self, task: Task, job: str) -> None:
        options = self._options.model_dump(mode="json")
        entry = BookedJob(job, self._engine, options, task.spec.title, task.spec.place, task.store, task.folder)
        JobBook(task.cache).enter(entry)

    def _refresh(self) -> None:
        if self._options.cluster == "slurm" and self._held and time.monotonic() - self._asked > ASK_SECONDS:
            self._asked = time.monotonic()
            with suppress(EngineError):  # a controller that is busy or starts again is asked again
                self._states = states_of([held.job for held in self._held.values()])
                self._answered = time.monotonic()

    def _hear(self, held: Held) -> None:
        for kind, content in held.handle.tail.messages():
            if kind == "begun":
                held.handle.begun = True
            else:
                self._take(held, kind, content)

    def _forget(self, held: Held) -> None:
        JobBook(held.task.cache).strike(self._engine, held.job)
        with suppress(OSError):
            held.handle.line.path.unlink(missing_ok=True)
            held.handle.line.path.with_suffix(".stop").unlink(missing_ok=True)

    def _look(self, held: Held) -> Ended | None:
        job = held.handle.job
        if self._options.cluster == "debug":
            return self._result(held)
        local = self._options.cluster == "local"
        over = not local or job.done()  # asked first: `result` of a local job waits a second for its process to end
        if over and job.paths.result_pickle.exists():
            return self._result(held)
        if held.handle.cancelled and not held.handle.begun:
            return self._lost(held, "was cancelled before it began", "interrupted")
        if local:
            return self._lost(held, f"ended without a word{_log(job)}") if over else None
        state = self._states.get(held.job, "FORGOTTEN" if self._answered > held.began else "PENDING")
        if state.split()[0] in AT_WORK:
            held.handle.gone = None
            return None
        held.handle.gone = held.handle.gone or time.monotonic()
        if time.monotonic() - held.handle.gone < LATE_SECONDS:
            return None
        kind, how = HOW.get(state.split()[0], ("failed", f"ended as {state} without a word{_log(job)}"))
        return self._lost(held, how, kind)

    def _result(self, held: Held) -> Ended:
        """What the job returned, or the end that its error stands for."""
        try:
            result = held.handle.job.result()
        except Exception as error:
            text = str(error)
            if "timed-out too many times" in text:
                how = f"reached its time limit {self._options.requeues + 1} times (minutes, requeues)"
                return self._lost(held, how, "timed out")
            return self._lost(held, f"failed on its node: {_told(text)}")
        if isinstance(result, Ended):
            return result
        return self._lost(held, f"returned a {type(result).__name__}: another version of the package?")

    def _ask(self, held: Held, state: State, reason: str) -> None:
        held.handle.line.ask(state, reason)
        if not held.handle.begun and self._options.cluster == "slurm":
            self._cancel_all([held])

    def _cancel_all(self, tasks: Sequence[Held]) -> None:
        for held in tasks:
            held.handle.cancelled = True
            if self._options.cluster == "slurm":
                with suppress(EngineError):
                    cancel_job(held.job)
            else:
                held.handle.job.cancel(check=False)

    def _close(self) -> None:
        """Nothing is held open."""


def _told(text: str) -> str:
    """The last line of a traceback that names an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("-", "You can check"))]
    named = [line for line in lines if "Error" in line.partition(":")[0] and " " not in line.partition(":")[0]]
    told = (named or lines or ["no word of why"])[-1]
    if "No module named 'benchmark" in told:
        return f"{told}; its Python has no histobench (python: in the engine file)"
    return told


def _log(job: Any) -> str:
    """The last line of a job's error stream, to be put behind a reason."""
    with suppress(OSError, UnicodeDecodeError):
        lines = [line for line in (job.stderr() or "").splitlines() if line.strip()]
        return f": {lines[-1]}" if lines else ""
    return ""
