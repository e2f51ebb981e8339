"""What a run costs beyond its engine: submitit's local jobs and Ray, one worker and two; and delivering 100 runs.

python measurements/cluster_overhead.py submitit [--tasks 8]
python measurements/cluster_overhead.py ray [--tasks 40]
python measurements/cluster_overhead.py two-workers [--tasks 200]
python measurements/cluster_overhead.py sync [--runs 100]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmark.config import RunRequest
from benchmark.registry import datasets
from benchmark.running.executors.executor import Engine, no_curve
from benchmark.running.executors.ray_engine import RayEngine, RayOptions
from benchmark.running.executors.sample_works import make_task
from benchmark.running.executors.slurm import SlurmEngine
from benchmark.running.executors.slurm_options import SlurmOptions
from benchmark.running.limits import Limits
from benchmark.running.matrix import run_all
from benchmark.tracking.offline_files import write_record
from benchmark.tracking.offline_store import OfflineStore, offline_address
from benchmark.tracking.offline_sync import sync
from benchmark.tracking.store import Tracker

ROOMY = Limits(None, 64 * 2**30)


def nothing() -> int:
    """What the engine is asked to do to measure its own time."""
    return 1


def seconds_of(engine: Engine, jobs: int, tasks: int, folder: Path, wait: float = 0.0) -> float:
    """Seconds for so many tasks, `jobs` at a time, each of which waits so long."""
    began = time.monotonic()
    with engine.executor(jobs, ROOMY, lambda *_: None, no_curve) as executor:
        done = started = 0
        while done < tasks:
            while executor.free and started < tasks:
                executor.start(started, make_task("go_well", folder, seed=started, seconds=wait))
                started += 1
            for ended in executor.ended():
                assert ended.outcome is not None and ended.outcome.state == "ok", ended
                done += 1
    return time.monotonic() - began


def report(name: str, own: float, ours: float) -> None:
    """One line."""
    print(f"{name}: the engine's own {own:.2f} s per task, with ours {ours:.2f} s: {ours - own:.2f} s more", flush=True)


def children_seconds() -> float:
    """CPU seconds of all processes that were started from here and have ended; they do not grow with the load."""
    times = os.times()
    return times.children_user + times.children_system


def of_submitit(folder: Path, tasks: int) -> None:
    """One job at a time."""
    import submitit

    executor = submitit.AutoExecutor(folder / "own", cluster="local")
    executor.update_parameters(timeout_min=10)
    before, began = children_seconds(), time.monotonic()
    for _ in range(tasks):
        job = executor.submit(nothing)
        while not job.done():
            time.sleep(0.1)
        assert job.result() == 1
    own, between = (time.monotonic() - began) / tasks, children_seconds()
    engine = SlurmEngine(SlurmOptions(cluster="local", folder=folder / "jobs"))
    report("submitit, local jobs", own, seconds_of(engine, 1, tasks, folder) / tasks)
    report("the same in CPU seconds", (between - before) / tasks, (children_seconds() - between) / tasks)


def with_ray(nodes: int, measure: Callable[[RayEngine], None]) -> None:
    """On a head without cores and nodes of one core."""
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        engine = RayEngine(RayOptions(address=cluster.address))
        engine.require()
        measure(engine)
    finally:
        ray.shutdown()
        cluster.shutdown()


def of_ray(folder: Path, tasks: int) -> None:
    """One task at a time, on a worker that has been used before."""

    def measure(engine: RayEngine) -> None:
        import ray

        seconds_of(engine, 1, 1, folder)
        remote = ray.remote(nothing)
        ray.get(remote.remote())
        began = time.monotonic()
        for _ in range(tasks):
            reference = remote.remote()
            while not ray.wait([reference], timeout=0.1)[0]:
                pass
        own = (time.monotonic() - began) / tasks
        report("Ray", own, seconds_of(engine, 1, tasks, folder) / tasks)

    with_ray(1, measure)


def of_two_workers(folder: Path, tasks: int) -> None:
    """Tasks that wait 0.5 s, on one worker and on two."""

    def measure(engine: RayEngine) -> None:
        seconds_of(engine, 2, 4, folder, 1.0)
        one, two = (seconds_of(engine, jobs, tasks, folder, 0.5) for jobs in (1, 2))
        print(f"Ray, {tasks} tasks of 0.5 s: one worker {one:.1f} s, two {two:.1f} s: {one / two:.2f} times as fast")

    with_ray(2, measure)


def of_sync(folder: Path, runs: int) -> None:
    """One real run of GlaS's miniature, copied under new ids, and delivered."""
    data = folder / "glas"
    datasets().load("glas").synthesize(data, slides=9, seed=7)
    address = offline_address(folder / "runs")
    asked = RunRequest(method="coarse", dataset="glas", data=str(data), device="cpu", preset="smoke", store=address)
    run_all(replace(asked, cache=folder / "cache"))
    store = OfflineStore(folder / "runs")
    (first,) = store.all_runs()
    for _ in range(runs - 1):
        identity = uuid.uuid4().hex
        tags = {**first.tags, "bench.identity": identity}
        copy = replace(first, id=uuid.uuid4().hex, tags=tags)
        shutil.copytree(first.folder, copy.place(store.folder))
        write_record(store.folder, copy)
    files = sum(1 for path in first.folder.rglob("*") if path.is_file())
    tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}", cache=folder / "cache" / "tracking")
    tracker.connect()
    began, cpu = time.monotonic(), time.process_time()
    done = sync(store.folder, tracker, lambda run, fate: None)
    seconds = time.monotonic() - began
    numbers = len(first.stored().metrics)
    print(f"sync into SQLite: {done.count('delivered')} runs of {files} files and {numbers} metrics in {seconds:.1f} s")
    print(f"CPU seconds of it: {time.process_time() - cpu:.1f}", flush=True)


def main() -> None:
    """Measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["submitit", "ray", "two-workers", "sync"])
    parser.add_argument("--tasks", type=int, default=None)
    parser.add_argument("--runs", type=int, default=100)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-clusters-"))
    try:
        if asked.what == "submitit":
            of_submitit(folder, asked.tasks or 8)
        elif asked.what == "ray":
            of_ray(folder, asked.tasks or 40)
        elif asked.what == "two-workers":
            of_two_workers(folder, asked.tasks or 200)
        else:
            of_sync(folder, asked.runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
