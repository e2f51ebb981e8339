"""What a matrix adds to each run, and how soon it knows what is finished; benchopt doing the same beside it.

    python measurements/matrix_overhead.py [--runs 30] [--finished 150] [--slides 6] [--benchopt PYTHON]

Runs `constant` on a miniature with many values and seeds. The work of a run (scoring, measuring, pictures)
is timed apart, in one process, and subtracted. CPU seconds are given beside seconds, for on a busy machine only they
mean much. `--benchopt` names the Python of an environment that has benchopt: it
then runs as many solvers that do nothing on one dataset, once to do them and once to find them done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console

from benchmark.config import RunRequest
from benchmark.running import attempt as run_module
from benchmark.running import matrix
from benchmark.running.outcome import Outcome
from benchmark.running.plan import plan
from benchmark.running.survey import Survey
from benchmark.running.task import Channel, Task
from benchmark.tracking.store import Tracker

COMMON: dict[str, object] = {
    "dataset": "glas",
    "data": "synthetic",
    "synthetic_slides": 6,
    "preset": "smoke",
    "device": "cpu",
}


def request(folder: Path, runs: int, **changes: object) -> RunRequest:
    return RunRequest(
        method="constant",
        store=f"sqlite:///{folder}/mlflow.db",
        cache=folder / "cache",
        seeds=tuple(range(runs)),
        **{**COMMON, **changes},  # type: ignore[arg-type]
    )


def quietly(asked: RunRequest) -> float:
    """Seconds of a matrix whose output is thrown away."""
    began = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        kept, sys.stdout = sys.stdout, nowhere
        try:
            assert matrix.run_all(asked) == 0
        finally:
            sys.stdout = kept
    return time.perf_counter() - began


def planning(folder: Path, runs: int) -> tuple[float, float]:
    """Seconds to plan and look up `runs` runs, and how many of them are finished."""
    began = time.perf_counter()
    asked = request(folder, runs)
    prospects = Survey(folder / "cache", Tracker(asked.store), False, False).of(plan(asked))
    return time.perf_counter() - began, sum(not prospect.waiting for prospect in prospects)


Spent = tuple[float, float]
"""Seconds, CPU seconds."""


def now() -> Spent:
    return time.perf_counter(), time.process_time()


def since(began: Spent) -> Spent:
    wall, cpu = now()
    return wall - began[0], cpu - began[1]


def work_spent(folder: Path, runs: int) -> tuple[Spent, Spent]:
    """Medians of scoring, measuring and drawing one run in this process, and of the whole run."""
    works: list[Spent] = []
    wholes: list[Spent] = []

    def timed(real: Callable[..., object], spent: list[Spent]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            began = now()
            try:
                return real(*args, **named)
            finally:
                spent.append(since(began))

        return call

    places = ((run_module, "_work", works), (matrix, "run_one", wholes))
    kept = [getattr(module, name) for module, name, _ in places]
    for (module, name, spent), real in zip(places, kept, strict=True):
        setattr(module, name, timed(real, spent))
    quietly(request(folder, runs, jobs=0, settings=("value=0.25",)))
    for (module, name, _), real in zip(places, kept, strict=True):
        setattr(module, name, real)
    return middle(works[1:]), middle(wholes[1:])


def middle(spent: Sequence[Spent]) -> Spent:
    return median(each[0] for each in spent), median(each[1] for each in spent)


def noted(task: Task, channel: Channel, *, force: bool) -> Outcome:
    """A run whose CPU seconds, and whether its process is a new one, are appended to a file; a `Work`."""
    cpu = time.process_time()
    outcome = run_module.run_task(task, channel, force=force)
    fresh = "" if hasattr(sys, "_did_a_run") else "new"
    sys._did_a_run = True  # type: ignore[attr-defined]
    with (task.cache / "noted").open("a") as notes:
        notes.write(f"{time.process_time() - (0.0 if fresh else cpu)} {fresh}\n")
    return outcome


def cpu_of_processes(folder: Path, runs: int) -> None:
    """Print the CPU seconds of runs that began a process and of those that found one."""
    real, matrix.RUN = matrix.RUN, f"{Path(__file__).stem}:noted"
    quietly(request(folder, runs, settings=("value=0.6",), jobs=1))
    matrix.RUN = real
    lines = [line.split() for line in (folder / "cache" / "noted").read_text().splitlines()]
    for words, chosen in (
        ("with its process", [float(line[0]) for line in lines if len(line) == 2]),
        ("in the process of another", [float(line[0]) for line in lines if len(line) == 1]),
    ):
        if chosen:
            print(f"CPU of a run {words}: {median(chosen) * 1000:.0f} ms ({len(chosen)} runs)")


def benchopt(python: str, solvers: int) -> tuple[float, float]:
    """Seconds that benchopt takes for so many solvers that do nothing, and to find them done."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("datasets", "solvers"):
            (folder / part).mkdir()
        (folder / "objective.py").write_text(OBJECTIVE)
        (folder / "datasets" / "one.py").write_text(DATASET)
        (folder / "solvers" / "nothing.py").write_text(SOLVER.replace("COUNT", str(solvers)))
        command = [
            str(Path(python).parent / "benchopt"),
            "run",
            str(folder),
            "--no-plot",
            "--no-html",
            "-n",
            "1",
            "-r",
            "1",
        ]
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"benchopt failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
            seconds.append(time.perf_counter() - began)
        return seconds[0], seconds[1]


OBJECTIVE = """
from benchopt import BaseObjective

class Objective(BaseObjective):
    name = "nothing"
    min_benchopt_version = "1.3"
    def set_data(self, x): self.x = x
    def get_objective(self): return dict(x=self.x)
    def evaluate_result(self, beta): return dict(value=float(beta))
    def get_one_result(self): return dict(beta=0.0)
"""
DATASET = """
from benchopt import BaseDataset

class Dataset(BaseDataset):
    name = "one"
    def get_data(self): return dict(x=1.0)
"""
SOLVER = """
from benchopt import BaseSolver

class Solver(BaseSolver):
    name = "nothing"
    sampling_strategy = "run_once"
    parameters = {"value": list(range(COUNT))}
    def set_objective(self, x): self.x = x
    def run(self, _): self.beta = self.x
    def get_result(self): return dict(beta=self.beta)
"""


def main() -> None:
    """Print milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--finished", type=int, default=150)
    parser.add_argument("--slides", type=int, default=6, help="of the miniature: more slides, longer runs")
    parser.add_argument("--benchopt", metavar="PYTHON")
    options = parser.parse_args()
    COMMON["synthetic_slides"] = options.slides
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        quietly(request(folder, 1))  # imports, the miniature, the server process
        (work, work_cpu), (whole, whole_cpu) = work_spent(folder, 12)
        print(f"a run in this process:    {whole * 1000:7.0f} ms, of which work {work * 1000:.0f}")
        print(f"CPU of it:                {whole_cpu * 1000:7.0f} ms, of which work {work_cpu * 1000:.0f}")
        cpu_of_processes(folder, options.runs)
        planned, _ = planning(folder, options.finished)
        print(f"planning and look-up:     {planned / options.finished * 1000:7.2f} ms a run ({options.finished} runs)")
        one = quietly(request(folder, options.runs, settings=("value=0.5",), jobs=1))
        print(f"a run in a process apart: {one / options.runs * 1000:7.0f} ms, of which work {work * 1000:.0f}")
        print(f"overhead:                 {(one / options.runs - work) * 1000:7.0f} ms a run")
        two = quietly(request(folder, options.runs, settings=("value=0.75",), jobs=2))
        print(f"two jobs against one:     {one / two:7.2f} x")
        quietly(request(folder, options.finished, jobs=2))
        again, done = planning(folder, options.finished)
        assert done == options.finished
        print(f"recognising {done} finished runs: {again * 1000:7.0f} ms")
    if options.benchopt:
        first, second = benchopt(options.benchopt, options.finished)
        bare, _ = benchopt(options.benchopt, 1)
        print(f"benchopt, {options.finished} solvers: {(first - bare) / options.finished * 1000:7.0f} ms a run")
        print(f"benchopt, the same again:   {(second - bare) * 1000:7.0f} ms to find them done, without its start-up")
        print(f"benchopt over bench, recognising: {(second - bare) / again:.1f} x")
    Console().print("start-up of either is not in these figures", style="dim")


if __name__ == "__main__":
    main()
