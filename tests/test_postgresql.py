"""PostgreSQL as the store of runs and the storage of studies."""

import multiprocessing
import time
from dataclasses import replace

import pytest
from postgresql_server import PostgresqlServer

from benchmark.config import RunRequest
from benchmark.database_lock import DatabaseLock, is_postgresql
from benchmark.errors import StudyError, TrackingError
from benchmark.notebook import read_leaderboard
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.running import matrix
from benchmark.tracking.address import driver_missing
from benchmark.tracking.store import Tracker
from benchmark.tuning.study_storage import open_storage

for driver in ("psycopg", "psycopg2"):
    pytest.importorskip(driver, reason=f"the package {driver} is missing: pip install 'histobench[postgresql]'")


@pytest.fixture(scope="module")
def server():
    made = PostgresqlServer()
    yield made
    made.stop()


def test_runs_and_the_leaderboard_on_postgresql(server, miniatures, capsys):
    asked = RunRequest(method="constant,coarse", dataset="glas", data=str(miniatures["glas"]), device="cpu")
    asked = replace(asked, preset="smoke", store=server.address("runs"))
    assert matrix.run_all(asked) == 0
    assert matrix.run_all(asked) == 0 and "2 finished" in capsys.readouterr().out
    tracker = Tracker(asked.store)
    assert {run.status for run in tracker.runs("glas-synthetic")} == {"FINISHED"}
    assert {row.method for row in read_leaderboard(tracker, Filters()).boards[0].rows} == {"constant", "coarse"}
    assert "s3cret" not in tracker.shown


def test_a_wrong_password_is_told_at_once_for_runs_and_studies(server):
    wrong = server.address("empty", password="guess")
    began = time.monotonic()
    with pytest.raises(TrackingError, match="refuses the user or the password") as refused:
        Tracker(wrong).connect()
    assert "guess" not in str(refused.value)
    with pytest.raises(StudyError, match="password authentication failed") as refused:
        open_storage(wrong)
    assert "guess" not in str(refused.value)
    assert time.monotonic() - began < 10


def test_a_database_that_does_not_answer_or_has_no_driver_is_told(server):
    with pytest.raises(TrackingError, match="cannot be reached"):
        Tracker("postgresql://bench:x@127.0.0.1:1/none").connect()
    with pytest.raises(StudyError, match="postgresql://127.0.0.1:1/none cannot be used"):
        open_storage("postgresql://bench:x@127.0.0.1:1/none")
    address = server.address("empty").replace("postgresql://", "postgresql+pg8000://")
    with pytest.raises(TrackingError, match="needs the Python package pg8000") as refused:
        Tracker(address).connect()
    assert refused.value.fix == "pip install pg8000"
    with pytest.raises(StudyError, match="needs the Python package pg8000"):
        open_storage(address)
    missing = ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")
    assert driver_missing(address, missing).fix == "pip install 'histobench[postgresql]'"


def test_the_lock_of_a_database_is_everyones_and_its_own(server):
    address = server.address("empty")
    assert is_postgresql(address) and is_postgresql("postgresql+psycopg2://h/d") and not is_postgresql("sqlite:///x")
    context = multiprocessing.get_context("spawn")
    with DatabaseLock(address, "one") as lock, lock:
        other = context.Process(target=hold, args=(address, "one"))
        free = context.Process(target=hold, args=(address, "two"))
        other.start()
        free.start()
        free.join(60)
        assert free.exitcode == 0
        other.join(1)
        assert other.is_alive(), "the other process waits"
    other.join(60)
    assert other.exitcode == 0


def hold(address, name):
    with DatabaseLock(address, name):
        pass
