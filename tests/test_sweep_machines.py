"""One study on several machines: through Optuna's gRPC proxy, on two engines at once, a worker killed in mid-trial."""

import io
import json
import multiprocessing
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from PIL import Image
from sweep_toy import begun, stored, toy, write  # noqa: F401 - toy is a fixture

from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.errors import StudyError
from benchmark.running.executors import submitted
from benchmark.running.executors.slurm import SlurmEngine
from benchmark.running.executors.slurm_options import SlurmOptions
from benchmark.tracking.owner import owner_tags
from benchmark.tracking.store import Tracker
from benchmark.tuning import grpc_storage
from benchmark.tuning.request import SweepRequest, resolve_sweep
from benchmark.tuning.stored_study import OWNER
from benchmark.tuning.study import Study
from benchmark.tuning.study_storage import lock_of, open_storage

RANDOM = {"sampler": {"kind": "random"}}


@pytest.fixture
def serving(tmp_path):
    """A `bench sweep serve` of an empty SQLite file: its process and its address."""
    pytest.importorskip("grpc", reason="the package grpcio is missing: pip install 'histobench[grpc]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(sysconfig.get_path("scripts")) / "bench"
    words = [str(script), "sweep", "serve", "--storage", f"sqlite:///{tmp_path / 'served.db'}", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert f"is served at grpc://127.0.0.1:{port}" in process.stdout.readline()
            yield process, f"grpc://127.0.0.1:{port}"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in (0, -signal.SIGKILL)
        finally:
            process.kill()  # else the end of the block waits for ever, as where SIGINT is ignored: `pytest &`


@pytest.fixture
def served(serving):
    return serving[1]


def test_a_study_through_grpc_is_the_study_of_its_database(toy, served, tmp_path, capsys):
    toy(storage=served)
    toy(storage=served, trials=5, page=True)
    direct, remote = (stored(storage=address) for address in (f"sqlite:///{tmp_path / 'served.db'}", served))
    assert direct.trials == remote.trials and len(direct.trials) == 5
    toy(study="here", trials=5)
    assert [dict(trial.params) for trial in direct.trials] == [dict(trial.params) for trial in stored("here").trials]
    with pytest.raises(SystemExit):
        main(["sweep", "list", "--storage", served])
    assert "5 complete" in capsys.readouterr().out


def hold(address, told):
    with lock_of(address, "one"):
        told.set()
        time.sleep(600)


def test_a_lock_through_grpc_is_everyones_and_freed_when_its_holder_is_killed(served):
    context = multiprocessing.get_context("spawn")
    told, other = context.Event(), context.Event()
    first, second = (context.Process(target=hold, args=(served, event)) for event in (told, other))
    first.start()
    assert told.wait(60)
    second.start()
    assert not other.wait(3), "the second waits"
    with lock_of(served, "two"):
        pass
    first.kill()
    assert other.wait(60)
    second.kill()


def test_an_address_that_does_not_answer_is_told_within_ten_seconds(toy, monkeypatch):
    pytest.importorskip("grpc", reason="the package grpcio is missing: pip install 'histobench[grpc]'")
    with socket.socket() as mute:  # takes connections and says nothing
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        began = time.monotonic()
        for place in ("127.0.0.1:1", f"127.0.0.1:{mute.getsockname()[1]}"):
            with pytest.raises(StudyError, match=f"the study storage grpc://{place} does not answer") as refused:
                open_storage(f"grpc://{place}")
            assert "bench sweep serve" in refused.value.fix
        assert time.monotonic() - began < grpc_storage.ANSWER_SECONDS + 2
    for wrong in ("grpc://", "grpc://host:port", "grpc://host:1/study"):
        with pytest.raises(StudyError, match=r"expected grpc://HOST:PORT"):
            toy(storage=wrong)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(StudyError, match="grpcio") as refused:
        open_storage("grpc://localhost:1")
    assert refused.value.fix == "pip install 'histobench[grpc]'"


def test_a_server_without_the_lock_a_port_in_use_and_what_cannot_be_served_are_told(served, tmp_path, capsys):
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    other = grpc.server(ThreadPoolExecutor(2))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    with pytest.raises(StudyError, match="no `bench sweep serve`"):
        open_storage(f"grpc://127.0.0.1:{port}")
    other.stop(0)
    for words, told in (
        (["--storage", "sqlite:///a.db", "--port", served.rpartition(":")[2]], "cannot be listened on"),
        (["--storage", "a.journal"], "is a journal"),
        (["--storage", served], "is a server itself"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["sweep", "serve", *words])
        assert ended.value.code == 2 and told in " ".join(capsys.readouterr().err.split())


def test_a_server_that_is_lost_in_the_middle_is_told(toy, serving, tmp_path, store, miniatures):
    server, served = serving
    path = write(tmp_path / "sweep.yaml", {"trials": 4})
    process = begun(path, miniatures, store, "--storage", served, seconds=2, errors=subprocess.PIPE)
    for line in process.stdout:
        if line.startswith("[trial 0]"):
            break
    server.kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in said
    assert f"the study storage {served} cannot be used" in " ".join(said.split())


def test_a_trial_of_a_machine_that_fell_silent_is_taken_over_with_its_values(
    toy, served, tmp_path, miniatures, monkeypatch
):
    request = SweepRequest(str(write(tmp_path / "sweep.yaml", {})), RunRequest(data=str(miniatures["glas"])))
    sweep = resolve_sweep(request)
    one, two = (
        Study(served, "study", sweep.file, sweep.space, {"published": sweep.published}, "run") for _ in range(2)
    )
    asked = one.ask(3)
    one._open[asked.number].set_user_attr(OWNER, {**owner_tags(), "bench.host": "another machine"})
    clock = [time.time()]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    assert two.ask(3).number == 1, "trial 0 is at work elsewhere"
    clock[0] += 600
    assert two.ask(3).number == 2
    clock[0] += 600
    again = two.ask(3)
    assert (again.number, dict(again.params)) == (0, dict(asked.params))
    two.complete(0, [0.5], 1.0)
    assert [trial.state for trial in one.trials()] == ["complete", "running", "running"]


def test_one_study_from_two_engines_at_once(toy, served, tmp_path, store, miniatures):
    """This machine and submitit's jobs, each one at a time."""
    path = write(tmp_path / "sweep.yaml", {"trials": 6, **RANDOM})
    (tmp_path / "on.yml").write_text(
        f"engine: slurm\ncluster: local\nworkers: 1\nfolder: {tmp_path / 'jobs'}\ncheck: false\n"
    )
    usual = ("--storage", served)
    cluster = begun(path, miniatures, store, *usual, "--on", str(tmp_path / "on.yml"), seconds=2)
    here = begun(path, miniatures, store, *usual, seconds=2)
    told = [process.communicate(timeout=400)[0] for process in (cluster, here)]
    assert [process.returncode for process in (cluster, here)] == [0, 0], told
    study = stored(storage=served)
    assert [(trial.number, trial.state) for trial in study.trials] == [(number, "complete") for number in range(6)]
    tags = {run.id: run.tags for run in Tracker(store).runs("glas-synthetic-sweeps")}
    jobs = [tags[trial.run].get("bench.job", "") for trial in study.trials]
    assert {bool(job) for job in jobs} == {True, False}, told
    assert len({trial.run for trial in study.trials}) == 6
    assert not [run for run in Tracker(store).runs("glas-synthetic-sweeps") if run.status != "FINISHED"]


def test_a_sweep_on_a_cluster_and_a_worker_killed_in_mid_trial(toy, tmp_path, store, monkeypatch):
    """The job of trial 1 is killed; the trial fails alone, and the others are those of an undisturbed study."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-bench-toy"))
    monkeypatch.setenv("TOY_SLEEP", "0.3")
    killed, ended = [], submitted.SubmititExecutor.ended

    def watched(executor):
        if not killed and (held := executor._held.get(1)) is not None and held.run is not None:
            killed.extend(psutil.Process(int(held.job)).children())
            for process in killed:
                process.kill()
        return ended(executor)

    monkeypatch.setattr(submitted.SubmititExecutor, "ended", watched)
    engine = SlurmEngine(SlurmOptions(cluster="local", folder=tmp_path / "jobs", check=False))
    assert toy({"trials": 3, **RANDOM}, engine=engine) == 0
    assert killed
    toy({"trials": 3, **RANDOM}, study="undisturbed")
    study, whole = stored(), stored("undisturbed")
    assert [trial.state for trial in study.trials] == ["complete", "failed", "complete"]
    assert "ended without a word" in study.trials[1].reason
    for one, other in zip(study.trials, whole.trials, strict=True):
        assert dict(one.params) == dict(other.params)
        assert one.values == other.values or one.number == 1


# --- Optuna's dashboard


def test_the_dashboard_shows_a_study_and_the_pictures_of_its_trials(toy, tmp_path):
    pytest.importorskip("optuna_dashboard", reason="the package optuna-dashboard is missing: pip install …[dashboard]")
    toy({"trials": 2}, overlays=2, subject_to=["pixel/accuracy>=0.1"])
    assert not list((tmp_path / "cache" / "trial_pictures").rglob("*.jpg")), "they are moved"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(sysconfig.get_path("scripts")) / "bench"
    with subprocess.Popen([str(script), "sweep", "dashboard", "--port", str(port)], stdout=subprocess.PIPE) as process:
        place = process.stdout.readline().decode().split("shown at ")[1].split("/dashboard")[0]

        def get(path):
            with urllib.request.urlopen(f"{place}{path}", timeout=30) as answer:
                return answer.read()

        try:
            until(lambda: answers(place))
            assert b"<html" in get("/dashboard").lower()
            (summary,) = json.loads(get("/api/studies"))["study_summaries"]
            assert summary["study_name"] == "sweep-glas-synthetic-paper"
            trials = json.loads(get(f"/api/studies/{summary['study_id']}"))["trials"]
            assert [trial["state"] for trial in trials] == ["Complete"] * 2
            for trial in trials:
                assert len(trial["artifacts"]) == 2
                assert "pixel/accuracy >= 0.1" in str(trial["user_attrs"])
                for artifact in trial["artifacts"]:
                    path = f"/artifacts/{summary['study_id']}/{trial['trial_id']}/{artifact['artifact_id']}"
                    assert artifact["mimetype"] == "image/jpeg"
                    assert Image.open(io.BytesIO(get(path))).width > 500
            process.send_signal(signal.SIGINT)
            process.wait(30)
        finally:
            process.kill()


def answers(place):
    try:
        urllib.request.urlopen(f"{place}/dashboard", timeout=5).close()
    except OSError:
        return False
    return True


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def test_without_its_package_the_dashboard_says_which(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "dashboard"])
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and "pip install 'histobench[dashboard]'" in said
