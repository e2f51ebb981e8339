"""What the harness itself costs per run: everything but fitting and predicting, after MLflow has started.

    python measurements/harness_overhead.py [--runs 10] [--slides 6]

Runs `constant` on a miniature with one seed after another in one process. The first run pays for imports and
MLflow's start-up and is left out. The rest is split into bookkeeping (identity, look-ups, tracking), measuring
(truth, metrics), and pictures and files, which grow with the slides and not with the number of runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmark.config import RunRequest
from benchmark.running import attempt as run_module
from benchmark.running import job as job_module
from benchmark.running.plan import plan
from benchmark.tracking.store import Tracker

spent: dict[str, float] = defaultdict(float)


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, with its seconds added to `spent[name]`."""

    def wrapper(*args: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            spent[name] += time.perf_counter() - began

    return wrapper


def main() -> None:
    """Print the medians in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--slides", type=int, default=6)
    options = parser.parse_args()
    for name in ("evaluate", "summarise"):
        setattr(run_module, name, timed("measuring", getattr(run_module, name)))
    run_module.write_artifacts = timed("pictures and files", run_module.write_artifacts)
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        store, cache = f"sqlite:///{folder}/mlflow.db", Path(folder) / "cache"
        tracker, console = Tracker(store), Console(quiet=True)
        for seed in range(options.runs + 1):
            spent.clear()
            began = time.perf_counter()
            request = RunRequest(
                method="constant", dataset="glas", data="synthetic", synthetic_slides=options.slides, seeds=(seed,)
            )
            job = job_module.open_job(plan(request)[0], cache)
            spent["planning"] = time.perf_counter() - began
            run_module.run_one(job, tracker, console, run_module.Way())
            total = time.perf_counter() - began
            rows.append(
                {**spent, "total": total, "bookkeeping": total - spent["measuring"] - spent["pictures and files"]}
            )
        began = time.perf_counter()
        for seed in range(options.runs + 1):
            again = RunRequest(
                method="constant", dataset="glas", data="synthetic", synthetic_slides=options.slides, seeds=(seed,)
            )
            run_module.run_one(job_module.open_job(plan(again)[0], cache), tracker, console, run_module.Way())
        recognised = (time.perf_counter() - began) / (options.runs + 1)
    print(f"first run, with imports and MLflow's start-up: {rows[0]['total'] * 1000:8.0f} ms")
    for name in ("bookkeeping", "planning", "measuring", "pictures and files", "total"):
        part = "  of which planning" if name == "planning" else name
        print(f"{part:22s} median of {options.runs} runs: {median(row[name] for row in rows[1:]) * 1000:8.0f} ms")
    print(f"recognising a finished run:                    {recognised * 1000:8.0f} ms")


if __name__ == "__main__":
    main()
