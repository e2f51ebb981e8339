"""Runs on the engine for SLURM with submitit's own executors, its files, its jobs, and everything wrong with them."""

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.errors import ConfigError, EngineError
from benchmark.running import matrix
from benchmark.running.executors import submitted
from benchmark.running.executors.chosen_engine import chosen_engine, read_gpus
from benchmark.running.executors.engine_file import read_engine
from benchmark.running.executors.executor import no_curve
from benchmark.running.executors.job_book import BookedJob, JobBook
from benchmark.running.executors.node_check import facts_here
from benchmark.running.executors.node_work import settled
from benchmark.running.executors.sample_works import make_task
from benchmark.running.executors.slurm import SlurmEngine
from benchmark.running.executors.slurm_options import SlurmOptions
from benchmark.running.executors.slurm_states import states_of
from benchmark.running.limits import Limits
from benchmark.tracking.owner import orphaned, owner_tags
from benchmark.tracking.store import Tracker

ROOMY = Limits(None, 64 * 2**30)
STEPS = '''
"""Three stages, the second of which waits until it may end."""
import os, time
import numpy as np
from benchmark.method import Method, MethodCard, Params, Prediction
from benchmark.slides import ScoreMap


class Steps(Method):
    """Half everywhere."""

    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Params
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def fit(self, train, validation, context):
        def work(name):
            def body():
                open(os.environ["BENCH_STEPS"], "a").write(name + "\\n")
                while name == "second" and not os.path.exists(os.environ["BENCH_STEPS"] + ".go"):
                    time.sleep(0.05)
                return {"at": time.time()}
            return body

        for before, name in ((), "first"), (("first",), "second"), (("second",), "third"):
            context.stage(name, work(name), after=before)

    def predict(self, slide, labels, context):
        grid = context.geometry.evaluation_grid(slide)
        return Prediction(ScoreMap(grid, np.full(grid.shape, 0.7, np.float32)))

    def state(self):
        return {}

    def restore(self, state, context):
        pass
'''


@pytest.fixture
def asked(store, miniatures):
    usual = {"dataset": "glas", "data": str(miniatures["glas"]), "store": store, "device": "cpu", "preset": "smoke"}
    return RunRequest(**usual)


def engine_at(tmp_path, **options):
    return SlurmEngine(SlurmOptions(**{"cluster": "local", "folder": tmp_path / "files", "check": False, **options}))


def refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "Traceback" not in said, said
    return said


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


# --- runs


def test_a_matrix_on_submitit_checks_a_node_and_does_the_runs_with_their_jobs_in_the_tags(asked, tmp_path, capsys):
    (tmp_path / "on.yml").write_text(f"engine: slurm\ncluster: local\nfolder: {tmp_path / 'files'}\nworkers: 2\n")
    words = ["run", "--method", "constant,coarse", "--dataset", "glas", "--data", asked.data, "--preset", "smoke"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--device", "cpu", "--on", "on.yml"])
    said = capsys.readouterr().out
    assert not ended.value.code, said
    assert "checking a node" in said and "2 at a time on slurm" in said and "2 ok" in said
    runs = Tracker(asked.store).runs("glas-synthetic")
    assert {run.status for run in runs} == {"FINISHED"} and len({run.tag("job") for run in runs}) == 2
    assert all(run.tag("job").startswith("local:") for run in runs)
    assert JobBook(tmp_path / "cache").jobs() == []


def test_debug_jobs_are_done_in_this_process(tmp_path):
    lines = []
    engine = engine_at(tmp_path, cluster="debug")
    with engine.executor(1, ROOMY, lambda _, line: lines.append(line), no_curve) as executor:
        executor.start(3, make_task("go_well", tmp_path, seed=3))
        (ended,) = [ended for _ in range(200) if executor.busy for ended in executor.ended()]
        with pytest.raises(EngineError, match="cannot be left"):
            executor.leave()
    assert ended.outcome.metrics == {"seed": 3.0} and "line 2 of 3" in lines


def test_what_the_cluster_takes_back_is_queued_again_and_loses_no_finished_stage(
    asked, distribution, tmp_path, monkeypatch
):
    distribution("steps", modules={"steps_method": STEPS}, methods={"steps": "steps_method:Steps"})
    monkeypatch.setenv("BENCH_STEPS", str(tmp_path / "steps"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-steps"))

    def preempt(executor):
        """What SLURM does: the signal that submitit listens to goes to the process of the job."""
        (held,) = executor._held.values()
        (process,) = psutil.Process(int(held.job)).children()
        process.send_signal(signal.SIGUSR2)

    done = []
    ended = submitted.SubmititExecutor.ended

    def watched(executor):
        steps = tmp_path / "steps"
        if not done and steps.exists() and "second" in steps.read_text():
            done.append(preempt(executor))
            (tmp_path / "steps.go").touch()
        return ended(executor)

    monkeypatch.setattr(submitted.SubmititExecutor, "ended", watched)
    assert matrix.run_all(replace(asked, method="steps"), engine_at(tmp_path)) == 0
    assert (tmp_path / "steps").read_text().split() == ["first", "second", "second", "third"]
    runs = Tracker(asked.store).runs("glas-synthetic")
    assert sorted(run.status for run in runs) == ["FINISHED", "KILLED"]
    assert len({run.tag("job") for run in runs}) == 1, "it is one job, started twice"


def test_a_job_that_is_killed_costs_only_itself_and_is_told(asked, tmp_path, distribution, monkeypatch):
    distribution("steps", modules={"steps_method": STEPS}, methods={"steps": "steps_method:Steps"})
    monkeypatch.setenv("BENCH_STEPS", str(tmp_path / "steps"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-steps"))
    done = []
    ended = submitted.SubmititExecutor.ended

    def watched(executor):
        steps = tmp_path / "steps"
        if not done and steps.exists() and "second" in steps.read_text():
            (held,) = [held for held in executor._held.values() if held.task.spec.method == "steps"]
            (process,) = psutil.Process(int(held.job)).children()
            done.append(process.kill())
        return ended(executor)

    monkeypatch.setattr(submitted.SubmititExecutor, "ended", watched)
    assert matrix.run_all(replace(asked, method="steps,constant", jobs=2), engine_at(tmp_path)) == 2
    runs = {run.tag("method"): run for run in Tracker(asked.store).runs("glas-synthetic")}
    assert (runs["constant"].status, runs["steps"].status) == ("FINISHED", "FAILED")
    assert "ended without a word" in runs["steps"].tag("reason")


def test_jobs_that_are_left_go_on_and_can_be_shown_and_cancelled(asked, tmp_path, capsys):
    engine = engine_at(tmp_path)
    assert matrix.run_all(replace(asked, method="constant", detach=True), engine) == 0
    assert "jobs left on slurm: 1" in capsys.readouterr().out
    (booked,) = JobBook(tmp_path / "cache").jobs()
    until(lambda: [run.status for run in Tracker(asked.store).runs("glas-synthetic")] == ["FINISHED"])
    until(lambda: not engine.states([booked.job]))
    with pytest.raises(SystemExit):
        main(["jobs"])
    assert "over" in capsys.readouterr().out

    with engine.executor(1, ROOMY, lambda *_: None, no_curve) as executor:
        executor.start(0, replace(make_task("never_end", tmp_path), cache=tmp_path / "cache"))
        (job,) = executor.leave()
    until((tmp_path / "began").exists)
    with pytest.raises(SystemExit):
        main(["jobs"])
    said = capsys.readouterr().out
    assert job in said and "running" in said
    with pytest.raises(SystemExit) as done:
        main(["jobs", "cancel", job])
    assert not done.value.code and "cancelled" in capsys.readouterr().out
    until(lambda: not engine.states([job]))
    until(lambda: not psutil.pid_exists(int((tmp_path / "child").read_text())))
    assert "no job '12'" in refused(["jobs", "cancel", "12"], capsys)
    assert "which jobs" in refused(["jobs", "cancel"], capsys)


def test_jobs_of_the_cache_that_was_named_are_cancelled_each_by_itself(tmp_path, monkeypatch, capsys):
    """The book of the usual cache stays as it is, and an engine that fails keeps no other job."""

    class Asked:
        def states(self, jobs):
            if jobs == ["2"]:
                raise EngineError("the controller is silent")
            return {}

    monkeypatch.setattr("benchmark.commands.jobs._engine", lambda one: Asked())
    usual, named = JobBook(tmp_path / "cache"), JobBook(tmp_path / "other")
    for book in (usual, named):
        for number in ("1", "2", "3"):
            book.enter(BookedJob(number, "slurm", {}, "run", "glas", "store", "folder"))
    said = refused(["jobs", "--cache", str(tmp_path / "other"), "cancel", "--all"], capsys)
    assert "not cancelled: 2 (slurm: the controller is silent)" in said
    assert [job.job for job in named.jobs()] == ["2"] and len(usual.jobs()) == 3


def test_a_run_of_this_very_job_that_is_still_open_is_an_earlier_attempt(monkeypatch):
    tags = {**owner_tags(), "bench.host": "a node that died", "bench.job": "slurm:12_3"}
    assert not orphaned(tags)
    monkeypatch.setenv("BENCH_JOB", "slurm:12_3")
    assert orphaned(tags) and not orphaned(owner_tags())
    monkeypatch.setenv("BENCH_JOB", "slurm:12_4")
    assert not orphaned(tags)


@pytest.mark.parametrize("apart", [-86400, 0, 86400])
def test_two_machines_whose_clocks_are_a_day_apart(apart, monkeypatch):
    """One at work is never taken for dead, a dead one is found out, whatever its clock says."""
    clock = [time.time()]
    monkeypatch.setattr(time, "time", lambda: clock[0])

    def tags(said):
        return {**owner_tags(), "bench.host": "another machine", "bench.alive": str(int(said))}

    for _ in range(20):  # an hour at work, looked at every three minutes
        assert not orphaned(tags(clock[0] + apart))
        clock[0] += 180
    last = tags(clock[0] + apart)
    assert not orphaned(last)
    clock[0] += 100
    assert not orphaned(last)
    clock[0] += 900
    assert orphaned(last), "it has said nothing for a quarter of an hour"


# --- engine files


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# ours\nengine: slrum\n", ["line 2", "'slurm'"]),
        ("engine: slurm\nworkerz: 3\n", ["line 2", "'workerz'", "'workers'"]),
        ("engine: slurm\nslurm_partitoin: gpu\n", ["line 2", "'slurm_partition'"]),
        ("engine: slurm\n\nworkers: many\n", ["line 3", "'many'", "≥ 1"]),
        ("engine: slurm\nworkers: 0\nminutes: -1\n", ["line 2", "line 3"]),
        ("engine: slurm\ncluster: cloud\n", ["line 2", "slurm | local | debug"]),
        ("engine: local\nslurm_mem: 3\n", ["line 2", "'slurm_mem'", "workers"]),
        ("workers: 3\n", ["line 1", "names no engine"]),
        ("engine: local\nworkers: [1\n", ["not YAML"]),
        ("engine: local\nworkers: 1\nworkers: 2\n", ["line 3", "twice"]),
    ],
)
def test_a_mistake_in_an_engine_file_is_told_with_its_line(text, told, tmp_path):
    path = tmp_path / "on.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_engine(path)
    assert all(word in error.value.what for word in told), error.value.what


def test_keys_of_slurm_are_passed_on_as_they_are(tmp_path, monkeypatch):
    path = tmp_path / "on.yml"
    path.write_text("engine: slurm\nminutes: 60\nslurm_partition: gpu\nslurm_gpus_per_node: 1\nslurm_mem: 16GB\n")
    engine = read_engine(path)
    assert engine.options.passed_on == {"slurm_partition": "gpu", "slurm_gpus_per_node": 1, "slurm_mem": "16GB"}
    commands(
        tmp_path, monkeypatch, sbatch="echo Submitted batch job 12", squeue="echo '12|PENDING'", srun="", scancel=""
    )
    engine.require()
    with engine.executor(2, ROOMY, lambda *_: None, no_curve) as executor:
        for seed in range(2):
            executor.start(seed, make_task("go_well", tmp_path, seed=seed))
        assert executor.leave() == ["12_0", "12_1"]
    script = next((tmp_path / "jobs" / "files").glob("*submission.sh")).read_text()
    wanted = ("--partition=gpu", "--gpus-per-node=1", "--mem=16GB", "--time=60", "--array=0-1%2", "--job-name=bench")
    assert all(word in script for word in wanted), script


def commands(tmp_path, monkeypatch, **scripts):
    """Stand-ins for SLURM's commands, for what a cluster of one node cannot be made to say."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        ("OUT_OF_MEMORY", "out of memory", "out of memory (slurm_mem)"),
        ("TIMEOUT", "timed out", "time limit"),
        ("CANCELLED", "interrupted", "was cancelled"),
        ("NODE_FAIL", "failed", "lost its node"),
        ("FAILED", "failed", "FAILED"),
    ],
)
def test_a_job_that_slurm_killed_is_told_why(said, state, reason, tmp_path, monkeypatch):
    monkeypatch.setattr(submitted, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(submitted, "ASK_SECONDS", 0.0)
    commands(tmp_path, monkeypatch, sbatch="echo Submitted batch job 7", squeue=f"echo '7|{said}'", srun="", scancel="")
    engine = engine_at(tmp_path, cluster="slurm")
    with engine.executor(1, ROOMY, lambda *_: None, no_curve) as executor:
        executor.start(0, make_task("go_well", tmp_path))
        ended = [ended for _ in range(50) if executor.busy for ended in executor.ended()]
    assert ended[0].outcome.state == state and reason in ended[0].outcome.reason and not ended[0].stored


def test_a_controller_that_is_silent_for_a_while_loses_no_job(tmp_path, monkeypatch):
    monkeypatch.setattr(submitted, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(submitted, "ASK_SECONDS", 0.0)
    silence = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
    commands(tmp_path, monkeypatch, sbatch="echo Submitted batch job 7", squeue=silence, srun="", scancel="")
    engine = engine_at(tmp_path, cluster="slurm")
    with engine.executor(1, ROOMY, lambda *_: None, no_curve) as executor:
        executor.start(0, make_task("go_well", tmp_path))
        assert not [ended for _ in range(5) for ended in executor.ended()] and executor.busy
        commands(tmp_path, monkeypatch, squeue="echo '7|FAILED'")
        ended = [ended for _ in range(50) if executor.busy for ended in executor.ended()]
    assert "FAILED" in ended[0].outcome.reason


# --- what is wrong around the engine, said before the first job


def test_a_missing_package_or_cluster_is_told_with_the_remedy(tmp_path, monkeypatch, capsys):
    (tmp_path / "on.yml").write_text("engine: slurm\n")
    words = ["run", "--method", "constant", "--dataset", "glas", "--data", "synthetic", "--on", "on.yml"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert "sbatch" in refused(words, capsys)
    commands(tmp_path, monkeypatch, sbatch="", srun="", scancel="", squeue="echo 'Unable to contact slurm' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/bin")
    assert "SLURM does not answer: Unable to contact" in refused(words, capsys)
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert "pip install 'histobench[slurm]'" in refused(words, capsys)


def test_a_refusal_of_the_cluster_is_told(tmp_path, monkeypatch):
    commands(tmp_path, monkeypatch, sbatch="echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    commands(tmp_path, monkeypatch, srun="", squeue="", scancel="")
    engine = engine_at(tmp_path, cluster="slurm")
    with (
        pytest.raises(EngineError, match="refuses the jobs.*invalid partition"),
        engine.executor(1, ROOMY, lambda *_: None, no_curve) as executor,
    ):
        executor.start(0, make_task("go_well", tmp_path))
        list(executor.ended())


def test_a_node_that_sees_other_files_or_has_another_version_is_told(tmp_path, monkeypatch):
    task = make_task("go_well", tmp_path)
    for changed, told in (
        (replace(task, folder="/nowhere"), "working directory /nowhere"),
        (replace(task, known=replace(task.known, root=tmp_path / "away")), "data of glas"),
        (replace(task, cache=tmp_path / "here-0" / "x"), "cache"),
    ):
        (tmp_path / "here-0").touch()
        with pytest.raises(EngineError, match=told):
            settled(changed, "slurm:1")
    engine = engine_at(tmp_path)
    facts = {**facts_here("constant"), "histobench": "99.0"}
    check = replace(task, work="benchmark.running.executors.node_check:check_task", arguments={"facts": facts})
    away = replace(task, known=replace(task.known, root=tmp_path / "away"))
    with engine.executor(2, ROOMY, lambda *_: None, no_curve) as executor:
        executor.start(0, check)
        executor.start(1, away)
        over = {ended.number: ended.outcome for _ in range(2000) if executor.busy for ended in executor.ended()}
    assert "instead of 99.0" in over[0].reason and over[0].error.fix.startswith("pip install")
    assert "does not see the data of glas" in over[1].reason


def test_a_node_whose_python_lacks_the_package_is_told(tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {bare / "bin" / "python"} "$@"\n')
    script.chmod(0o755)
    engine = engine_at(tmp_path, python=str(script))
    with engine.executor(1, ROOMY, lambda *_: None, no_curve) as executor:
        executor.start(0, make_task("go_well", tmp_path))
        (ended,) = [ended for _ in range(600) if executor.busy for ended in executor.ended()]
    assert "No module named 'submitit'" in ended.outcome.reason


def test_options_that_do_not_go_together_are_refused(tmp_path, monkeypatch):
    (tmp_path / "on.yml").write_text("engine: local\nworkers: 3\n")
    on = tmp_path / "on.yml"
    usual = {"jobs": None, "workers": None, "gpus": None}
    assert chosen_engine(on, **usual).jobs == 3 and chosen_engine(on, **{**usual, "workers": 2}).jobs == 2
    for file, changes in (
        (None, {"workers": 2}),
        (None, {"detach": True}),
        (on, {"jobs": 2}),
        (on, {"gpus": "all"}),
        (on, {"detach": True}),
        (on, {"workers": 0}),
        (None, {"jobs": 2, "gpus": "all"}),
    ):
        with pytest.raises(ConfigError):
            chosen_engine(file, **{**usual, **changes})


def test_gpus_are_counted_listed_or_all(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert (read_gpus("all"), read_gpus("2"), read_gpus("0,2")) == ((0, 1, 2), (0, 1), (0, 2))
    for text in ("4", "0,3", "0,0", "some", "0", "", "²", "9999999", "9" * 5000):
        with pytest.raises(ConfigError, match="--gpus"):
            read_gpus(text)


def test_squeue_is_read_and_what_it_forgot_is_left_out(tmp_path, monkeypatch):
    answer = 'case "$*" in *--jobs=8*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1;; esac'
    commands(tmp_path, monkeypatch, squeue=f"{answer}; echo '7_0|RUNNING'; echo '7_1|PENDING'")
    assert states_of(["7_0", "7_1"]) == {"7_0": "RUNNING", "7_1": "PENDING"}
    assert states_of(["8"]) == {}
