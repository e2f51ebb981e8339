"""Runs kept in a folder without a store, read there, and delivered later: once, in any order, interrupted or not."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.errors import TrackingError
from benchmark.notebook import read_leaderboard
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.running import matrix
from benchmark.running.states import ends_all
from benchmark.stored import score_maps, slide_rows
from benchmark.tracking import offline_sync as syncing
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.live import LiveRun
from benchmark.tracking.mlflow_run import DatasetInput, MlflowSink
from benchmark.tracking.offline_files import NUMBERS, OfflineRun, OfflineSink, told, write_record
from benchmark.tracking.offline_store import OfflineStore, offline_address, open_store
from benchmark.tracking.offline_sync import OFFLINE, sync
from benchmark.tracking.owner import owner_tags
from benchmark.tracking.store import Tracker

EXPERIMENT = "glas-synthetic"


def quiet(run, fate):
    pass


@pytest.fixture
def asked(miniatures, tmp_path):
    def make(method="constant,coarse", **changes):
        usual = {"dataset": "glas", "data": str(miniatures["glas"]), "device": "cpu", "preset": "smoke"}
        return RunRequest(method=method, store=offline_address(tmp_path / "off"), **{**usual, **changes})

    return make


@pytest.fixture
def folder(tmp_path):
    """An offline folder with a few small runs that nothing had to be computed for."""
    store = OfflineStore(tmp_path / "small")
    for number in range(4):
        live = begin(store, number)
        for step in range(3):
            live.log("loss", 1 / (step + 1), step)
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / "note.txt").write_text(f"of {number}")
        live.artifacts(tmp_path / "files")
        live.log_metrics({"pixel/dice": number / 10})
        live.finish()
    return store.folder


def begin(store, number):
    return store.start(
        experiment="glas",
        description="a dataset",
        name=f"run {number}",
        params={"value": number},
        tags={"bench.method": "constant", "bench.identity": f"{number:032x}"},
        dataset=DatasetInput("glas", "/data", "digest", {"train_slides": 3}),
    )


def delivered(address):
    return {run.tags[OFFLINE]: run for run in Tracker(address).runs("glas") if OFFLINE in run.tags}


def test_a_matrix_without_a_store_is_whole_there_and_after_delivery(asked, store, tmp_path, capsys):
    assert matrix.run_all(asked(jobs=2)) == 0
    assert not list(tmp_path.glob("mlflow*.db")) or Tracker(store).runs(EXPERIMENT) == []
    assert matrix.run_all(asked()) == 0 and "2 finished" in capsys.readouterr().out
    offline = open_store(str(tmp_path / "off"))
    assert isinstance(offline, OfflineStore)
    board = read_leaderboard(offline, Filters()).boards[0]
    assert {row.method for row in board.rows} == {"constant", "coarse"}

    main_exit(["sync", "off", "--store", store], 0)
    assert "2 delivered" in capsys.readouterr().out
    before = {run.tag("method"): run for run in offline.runs(EXPERIMENT)}
    after = {run.tag("method"): run for run in Tracker(store).runs(EXPERIMENT)}
    for method, run in before.items():
        copy = after[method]
        assert (copy.status, copy.started, copy.ended) == ("FINISHED", run.started, run.ended)
        assert copy.metrics == run.metrics and copy.params == run.params
        assert {k: v for k, v in copy.tags.items() if k.startswith("bench.") and k != OFFLINE} == {
            k: v for k, v in run.tags.items() if k.startswith("bench.")
        }
        with StoreArtifacts(offline) as here, StoreArtifacts(Tracker(store)) as there:
            assert slide_rows(here, run) == slide_rows(there, copy)
            assert score_maps(here, run).keys() == score_maps(there, copy).keys()
            assert [file for file in there.fetch(copy, "model") if file.name == "MLmodel"]
    boards = []
    for address in (str(tmp_path / "off"), store):
        main_exit(["leaderboard", "--store", address, "--format", "csv", "--no-tests", "--out", "board.csv"], 0)
        boards.append({line.partition(",run")[0] for line in Path("board.csv").read_text().splitlines()})
    assert len(boards[0]) == len(boards[1]) > 2


def main_exit(words, code):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code or 0) == code


def test_sync_delivers_once_however_often_it_is_asked(folder, store, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert sync(folder, Tracker(store), quiet).count("delivered") == 4
    again = sync(copy, Tracker(store), quiet)
    assert (again.count("delivered"), again.count("there already")) == (0, 4)
    runs = Tracker(store).runs("glas")
    assert sorted(run.name for run in runs) == [f"run {number}" for number in range(4)]
    one = next(run for run in runs if run.name == "run 2")
    history = Tracker(store)._client.get_metric_history(one.id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(3)]
    offline = next(run for run in OfflineStore(folder).runs("glas") if run.name == "run 2")
    written = {point.timestamp for point in history}
    assert max(written) <= offline.ended, "the times are those of the run, not of its delivery"


def test_a_sync_that_is_cut_off_goes_on_where_it_was(folder, store, monkeypatch):
    uploads = []
    upload = MlflowSink.upload

    def cut(self, path):
        uploads.append(path)
        if len(uploads) == 2:
            raise KeyboardInterrupt
        upload(self, path)

    monkeypatch.setattr(MlflowSink, "upload", cut)
    with pytest.raises(KeyboardInterrupt):
        sync(folder, Tracker(store), quiet)
    assert sorted(run.status for run in Tracker(store).runs("glas")) == ["FINISHED", "RUNNING"]
    monkeypatch.setattr(syncing, "orphaned", lambda tags: True)  # the process that was cut off is this one
    done = sync(folder, Tracker(store), quiet)
    assert (done.count("delivered"), done.count("there already")) == (3, 1)
    assert len(delivered(store)) == 4 and {run.status for run in Tracker(store).runs("glas")} == {"FINISHED"}


def test_a_sync_that_is_killed_goes_on_too(folder, store, tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from benchmark.tracking import offline_sync as s; "
        "from benchmark.tracking.mlflow_run import MlflowSink; "
        "from benchmark.tracking.store import Tracker; u = MlflowSink.upload; n = []\n"
        "def cut(self, path):\n    n.append(1)\n    u(self, path)\n"
        "    len(n) == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "MlflowSink.upload = cut; s.sync(Path(sys.argv[1]), Tracker(sys.argv[2]), lambda run, fate: None)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), store])
    assert done.returncode == -signal.SIGKILL
    assert sync(folder, Tracker(store), quiet).count("delivered") == 2
    assert len(delivered(store)) == 4 and len(Tracker(store).runs("glas")) == 4


def test_what_the_store_has_finished_by_itself_is_not_delivered_again(folder, store):
    live = begin(Tracker(store), 1)
    live.finish()
    done = sync(folder, Tracker(store), quiet)
    assert (done.count("delivered"), done.count("done elsewhere")) == (3, 1)


def test_runs_at_work_wait_and_dead_ones_are_told(tmp_path, store):
    offline = OfflineStore(tmp_path / "small")
    offline.connect()
    begin(offline, 0)
    process = subprocess.run(
        [sys.executable, "-c", "from benchmark.tracking.owner import owner_tags; print(owner_tags()['bench.pid'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    gone = {**owner_tags(), "bench.pid": process.stdout.strip(), "bench.method": "constant", "bench.identity": "d" * 32}
    write_record(offline.folder, OfflineRun("e" * 32, "glas", "", "gone", {}, gone, None, 1))
    done = sync(offline.folder, Tracker(store), quiet)
    assert (done.count("at work"), done.count("delivered")) == (1, 1)
    (run,) = Tracker(store).runs("glas")
    assert (run.status, run.tags["bench.state"]) == ("KILLED", "interrupted") and run.started == 1


def test_many_processes_on_one_folder_do_nothing_twice(asked, tmp_path):
    root = asked().data
    words = ["--method", "constant", "--dataset", "glas", "--data", root, "--preset", "smoke", "--device", "cpu"]
    command = [sys.executable, "-m", "benchmark", "run", *words, "--jobs", "0", "--offline", "many"]
    caches = ({**os.environ, "BENCH_CACHE": str(tmp_path / name)} for name in "abc")
    begun = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for env in caches]
    outputs = [process.communicate(timeout=240)[0] for process in begun]
    assert [process.returncode for process in begun] == [0, 0, 0], outputs
    assert [run.status for run in OfflineStore(tmp_path / "many").runs(EXPERIMENT)] == ["FINISHED"]


def test_what_is_no_run_keeps_no_run_from_being_read(folder, caplog):
    """A file of a desktop, and a damaged record, which is named."""
    for place in (folder, folder / "runs", *(folder / "runs").glob("*"), *(folder / "runs").glob("*/*")):
        (place / ".DS_Store").touch()
    assert len(OfflineStore(folder).stored()) == 4
    damaged = next((folder / "runs").glob("*/*/*/run.json"))
    damaged.write_text("{")
    assert len(OfflineStore(folder).stored()) == 3
    assert f"the offline run {damaged.parent} cannot be read" in caplog.text


def test_a_line_cut_short_by_a_kill_loses_only_itself(folder, store):
    run = next(run for run in OfflineStore(folder).all_runs() if run.name == "run 3")
    with (run.folder / NUMBERS).open("a") as stream:
        stream.write('[["loss", 0.1, 17')
    assert run.stored().metrics == {"loss": 1 / 3, "pixel/dice": 0.3}
    assert sync(folder, Tracker(store), quiet).count("delivered") == 4


def test_a_full_disk_and_a_full_quota_are_told_and_end_the_matrix(tmp_path):
    run = write_record(tmp_path, OfflineRun("a" * 32, "glas", "", "full", {}, {}, None, 1))
    (run.folder / NUMBERS).symlink_to("/dev/full")
    live = LiveRun(OfflineSink(tmp_path, run), run.id, None)
    live.log("loss", 1.0)
    with pytest.raises(TrackingError, match="no space left") as refused:
        live.flush()
    assert ends_all(refused.value)
    with pytest.raises(TrackingError, match="no space left.*[Qq]uota") as refused, told(tmp_path):
        raise OSError(122, os.strerror(122), "somewhere")
    assert ends_all(refused.value)


def test_folders_that_are_none_are_refused(tmp_path, store, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (tmp_path / "plain").touch()
    run = ["run", "--method", "constant", "--dataset", "glas"]
    for words, told_of in (
        (["sync", "nowhere", "--store", store], "is no folder"),
        (["sync", "other", "--store", store], "has no offline runs"),
        ([*run, "--offline", "o", "--store", store], "both --store"),
        (
            [*run, "--data", "synthetic", "--offline", "other"],
            "a folder of",
        ),
        ([*run, "--data", "synthetic", "--offline", "plain"], "plain"),
    ):
        main_exit(words, 2)
        said = capsys.readouterr().err
        assert told_of in said and "Traceback" not in said, said
    with pytest.raises(TrackingError, match="offline folder too"):
        OfflineStore(tmp_path / "new").connect()
        sync(tmp_path / "new", OfflineStore(tmp_path / "new"), quiet)
