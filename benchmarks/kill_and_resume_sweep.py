"""Kills a sweep again and again at random moments (kill -9) until it ends, and compares it with one left in peace.

python benchmarks/kill_and_resume_sweep.py [--sweep oeem] [--dataset glas] [--trials 12] [--kills 10] [--seed 0]

Both have caches, stores and studies of their own, the same seeds, one trial at a time. Every trial must have the same
parameters and the same values, so the best one is the same.
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

from benchmark.running.sweep.study import StoredStudy, stored_studies


def begin(folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmark", "sweep", options.sweep, "--dataset", options.dataset]
    command += ["--data", "synthetic", "--synthetic-slides", "9", "--preset", "smoke", "--trials", str(options.trials)]
    command += ["--no-test", "--study", "one"]
    env = {**os.environ, "BENCH_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def study(folder: Path) -> StoredStudy:
    return stored_studies(f"sqlite:///{folder / 'studies.db'}", "one")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", default="oeem")
    parser.add_argument("--dataset", default="glas")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--kills", type=int, default=10)
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
        killed = 0
        for share in np.random.default_rng(options.seed).uniform(0.15, 0.45, options.kills):
            process = begin(trouble, options)
            try:
                process.wait(timeout=share * whole)
                print(f"ended after {killed} kills", flush=True)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        assert begin(trouble, options).wait() == 0
        one, other = study(peace), study(trouble)
        same = [(a.params, a.values) == (b.params, b.values) for a, b in zip(one.trials, other.trials, strict=True)]
        print(f"{killed} kills: {sum(same)} of {len(same)} trials have the same parameters and values", flush=True)
        print(f"best: {one.best[0].values[0]!r} undisturbed, {other.best[0].values[0]!r} killed")
        assert all(same)


if __name__ == "__main__":
    main()
