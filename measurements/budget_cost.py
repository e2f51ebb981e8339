"""What a curve over budgets costs beside its largest budget alone, each from an empty cache, in a store of its own.

    python measurements/budget_cost.py --method abmil --dataset pcam-bags --data ROOT [--preset quick]
        [--budget 5%,10%,20%,50%,100%] [--seeds 0] [--set NAME=VALUE …]

Runs `bench run` with the last of the budgets, then with all of them, in the command's own process (`--jobs 0`), and
prints CPU seconds (user + system) and seconds of the clock, with their ratios. Features, stages whose labels are the
same, digests and tissue are kept in the cache from one budget to the next, as they are for every user.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="abmil")
    parser.add_argument("--dataset", default="pcam-bags")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--budget", default="5%,10%,20%,50%,100%")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser.parse_args()


def timed(options: argparse.Namespace, budget: str) -> tuple[float, float]:
    """CPU seconds and seconds of the clock of one command from an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        words = [str(Path(sys.executable).with_name("bench")), "run", "--jobs", "0", "--budget", budget]
        for name in ("method", "dataset", "data", "preset", "seeds"):
            words += [f"--{name}", getattr(options, name)]
        for setting in options.settings:
            words += ["--set", setting]
        places = {"BENCH_CACHE": f"{folder}/cache", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(words, check=True, cwd=folder, env={**os.environ, **places})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return cpu, time.monotonic() - began


def main() -> None:
    """Time both and print."""
    options = parsed()
    budgets = options.budget.split(",")
    largest, curve = timed(options, budgets[-1]), timed(options, options.budget)
    print(f"{options.method} on {options.dataset}, {options.preset}, seeds {options.seeds}")
    print(f"{budgets[-1]} alone:  {largest[0]:7.1f} CPU s  {largest[1]:7.1f} s")
    print(f"{options.budget}:  {curve[0]:7.1f} CPU s  {curve[1]:7.1f} s")
    print(f"ratio:  {curve[0] / largest[0]:.2f} in CPU seconds, {curve[1] / largest[1]:.2f} by the clock")


if __name__ == "__main__":
    main()
