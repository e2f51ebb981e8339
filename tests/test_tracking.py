"""The tracking store: a real MLflow database in a folder of the test, real processes, a real server."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from benchmark.errors import TrackingError
from benchmark.tracking import address, store_errors
from benchmark.tracking import live as live_module
from benchmark.tracking.live import LiveRun, Number
from benchmark.tracking.mlflow_settings import PATIENT, SETTINGS, TIMEOUT
from benchmark.tracking.names import MAX_NAME, MAX_PARAM, stored_name, stored_params
from benchmark.tracking.owner import orphaned, owner_tags
from benchmark.tracking.server import FILTERS, free_port
from benchmark.tracking.store import DatasetInput, Tracker, serve, store_uri

DATA = DatasetInput("glas", "/data/glas", "0123456789abcdef" * 4, {"test_slides": 80})


def start(tracker: Tracker, identity: str = "i", **extra: object) -> LiveRun:
    values: dict[str, object] = {"V": 4, "backbone": "resnet38", "scales": [1, 1.5], "weights": None}
    return tracker.start(
        experiment="glas",
        description="About **GlaS**",
        name="oeem, seed 0",
        params={**values, **extra},
        tags={"bench.identity": identity, "bench.method": "oeem", "bench.supervision": "patch"},
        dataset=DATA,
        note="A run",
    )


# --- names and addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("pixel/miou", "pixel/miou"),
        ("retrieval/P@10", "retrieval/P_at_10"),
        ("kept 40%", "kept 40_pct"),
        ("a//b/../c/", "a/b/c"),
        ("weight:λ+1", "weight_λ_1"),
        ("..", "_"),
    ],
)
def test_names_are_written_readably(name: str, stored: str) -> None:
    assert stored_name(name) == stored


@settings(deadline=None)  # the first example imports mlflow
@given(st.text(max_size=300))
def test_mlflow_takes_every_name_we_write(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(stored_name(name))
    assert len(stored_name(name)) <= MAX_NAME


def test_the_store_is_the_argument_then_the_environment_then_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert store_uri("sqlite:///a.db?x=1") == f"sqlite:///{tmp_path / 'a.db'}?x=1"
    assert store_uri() == "http://host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert store_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_importing_the_module_does_not_import_mlflow() -> None:
    heavy = {"mlflow", "matplotlib", "sqlalchemy", "numpy"}
    code = f"import sys, benchmark.tracking.store; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- one run ------------------------------------------------------------------------------------------------------


def test_a_run_is_stored_with_all_that_belongs_to_it(store: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(store)
    assert tracker.finished("glas", "i") is None
    run = start(tracker)
    assert tracker.finished("glas", "i") is None
    for step in range(300):
        run.log("classifier/loss", 1.0 / (step + 1), step)
    run.log_metrics({"pixel/miou": 0.75, "P@10": 0.5})
    folder = tmp_path / "out"
    (folder / "tables").mkdir(parents=True)
    (folder / "config.yaml").write_text("method: oeem\n")
    (folder / "tables" / "per_slide.table.json").write_text('{"columns": ["slide"], "data": [["a"]]}')
    run.artifacts(folder)
    run.describe("mIoU **0.75**")
    run.finish()

    stored = tracker.finished("glas", "i")
    assert stored is not None
    assert (stored.id, stored.name, stored.status) == (run.id, "oeem, seed 0", "FINISHED")
    assert stored.metrics == {"classifier/loss": pytest.approx(1 / 300), "pixel/miou": 0.75, "P_at_10": 0.5}
    assert stored.params == {"V": "4", "backbone": "resnet38", "scales": "[1, 1.5]", "weights": "null"}
    assert stored.tags["bench.method"] == "oeem"
    assert stored.tags["bench.pid"] == str(os.getpid())
    assert stored.tags["mlflow.note.content"] == "mIoU **0.75**"
    assert json.loads(stored.tags["mlflow.loggedArtifacts"]) == [
        {"path": "tables/per_slide.table.json", "type": "table"}
    ]
    assert stored.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
    assert Path(stored.artifact_uri.removeprefix("file://"), "config.yaml").read_text() == "method: oeem\n"

    client = MlflowClient(tracking_uri=store)
    history = client.get_metric_history(run.id, "classifier/loss")
    assert sorted((entry.step, entry.value) for entry in history) == [(s, 1.0 / (s + 1)) for s in range(300)]
    used = client.get_run(run.id).inputs.dataset_inputs[0].dataset
    assert (used.name, used.digest, json.loads(used.profile)) == ("glas", DATA.digest[:36], {"test_slides": 80})
    assert client.get_experiment_by_name("glas").tags["mlflow.note.content"] == "About **GlaS**"


def test_the_filters_we_advertise_find_the_run(store: str) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(store)
    run = start(tracker)
    run.set_tags({"bench.data_kind": "real", "bench.state": "failed", "bench.complete": "false"})
    run.set_tags({"bench.audit": "warnings: completeness", "bench.preset": "paper"})
    run.log_metrics({"pixel/miou": 0.75})
    run.finish()
    client = MlflowClient(tracking_uri=store)
    number = client.get_experiment_by_name("glas").experiment_id
    assert [len(client.search_runs([number], text)) for text in FILTERS] == [1] * len(FILTERS)


def test_the_newest_finished_run_counts_and_failed_ones_do_not(store: str) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(store)
    first, second, failed, killed = (start(tracker) for _ in range(4))
    first.finish()
    time.sleep(0.01)
    second.finish()
    failed.end("FAILED", "DataError: slide 'a' cannot be read")
    killed.end("KILLED", "interrupted")
    stored = tracker.finished("glas", "i")
    assert stored is not None
    assert stored.id == second.id
    assert tracker.finished("glas", "other") is None
    client = MlflowClient(tracking_uri=store)
    states = {run.id: client.get_run(run.id) for run in (failed, killed)}
    assert [state.info.status for state in states.values()] == ["FAILED", "KILLED"]
    assert states[failed.id].data.tags["bench.reason"] == "DataError: slide 'a' cannot be read"


def test_long_values_and_many_values_are_taken(store: str) -> None:
    tracker = Tracker(store)
    run = start(tracker, **{f"p{index}": index for index in range(150)}, long="x" * 10_000)
    run.log_metrics({f"m/{index}": index for index in range(1200)})
    run.set_tags({"bench.reason": "y" * 10_000, "bench.empty": ""})
    run.finish()
    stored = tracker.finished("glas", "i")
    assert stored is not None
    assert len(stored.params["long"]) == MAX_PARAM
    assert stored.params["long"].endswith("(cut, see config.yaml)")
    assert stored.tags["bench.reason"].endswith("(cut, see config.yaml)")
    assert (len(stored.params), len(stored.metrics)) == (155, 1200)
    assert stored_params({"a": True, "b": 0.1, "c": "True"}) == {"a": "true", "b": "0.1", "c": "True"}


def test_a_run_that_cannot_be_opened_is_not_left_running(store: str) -> None:
    tracker = Tracker(store)
    unfit = DatasetInput("n" * 600, "/data", "d", {})
    with pytest.raises(TrackingError, match="name"):
        tracker.start(experiment="glas", description="", name="n", params={}, tags={}, dataset=unfit)
    rows = sqlite3.connect(store.removeprefix("sqlite:///")).execute("SELECT status FROM runs").fetchall()
    assert rows == [("FAILED",)]


def test_a_locked_database_is_waited_for(store: str) -> None:
    run = start(Tracker(store))
    blocker = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.7, lambda: blocker.execute("ROLLBACK")).start()
    began = time.monotonic()
    run.log_metrics({"pixel/miou": 0.5})
    assert time.monotonic() - began > 0.5
    run.finish()
    stored = Tracker(store).finished("glas", "i")
    assert stored is not None
    assert stored.metrics == {"pixel/miou": 0.5}


def test_runs_that_name_the_same_data_at_the_same_moment(store: str) -> None:
    rivals: list[LiveRun] = []
    begun = threading.Event()

    def between(connection: object, cursor: object, statement: str, *rest: object) -> None:
        """Open another run when this one has seen that the data are not named yet, and is about to name them."""
        if statement.startswith("INSERT INTO datasets") and not begun.is_set():
            begun.set()
            rivals.append(start(Tracker(store), "rival"))

    event.listen(Engine, "before_cursor_execute", between)
    try:
        run = start(Tracker(store))
    finally:
        event.remove(Engine, "before_cursor_execute", between)
    for one in (run, *rivals):
        one.finish()
    assert len(rivals) == 1
    assert all(Tracker(store).finished("glas", identity) for identity in ("i", "rival"))
    rows = sqlite3.connect(store.removeprefix("sqlite:///"))
    assert rows.execute("SELECT count(*) FROM datasets").fetchone() == (1,)
    assert rows.execute("SELECT count(*) FROM inputs").fetchone() == (2,)


# --- stores that do not work --------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_unreachable_server_is_told_in_seconds_without_the_password() -> None:
    port = closed_port()
    began = time.monotonic()
    with pytest.raises(TrackingError, match="cannot be reached") as caught:
        Tracker(f"http://user:secret@127.0.0.1:{port}").finished("glas", "i")
    assert time.monotonic() - began < 8
    assert f"http://127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "mlflow server" in str(caught.value.fix)


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[int]]]:
    """The address of a server whose connections to its database are taken for as many answers as the list holds."""
    taken = [503, 400, 503]
    full = "(sqlalchemy.exc.TimeoutError) QueuePool limit of size 5 overflow 10 reached, connection timed out"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = taken.pop() if taken else 200
            found = {"experiment": {"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}}
            body = json.dumps(found if status == 200 else {"error_code": "BAD_REQUEST", "message": full}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(TIMEOUT, SETTINGS[TIMEOUT])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()


def test_a_crowded_server_is_waited_for_and_from_its_first_answer_on_longer(crowded: tuple[str, list[int]]) -> None:
    uri, taken = crowded
    Tracker(uri).connect()
    assert not taken and os.environ[TIMEOUT] == PATIENT


def test_a_server_that_stays_crowded_is_told_with_the_remedy(
    crowded: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, taken = crowded
    taken += [400] * 1000
    monkeypatch.setitem(store_errors.BUSY, store_errors.CONNECTIONS, 0.5)
    with pytest.raises(TrackingError, match="no connection to its database left") as caught:
        Tracker(uri).connect()
    assert "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE" in str(caught.value.fix)
    assert os.environ[TIMEOUT] == SETTINGS[TIMEOUT], "it has not answered yet"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="folder") as caught:
        Tracker(f"sqlite:///{tmp_path / 'file' / 'sub' / 'mlflow.db'}").connect()
    assert "MLFLOW_TRACKING_URI" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("sqlite:///text.db", "not a database"),
        ("mlruns", "maintenance mode"),
        ("http://[oops", "not an address"),
        ("gopher://x", "gopher"),
    ],
)
def test_what_is_no_store_is_told_at_once(tmp_path: Path, uri: str, says: str) -> None:
    (tmp_path / "text.db").write_text("no database at all, only text " * 100)
    began = time.monotonic()
    with pytest.raises(TrackingError, match=says):
        Tracker(uri).connect()
    assert time.monotonic() - began < 8


def test_a_deleted_experiment_is_told_with_the_way_to_restore_it(store: str) -> None:
    from mlflow import MlflowClient

    start(Tracker(store)).finish()
    client = MlflowClient(tracking_uri=store)
    number = client.get_experiment_by_name("glas").experiment_id
    client.delete_experiment(number)
    with pytest.raises(TrackingError, match="deleted") as caught:
        start(Tracker(store))
    assert f"restore --experiment-id {number}" in str(caught.value.fix)


# --- processes ----------------------------------------------------------------------------------------------------

PROCESS = """
import os, signal, sys
from pathlib import Path
from benchmark.tracking.store import DatasetInput, Tracker
how, folder = sys.argv[1], Path(sys.argv[2])
tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}", cache=folder / "tables")
run = tracker.start(experiment="glas", description="", name=how, params={"V": 4}, tags={"bench.identity": how},
                    dataset=DatasetInput("glas", "/data", "d", {}))
run.log("classifier/loss", 0.5, 0)
if how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that two processes made at the same time; one was then killed, one ended without a word."""
    folder = tmp_path_factory.mktemp("together")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, how, str(folder)], stderr=subprocess.PIPE, env=environment)
        for how in ("killed", "left")
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in processes]
    assert said == ["", ""]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0]
    return folder


def states(folder: Path) -> dict[str, tuple[str, str]]:
    query = "SELECT name, status, (SELECT value FROM tags WHERE key = 'bench.reason' AND tags.run_uuid = r.run_uuid)"
    rows = sqlite3.connect(folder / "mlflow.db").execute(f"{query} FROM runs r").fetchall()
    return {name: (status, reason) for name, status, reason in rows}


def test_two_processes_make_a_new_store_at_once_and_what_dies_is_not_left_running(together: Path) -> None:
    before = states(together)
    assert before["killed"] == ("RUNNING", None)
    assert before["left"] == ("KILLED", "the process ended before the run did")
    tracker = Tracker(f"sqlite:///{together / 'mlflow.db'}")
    mine = start(tracker)
    (reaped,) = tracker.reap("glas")
    after = states(together)
    assert after["killed"][0] == "KILLED"
    assert "exited without reporting" in after["killed"][1]
    assert after["oeem, seed 0"] == ("RUNNING", None)
    assert reaped != mine.id
    assert tracker.reap("glas") == []
    assert tracker.reap("nothing of that name") == []
    mine.finish()


def test_kept_tables_make_the_next_store_whose_artifacts_are_beside_it(together: Path, tmp_path: Path) -> None:
    Tracker("sqlite:///other/mlflow.db", cache=together / "tables").connect()
    rows = sqlite3.connect(tmp_path / "other" / "mlflow.db").execute("SELECT name, artifact_location FROM experiments")
    assert rows.fetchall() == [("Default", (tmp_path / "other" / "mlartifacts" / "0").as_uri())]


def test_the_second_to_come_waits_until_the_first_has_made_the_tables(
    store: str, empty_tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[object] = []
    monkeypatch.setattr(address, "install", lambda *paths: again.append(paths))
    path = tmp_path / "new.db"
    second = threading.Thread(target=Tracker(f"sqlite:///{path}", cache=empty_tables).connect)
    with FileLock(tmp_path / ".new.db.lock"):
        second.start()
        second.join(1.0)
        assert second.is_alive()
        Path(store.removeprefix("sqlite:///")).rename(path)
    second.join(10)
    assert not second.is_alive()
    assert again == []
    assert sqlite3.connect(path).execute("SELECT name FROM experiments").fetchall() == [("Default",)]


def test_only_dead_processes_of_this_machine_are_orphans() -> None:
    own = owner_tags()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = f"{psutil.Process(child.pid).create_time():.2f}"
    other = {**own, "bench.pid": str(child.pid), "bench.pid_started": started}
    assert not orphaned(own)
    assert not orphaned(other)
    assert orphaned({**other, "bench.pid_started": "12.00"})
    assert not orphaned({**other, "bench.pid_started": "12.00", "bench.host": "elsewhere"})
    assert not orphaned({})
    child.communicate(b"\n")
    assert orphaned(other)


# --- sending ------------------------------------------------------------------------------------------------------


class Away:
    """A store that does not answer until `back` is set."""

    def __init__(self) -> None:
        self.back = False
        self.taken: list[Number] = []
        self.status = ""

    def _answer(self) -> None:
        if not self.back:
            raise TrackingError("nobody there")

    def numbers(self, batch: Sequence[Number]) -> None:
        self._answer()
        self.taken += batch

    def tags(self, values: Mapping[str, str]) -> None:
        self._answer()

    def upload(self, folder: Path) -> None:
        self._answer()

    def close(self, status: str) -> None:
        self._answer()
        self.status = status


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Away, LiveRun]]:
    monkeypatch.setattr(live_module, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(live_module, "AWAY_SECONDS", 0.05)
    sink = Away()
    run = LiveRun(sink, "abc", None)
    yield sink, run
    sink.back = True
    run.end("KILLED", "the test is over")


def test_a_finished_run_stays_finished(away: tuple[Away, LiveRun]) -> None:
    sink, run = away
    sink.back = True
    run.finish()
    run.end("FAILED", "its folder could not be removed")
    assert sink.status == "FINISHED"


def test_numbers_wait_for_a_store_that_is_away_and_keep_their_order(away: tuple[Away, LiveRun]) -> None:
    sink, run = away
    for step in range(5):
        run.log("loss", 1.0, step)
    time.sleep(0.2)
    with pytest.raises(TrackingError, match="nobody"):
        run.finish()
    run.log("loss", 1.0, 5)
    sink.back = True
    deadline = time.monotonic() + 5
    while len(sink.taken) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [(name, step) for name, _, _, step in sink.taken] == [("loss", step) for step in range(6)]
    run.finish()
    assert sink.status == "FINISHED"


def test_ending_while_the_store_is_away_warns_and_does_not_hide_the_cause(
    away: tuple[Away, LiveRun], caplog: pytest.LogCaptureFixture
) -> None:
    _, run = away
    run.end("FAILED", "the real cause")
    assert "could not be marked FAILED: nobody there" in caplog.text


def test_many_threads_lose_nothing(away: tuple[Away, LiveRun]) -> None:
    sink, run = away
    sink.back = True

    def work(name: str) -> None:
        for step in range(500):
            run.log(name, 1.0, step)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()
    assert len({(name, step) for name, _, _, step in sink.taken}) == 2000


# --- the web page -------------------------------------------------------------------------------------------------


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) > port


def test_the_page_of_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="does not exist"):
        serve(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(TrackingError, match="cannot be reached"):
        serve(f"http://127.0.0.1:{closed_port()}")


def test_the_page_is_served_takes_runs_over_http_and_stops_cleanly(store: str, tmp_path: Path) -> None:
    code = "import sys; from benchmark.tracking.store import serve; sys.exit(serve(sys.argv[1], port=int(sys.argv[2])))"
    command = [sys.executable, "-u", "-c", code, store, str(closed_port())]
    page = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert page.stdout is not None
    said = [page.stdout.readline() for _ in range(len(FILTERS) + 3)]
    site = said[0].split()[-1].partition("/#")[0]
    assert any("bench.method" in line for line in said)
    family = psutil.Process(page.pid).children(recursive=True)
    with urllib.request.urlopen(f"{site}/health", timeout=10) as answer:
        assert answer.status == 200
    run = start(Tracker(site))
    assert run.url is not None
    assert run.url.startswith(f"{site}/#/experiments/")
    run.log_metrics({"pixel/miou": 0.25})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text("method: oeem\n")
    run.artifacts(tmp_path / "out")
    run.finish()
    page.send_signal(signal.SIGTERM)
    rest, _ = page.communicate(timeout=30)
    assert (page.returncode, rest) == (0, "stopped\n")
    assert family
    assert not any(process.is_running() for process in family)
    stored = Tracker(store).finished("glas", "i")
    assert stored is not None
    assert stored.metrics == {"pixel/miou": 0.25}
    assert list((tmp_path / "mlartifacts").rglob("config.yaml"))
