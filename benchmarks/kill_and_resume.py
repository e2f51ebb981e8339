"""Kills a run again and again at random moments (kill -9) until it ends, and compares it with one left in peace.

python benchmarks/kill_and_resume.py --method hybrid --dataset camelyon16 [--preset smoke] [--kills 5] [--seed 0]

Both have caches and stores of their own. Every metric of the two stored runs but seconds and memory must be the same.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmark.tracking import Tracker

MEASURED = ("cost/", "stage/", "system/")
"""Metrics that time or memory makes."""


def begin(folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmark", "run", "--method", options.method, "--dataset", options.dataset]
    command += ["--data", "synthetic", "--preset", options.preset, "--store", store(folder), "--jobs", "0"]
    env = {**os.environ, "BENCH_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def figures(folder: Path, experiment: str) -> dict[str, float]:
    runs = [run for run in Tracker(store(folder)).runs(experiment) if run.status == "FINISHED"]
    assert len(runs) == 1, f"{len(runs)} finished runs in {folder}"
    return {name: value for name, value in runs[0].metrics.items() if not name.startswith(MEASURED)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        peace, trouble = Path(made) / "peace", Path(made) / "trouble"
        peace.mkdir()
        trouble.mkdir()
        began = time.perf_counter()
        assert begin(peace, options).wait() == 0
        whole = time.perf_counter() - began
        print(f"undisturbed: {whole:.0f} s", flush=True)
        for moment in np.random.default_rng(options.seed).uniform(0.2, 0.95, options.kills):
            process = begin(trouble, options)
            try:
                process.wait(timeout=moment * whole)
                print("ended before it was killed", flush=True)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                print(f"killed after {moment * whole:.1f} s", flush=True)
        assert begin(trouble, options).wait() == 0
        name = f"{options.dataset}-synthetic"
        first, second = figures(peace, name), figures(trouble, name)
        different = sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))
        print(f"{len(first)} metrics, {len(different)} different {different[:5]}")


if __name__ == "__main__":
    main()
