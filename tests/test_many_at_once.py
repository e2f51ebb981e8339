"""Fifty processes that start at once on an empty store: no error, and no run is done twice."""

import multiprocessing

import pytest
from postgresql_server import PostgresqlServer
from test_server import Server

from benchmark.tracking.mlflow_run import DatasetInput
from benchmark.tracking.store import Tracker


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path / 'new.db'}"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An `mlflow server` of one process over an empty SQLite file, set up as `docs/clusters.md` says."""
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "64")
    made = Server(tmp_path)
    yield made.address
    made.stop()


@pytest.fixture
def postgresql():
    for driver in ("psycopg", "psycopg2"):
        pytest.importorskip(driver, reason=f"the package {driver} is missing: pip install 'histobench[postgresql]'")
    made = PostgresqlServer()
    yield made.address("fifty")
    made.stop()


def contend(address, barrier, results):
    """What a run does at its start: connect, open, look for rivals; the first goes on, the others withdraw."""
    barrier.wait(300)
    try:
        tracker = Tracker(address)
        tracker.connect()
        live = tracker.start(
            experiment="glas",
            description="a dataset",
            name="run",
            params={"value": 1},
            tags={"bench.identity": "e" * 32},
            dataset=DatasetInput("glas", "/data", "digest", {"slides": 3}),
        )
        if tracker.rivals("glas", "e" * 32, live.id) or tracker.finished("glas", "e" * 32) is not None:
            live.abandon()
            tracker.withdraw(live.id)
            results.put("withdrew")
            return
        live.finish()
        results.put("did it")
    except BaseException as error:
        results.put(f"{type(error).__name__}: {error}")
        raise


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "server"])
def test_fifty_processes_that_start_at_once_on_an_empty_store(kind, request):
    address = request.getfixturevalue(kind)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.running.executors.preload", "test_many_at_once"])
    results, barrier = context.Queue(), context.Barrier(50)
    begun = [context.Process(target=contend, args=(address, barrier, results)) for _ in range(50)]
    for process in begun:
        process.start()
    said = sorted(results.get(timeout=400) for _ in begun)
    for process in begun:
        process.join(60)
    assert said == ["did it", *["withdrew"] * 49]
    assert [run.status for run in Tracker(address).runs("glas")] == ["FINISHED"]
