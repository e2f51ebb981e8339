"""A real `mlflow server` with a database behind it: runs, reading, and a server that vanishes in the middle."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from benchmark.config import RunRequest
from benchmark.errors import TrackingError
from benchmark.notebook import read_leaderboard
from benchmark.reporting.leaderboard.build_leaderboard import Filters
from benchmark.running import matrix
from benchmark.stored import MissingError, unit_table
from benchmark.tracking.address import sqlite_path, sqlite_uri
from benchmark.tracking.artifacts import StoreArtifacts, slide_rows
from benchmark.tracking.store import Tracker

QUITS = '''
"""Ends the server while it works, if it is told to."""
import os, signal
import numpy as np
from benchmark.method import Method, MethodCard, Params, Prediction
from benchmark.slides import ScoreMap


class Quits(Method):
    """Half everywhere."""

    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Params
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def fit(self, train, validation, context):
        def work():
            open(os.environ["WORKED"], "a").write("once\\n")
            for step in range(5):
                context.log("progress", step / 2, step)
            return 1
        context.stage("work", work)

    def predict(self, slide, labels, context):
        if os.environ.get("SERVER"):
            os.killpg(int(os.environ.pop("SERVER")), signal.SIGKILL)
        grid = context.geometry.evaluation_grid(slide)
        return Prediction(ScoreMap(grid, np.full(grid.shape, 0.7, np.float32)))

    def state(self):
        return {}

    def restore(self, state, context):
        pass
'''


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Starts and stops; the database and the artifacts stay."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        command += ["--artifacts-destination", (self.folder / "served").as_uri()]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **quiet}, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "server.log").read_text()
                time.sleep(0.2)
        raise AssertionError("the server did not start")

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path, empty_tables):
    Tracker(f"sqlite:///{tmp_path / 'server.db'}", cache=empty_tables).connect()
    made = Server(tmp_path)
    yield made
    made.stop()


def test_a_server_that_vanishes_loses_nothing(server, distribution, miniatures, monkeypatch, tmp_path, capsys):
    distribution("quits", modules={"quits_method": QUITS}, methods={"quits": "quits_method:Quits"})
    monkeypatch.setenv("WORKED", str(tmp_path / "worked"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    common = {"dataset": "glas", "data": str(miniatures["glas"]), "device": "cpu", "preset": "smoke"}
    asked = RunRequest(method="constant,quits,coarse", store=server.address, **common)
    monkeypatch.setenv("SERVER", str(server.process.pid))
    assert matrix.run_all(asked) == 2
    said = capsys.readouterr().out
    assert "computed but not stored" in said and "stopped early" in said and "not started" in said
    server.stop()
    with pytest.raises(TrackingError, match="cannot be reached"):
        matrix.run_all(asked)

    monkeypatch.delenv("SERVER")
    server.start()
    assert matrix.run_all(asked) == 0
    said = capsys.readouterr().out
    assert "1 to store" in said and "storing a result that was computed before" in said
    assert (tmp_path / "worked").read_text() == "once\n", "nothing was computed again"

    tracker = Tracker(server.address)
    runs = {run.tags["bench.method"]: run for run in tracker.runs("glas-synthetic") if run.status == "FINISHED"}
    assert set(runs) == {"constant", "quits", "coarse"}
    assert runs["quits"].metrics["progress"] == 2.0 and runs["quits"].tags["bench.state"] == "ok"
    assert len(slide_rows(tracker, runs["quits"])) == runs["quits"].metrics["data/slides_used"]
    with StoreArtifacts(tracker) as artifacts:
        assert len(unit_table(artifacts, runs["quits"]))
        with pytest.raises(MissingError, match=r"has no units\.csv"):
            unit_table(artifacts, runs["coarse"])
    found = read_leaderboard(tracker, Filters())
    (board,) = found.boards
    assert {row.method for row in board.rows} == set(runs) and board.standings["pixel/miou"]
    assert matrix.run_all(asked) == 0 and "3 finished" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["p%41x", "q?x", "a b'c\"d", "h#x", "ä"])
def test_a_store_in_a_folder_of_any_name(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = Tracker()
    run = tracker.record(experiment="glas", description="", name="a", tags={"bench.state": "skipped"})
    assert [stored.id for stored in Tracker().runs("glas")] == [run]
    assert (folder / "mlflow.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sqlite_path(sqlite_uri(folder / "mlflow.db")) == folder / "mlflow.db"
