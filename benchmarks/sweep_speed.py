"""What stages and cached features save a sweep, and what a second process gains.

    python benchmarks/sweep_speed.py [--dataset paip2019] [--data synthetic] [--preset quick] [--trials 30]

First a single run of LC-MIL with an empty cache, in a process of its own; then, with that cache, a sweep of γ with so
many trials by one process: the seconds of the sweep over those of the run. Then fewer trials, once by one process and
once by two (`--jobs 2`), each with a copy of the cache: the seconds of one over those of two. Trials run on validation
slides; the closing test is left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

GAMMA = """\
method: lcmil
dataset: paip2019
objective: {metric: slide/f1, direction: maximize}
space:
  gamma_low: {type: float, low: 0, high: 8}
  gamma_high: {type: float, low: 0, high: 8}
sampler: {kind: random}
"""


def bench(*words: str, folder: Path, env: dict[str, str] | None = None) -> float:
    """Seconds of one command."""
    began = time.perf_counter()
    environment = {**os.environ, "BENCH_CACHE": str(folder / "cache"), **(env or {})}
    command = [sys.executable, "-m", "benchmark", *words, "--store", f"sqlite:///{folder / 'mlflow.db'}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="paip2019")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--trials", type=int, default=30, help="of the sweep compared with a single run; 0: none")
    parser.add_argument("--pair", type=int, default=12, help="trials by one and by two processes; 0: none")
    options = parser.parse_args()
    common = ["--dataset", options.dataset, "--data", options.data, "--preset", options.preset]
    with tempfile.TemporaryDirectory() as made:
        first = Path(made) / "first"
        first.mkdir()
        (first / "gamma.yaml").write_text(GAMMA)
        single = bench("run", "--method", "lcmil", *common, folder=first)
        print(f"one run of lcmil, nothing cached: {single:.0f} s", flush=True)

        def sweep(trials: int, jobs: int) -> float:
            folder = Path(made) / f"trials{trials}jobs{jobs}"
            shutil.copytree(first, folder)
            words = ["sweep", "gamma.yaml", *common, "--trials", str(trials), "--jobs", str(jobs), "--no-test"]
            seconds = bench(*words, folder=folder)
            print(f"{trials} trials of γ, {jobs} at a time: {seconds:.0f} s", flush=True)
            return seconds

        if options.trials:
            print(f"the sweep against one uncached run: {sweep(options.trials, 1) / single:.2f} ×", flush=True)
        if options.pair:
            alone, together = sweep(options.pair, 1), sweep(options.pair, 2)
            print(f"two processes against one: {alone / together:.2f} ×", flush=True)


if __name__ == "__main__":
    main()
