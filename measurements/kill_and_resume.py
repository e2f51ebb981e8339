"""Kills a run, or a sweep, again and again at random moments (kill -9) and compares it with one left in peace.

    python measurements/kill_and_resume.py --method hybrid --dataset camelyon16 [--preset smoke] [--kills 5] [--seed 0]
    python measurements/kill_and_resume.py --sweep oeem --dataset glas --kills 10 [--trials 12]

Both have caches and stores of their own. Every metric of the two stored runs but seconds and memory must be the same;
of a sweep, one trial at a time, the parameters and values of every trial, so that the best one is the same.
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

from benchmark.tracking.store import Tracker
from benchmark.tuning.stored_study import stored_studies

MEASURED = ("cost/", "stage/", "system/")
"""Metrics that time or memory makes."""
STUDY = "one"


def begin(folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    if options.sweep:
        words = ["sweep", options.sweep, "--trials", str(options.trials), "--no-test", "--study", STUDY]
        words += ["--synthetic-slides", "9"]
    else:
        words = ["run", "--method", options.method, "--jobs", "0"]
    words += ["--dataset", options.dataset, "--data", "synthetic", "--preset", options.preset, "--store", store(folder)]
    command = [sys.executable, "-m", "benchmark", *words]
    env = {**os.environ, "BENCH_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def found(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """What must be the same, by name."""
    if options.sweep:
        study = stored_studies(f"sqlite:///{folder / 'studies.db'}", STUDY)[0]
        trials = {f"trial {trial.number}": (trial.params, trial.values, trial.state) for trial in study.trials}
        return {**trials, "best": study.best[0].values[0]}
    runs = Tracker(store(folder)).runs(f"{options.dataset}-synthetic")
    (run,) = (run for run in runs if run.status == "FINISHED")
    return {name: value for name, value in run.metrics.items() if not name.startswith(MEASURED)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--method")
    what.add_argument("--sweep")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--trials", type=int, default=12)
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
        shares = (0.15, 0.3) if options.sweep else (0.2, 0.95)
        for moment in np.random.default_rng(options.seed).uniform(*shares, options.kills):
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
        one, other = found(peace, options), found(trouble, options)
        different = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
        print(f"{len(one)} {'values (trials, best)' if options.sweep else 'metrics'}, {len(different)} different")
        if options.sweep:
            print(f"best: {one['best']!r} undisturbed, {other['best']!r} killed")
        if different:
            sys.exit(f"different: {different[:5]}")


if __name__ == "__main__":
    main()
