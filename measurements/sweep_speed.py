"""What stages and cached features save a sweep, and what a second process gains.

    python measurements/sweep_speed.py [--dataset paip2019] [--data synthetic] [--preset quick]
        [--trials 30] [--keep DIR]

First a single run of LC-MIL with an empty cache, in a process of its own (kept in DIR, it need not be made again).
Then, with a copy of that cache, a sweep of γ by one process: its seconds over those of the run. Then the same sweep by
two processes (`--jobs 2`): the seconds of one over those of two. Trials run on validation slides; the closing test is
left out.
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
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="a folder in which the single run is, or is to be kept")
    options = parser.parse_args()
    common = ["--dataset", options.dataset, "--data", options.data, "--preset", options.preset]
    with tempfile.TemporaryDirectory() as made:
        first = (options.keep or Path(made) / "first").resolve()
        first.mkdir(parents=True, exist_ok=True)
        (first / "gamma.yaml").write_text(GAMMA)
        seconds = first / "seconds"
        if not seconds.exists():
            seconds.write_text(str(bench("run", "--method", "lcmil", *common, folder=first)))
        single = float(seconds.read_text())
        print(f"one run of lcmil, nothing cached: {single:.0f} s", flush=True)

        def sweep(jobs: int) -> float:
            folder = Path(made) / f"jobs{jobs}"
            shutil.copytree(first, folder)
            words = ["sweep", "gamma.yaml", *common, "--trials", str(options.trials), "--jobs", str(jobs), "--no-test"]
            taken = bench(*words, folder=folder)
            print(f"{options.trials} trials of γ, {jobs} at a time: {taken:.0f} s", flush=True)
            return taken

        alone = sweep(1)
        print(f"the sweep against one uncached run: {alone / single:.2f} ×", flush=True)
        print(f"two processes against one: {alone / sweep(2):.2f} ×", flush=True)


if __name__ == "__main__":
    main()
