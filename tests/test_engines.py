"""Runs on an engine of another kind, what a task tells it, and what an outcome holds wherever a run was done."""

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from importlib import import_module

import pytest
from rich.console import Console

from benchmark.config import RunRequest
from benchmark.running import matrix, reuse
from benchmark.running.executors.executor import Ended
from benchmark.running.executors.local import LOCAL
from benchmark.running.job import open_job
from benchmark.running.plan import plan
from benchmark.running.task import Tasks
from benchmark.signals import terminable
from benchmark.tracking.store import Tracker


class Here:
    """An engine that does each task in this process, knowing no more of it than its name."""

    name, remote, leaves = "here", False, False

    def __init__(self):
        self.done, self.said = [], []

    def prepare(self):
        self.done.append("prepared")

    def executor(self, jobs, limits, say, curve, *, queued=0):
        self._queue, self._say, self._curve, self.jobs = [], say, curve, jobs
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        assert not self._queue

    free = property(lambda self: len(self._queue) < self.jobs)
    busy = property(lambda self: bool(self._queue))

    def start(self, number, task):
        self._queue.append((number, pickle.loads(pickle.dumps(task))))

    def ended(self):
        number, task = self._queue.pop(0)
        self.done.append(task.work)
        module, _, name = task.work.partition(":")
        console = Console(file=io.StringIO())
        channel = type("Channel", (), {"console": console, "opened": self.said.append, "curve": self.said.append})
        outcome = getattr(import_module(module), name)(task, channel, **task.arguments)
        yield Ended(number, outcome, True)

    def stop(self):
        return []

    def give_up(self, number, state, reason):
        raise AssertionError("nothing is given up here")


@pytest.fixture
def request_on(miniatures, tmp_path):
    store = f"sqlite:///{tmp_path / 'store.db'}"
    return RunRequest(
        method="constant", dataset="glas", data=str(miniatures["glas"]), preset="smoke", store=store, device="cpu"
    )


def test_another_engine_does_the_runs(request_on):
    engine = Here()
    assert matrix.run_all(replace(request_on, seeds=(0, 1)), engine) == 0
    assert engine.done == ["prepared", *["benchmark.running.attempt:run_task"] * 2]
    runs = Tracker(request_on.store).runs("glas-synthetic")
    assert {run.id for run in runs if run.status == "FINISHED"} == set(engine.said) and len(runs) == 2


def test_short_runs_share_a_process_and_give_the_numbers_of_one_each(request_on, tmp_path, monkeypatch):
    def runs(name):
        asked = replace(request_on, seeds=(0, 1, 2), jobs=1, store=f"sqlite:///{tmp_path / name}.db")
        assert matrix.run_all(replace(asked, cache=tmp_path / name)) == 0
        found = sorted(Tracker(asked.store).runs("glas-synthetic"), key=lambda run: run.tag("seed"))
        numbers = [{k: v for k, v in run.metrics.items() if not k.startswith(("cost/", "stage/"))} for run in found]
        return numbers, len({run.tag("pid") for run in found})

    shared, processes = runs("shared")
    assert processes == 1 and len(shared) == 3 and len(shared[0]) > 20
    monkeypatch.setattr("benchmark.running.executors.local.RESTING_SHARE", 10**9)
    alone, processes = runs("alone")
    assert processes == 3 and alone == shared


@pytest.mark.parametrize("change", ["os.chdir('/')", "sys.path.append('x')", "child", "thread"])
def test_a_process_that_was_changed_does_no_other_task(change, request_on, tmp_path, monkeypatch):
    job = open_job(plan(request_on)[0], tmp_path / "cache")
    task = Tasks("store", tmp_path, 1).make(1, job, "module:function")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    before, ending = reuse.surroundings(), threading.Event()
    assert reuse.reusable(task, before, 1.0) and not reuse.reusable(task, before, reuse.SHORT)
    child = subprocess.Popen(["sleep", "60"]) if change == "child" else None
    if change == "thread":
        threading.Thread(target=ending.wait).start()
    elif child is None:
        exec(change)
    changed = reuse.reusable(task, before, 1.0)
    ending.set()
    if child is not None:
        child.kill()
        child.wait()
    assert not changed


def test_the_metrics_of_an_outcome_have_their_stored_names_now_and_later(request_on, tmp_path):
    def outcome(engine):
        console, tracker = Console(file=io.StringIO()), Tracker(request_on.store)
        return matrix.run_specs(plan(request_on), request_on, tmp_path / "cache", tracker, console, engine)[0]

    first, again = outcome(Here()), outcome(LOCAL)
    assert (first.state, again.state) == ("ok", "finished before")
    assert dict(first.metrics) == dict(again.metrics)
    assert {"pixel/dice", "pixel/dice.low", "testA/pixel/dice", "labels/reviews", "cost/seconds"} <= set(first.metrics)


def test_tasks_side_by_side_have_devices_and_cores_of_their_own(request_on, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr("benchmark.running.task.cores", lambda: 6)
    job = open_job(plan(replace(request_on, device=None))[0], tmp_path / "cache")
    tasks = Tasks("store", tmp_path, 2)
    one, two = (tasks.make(number, job, "module:function", force=True) for number in (7, 8))
    tasks.over(7)
    third = tasks.make(9, job, "module:function", spec=replace(job.spec, seed=5), trial=3)
    assert [task.spec.device for task in (one, two, third)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [task.threads for task in (one, third)] == [3, 3] and third.spec.seed == 5
    assert (one.arguments, third.arguments) == ({"force": True}, {"trial": 3})


def test_sigterm_is_like_ctrl_c_and_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_leaves_the_signals_alone():
    seen = []

    def body():
        with terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
