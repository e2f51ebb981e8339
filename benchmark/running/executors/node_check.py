"""Before the first run on a cluster: whether its nodes have the same package, and see the data and the store."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping

from rich.console import Console

from benchmark import __version__
from benchmark.errors import EngineError
from benchmark.provenance import code_digest
from benchmark.registry import methods
from benchmark.running.executors.executor import Engine, no_curve
from benchmark.running.executors.node_work import require_sight
from benchmark.running.job import Job
from benchmark.running.limits import Limits
from benchmark.running.outcome import Outcome
from benchmark.running.task import Channel, Task, Tasks
from benchmark.tracking.offline_store import open_store

CHECK = "benchmark.running.executors.node_check:check_task"
"""What the task of the check names as its work."""
NUMBER = -1


def facts_here(method: str) -> dict[str, str]:
    """What has to be equal on the nodes and where the command is typed."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"histobench": __version__, "Python": python, f"code of {method}": code_digest(methods().load(method))[:12]}


def check_task(task: Task, channel: Channel, *, facts: Mapping[str, str]) -> Outcome:
    """Compare versions, and look for data and store, on the node; a `benchmark.running.task.Work`."""
    node = platform.node()
    here = facts_here(task.spec.method)
    other = [f"{name} {here[name]} instead of {value}" for name, value in facts.items() if here[name] != value]
    if other:
        fix = f"pip install histobench=={facts['histobench']}   # on the nodes"
        raise EngineError(f"the node {node} has {', '.join(other)}", fix=fix)
    require_sight(task)
    open_store(task.store, cache=task.cache / "tracking").connect()
    return Outcome(task.spec, "ok", node)


def check_nodes(engine: Engine, tasks: Tasks, job: Job, limits: Limits, console: Console) -> None:
    """Send one job ahead of the runs. Raises `EngineError` with what is wrong on the node that it came to."""
    if not engine.remote or not getattr(engine.options, "check", True):
        return
    console.print(f"checking a node of the engine {engine.name} (check: false in its file leaves this out)")
    said: list[str] = []
    with engine.executor(1, limits, lambda _, line: said.append(line), no_curve) as executor:
        executor.start(NUMBER, tasks.make(NUMBER, job, CHECK, facts=facts_here(job.spec.method)))
        tasks.over(NUMBER)
        while executor.busy:
            for ended in executor.ended():
                outcome = ended.outcome
                if outcome is not None and outcome.state != "ok":
                    fix = getattr(outcome.error, "fix", None)
                    raise EngineError(f"a node cannot do the runs: {outcome.reason}", fix=fix)
