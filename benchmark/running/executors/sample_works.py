"""What the contract suite of engines has done: small pieces of work that go well, go wrong, or do not end.

Not in `benchmark.testing`, which loads pytest and PyTorch: every process of a node would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmark.config import RunSpec
from benchmark.running.job import Known
from benchmark.running.outcome import ElsewhereError, Outcome
from benchmark.running.task import Channel, Task

PLACE = "benchmark.running.executors.sample_works"


class NoFields(BaseModel):
    """Parameters and options of a run that has none."""


def make_task(work: str, folder: Path, *, seed: int = 0, **arguments: Any) -> Task:
    """A task that does the function of that name in this module; `folder` is its working directory and its cache."""
    spec = RunSpec("constant", NoFields(), "glas", NoFields(), "smoke", seed, "cpu", None, 24)
    known = Known(folder, "content", "data", f"identity-{seed}")
    environment = {**os.environ, "BENCH_OF_TASK": str(seed)}
    return Task(
        work=f"{PLACE}:{work}",
        arguments={"folder": folder, **arguments},
        spec=spec,
        known=known,
        store=f"sqlite:///{folder / 'mlflow.db'}",
        cache=folder,
        threads=1,
        environment=environment,
        folder=str(folder),
        path=tuple(sys.path),
    )


def go_well(task: Task, channel: Channel, *, folder: Path, seconds: float = 0.0) -> Outcome:
    """Tell the id of a run, print lines and log a curve in an order that can be checked, and leave marks of time."""
    seed = task.spec.seed
    began = time.time()
    channel.opened(f"run-{seed}")
    for step in range(3):
        channel.console.print(f"line {step} of {seed}")
        channel.curve(step, step / 2 + seed)
    time.sleep(seconds)
    here = [str(Path.cwd()), os.environ.get("BENCH_OF_TASK", ""), os.environ.get("OMP_NUM_THREADS", "")]
    (folder / f"span-{seed}").write_text(f"{began} {time.time()}", encoding="utf-8")
    (folder / f"here-{seed}").write_text("\n".join(here), encoding="utf-8")
    return Outcome(task.spec, "ok", "", f"run-{seed}", {"seed": float(seed)}, time.time() - began)


def raise_an_error(task: Task, channel: Channel, *, folder: Path) -> Outcome:
    """Fail."""
    raise RuntimeError("out of luck")


def exit_silently(task: Task, channel: Channel, *, folder: Path) -> Outcome:
    """End the process without a word."""
    channel.opened("run-gone")
    time.sleep(0.5)  # what was told before is heard
    os._exit(3)


def be_elsewhere(task: Task, channel: Channel, *, folder: Path) -> Outcome:
    """Find that another process does it."""
    raise ElsewhereError("process 7 on another machine")


def never_end(task: Task, channel: Channel, *, folder: Path) -> Outcome:
    """Start a child, hear no signal but SIGKILL, and wait; the second time it goes well."""
    if (folder / "began").exists():
        return Outcome(task.spec, "ok", "resumed", "run-again")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    (folder / "child").write_text(str(child.pid), encoding="utf-8")
    channel.opened("run-endless")
    (folder / "began").write_text(str(os.getpid()), encoding="utf-8")
    while True:
        time.sleep(1)


def eat_memory(task: Task, channel: Channel, *, folder: Path) -> Outcome:
    """Ask for more and more memory."""
    held = []
    while True:
        held.append(bytearray(32 * 2**20))
        time.sleep(0.02)
