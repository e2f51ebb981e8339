"""Kills the worker of a run on a cluster's engine (kill -9) at random moments and compares it with one left in peace.

    python measurements/worker_kills.py [--method oeem] [--dataset glas] [--preset smoke] [--kills 10] [--seed 0]

On submitit's local jobs, each time with a store and a cache of their own: all processes of the job die at once, the
command tells it, the same command goes on. Every metric but seconds and memory must be that of the run in peace. A run
that is over before its moment counts for nothing and the next one is killed sooner. Exit status 1 for another figure,
or where fewer kills than asked for came about in three times as many runs.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmark.registry import datasets
from benchmark.tracking.store import Tracker

MEASURED = ("cost/", "stage/", "system/")
"""Metrics that time or memory makes."""

TRIES = 3
"""Runs per kill."""


def begin(folder: Path, data: Path, options: argparse.Namespace) -> subprocess.Popen[str]:
    """The command that does the run on submitit's local jobs."""
    folder.mkdir(exist_ok=True)
    engine = folder / "on.yml"
    engine.write_text(f"engine: slurm\ncluster: local\ncheck: false\nfolder: {folder / 'jobs'}\n")
    words = ["run", "--method", options.method, "--dataset", options.dataset, "--preset", options.preset]
    words += ["--data", str(data), "--on", str(engine), "--store", store(folder), "--cache", str(folder / "cache")]
    command = [sys.executable, "-m", "benchmark", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def job_of(command: subprocess.Popen[str]) -> psutil.Process | None:
    """The process that submitit started for the job, once the run's own process is below it."""
    for process in psutil.Process(command.pid).children(recursive=True):
        try:
            if "submitit.core._submit" in process.cmdline() and process.children():
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def at_work(command: subprocess.Popen[str]) -> psutil.Process | None:
    """Wait for the job; None when the command is over before."""
    while command.poll() is None:
        job = job_of(command)
        if job is not None:
            return job
        time.sleep(0.05)
    return None


def kill(job: psutil.Process) -> None:
    """All processes of a job at once, as when its machine goes down."""
    for process in [job, *job.children(recursive=True)]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def figures(folder: Path, dataset: str) -> dict[str, float]:
    """What must be the same, by name."""
    (run,) = (run for run in Tracker(store(folder)).runs(f"{dataset}-synthetic") if run.status == "FINISHED")
    return {name: value for name, value in run.metrics.items() if not name.startswith(MEASURED)}


def measure(options: argparse.Namespace, folder: Path) -> None:
    """One run in peace, then as many that are killed and go on."""
    data = folder / "data"
    datasets().load(options.dataset).synthesize(data, slides=9, seed=7)
    command = begin(folder / "peace", data, options)
    at_work(command)
    began = time.monotonic()
    assert command.wait() == 0, command.communicate()[0]
    seconds, peace = time.monotonic() - began, figures(folder / "peace", options.dataset)
    print(f"undisturbed: {seconds:.1f} s at work, {len(peace)} figures", flush=True)
    killed, different = 0, 0
    moments = np.random.default_rng(options.seed)
    for number in range(TRIES * options.kills):
        if killed == options.kills:
            break
        place, moment = folder / f"kill-{number}", moments.uniform(0.02, 0.9) * seconds
        command = begin(place, data, options)
        job = at_work(command)
        began = time.monotonic()
        try:
            command.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            if job is not None:
                kill(job)
        told, _ = command.communicate()
        if command.returncode == 0:
            seconds = min(seconds, time.monotonic() - began)
            print(f"over before {moment:.1f} s", flush=True)
            continue
        assert "ended without a word" in told, told
        killed += 1
        again = begin(place, data, options)
        told, _ = again.communicate()
        assert again.returncode == 0, told
        reused = sum(" reused" in line for line in told.splitlines())
        now = figures(place, options.dataset)
        wrong = sorted(name for name in peace.keys() | now.keys() if peace.get(name) != now.get(name))
        different += bool(wrong)
        how = f"killed after {moment:5.1f} s"
        print(f"{how}: {reused} stages kept, {len(wrong)} figures differ {' '.join(wrong[:3])}", flush=True)
    print(f"{killed} kills, {different} with another figure")
    sys.exit(1 if different or killed < options.kills else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="oeem")
    parser.add_argument("--dataset", default="glas")
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        measure(options, Path(made))


if __name__ == "__main__":
    main()
