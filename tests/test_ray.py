"""Runs on a Ray cluster of this machine: a head and two nodes, one of which is lost while it works."""

import os
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmark.config import RunRequest
from benchmark.errors import ConfigError, EngineError
from benchmark.running import matrix
from benchmark.running.executors.engine_file import read_engine
from benchmark.running.executors.executor import no_curve
from benchmark.running.executors.ray_engine import RayEngine, RayOptions
from benchmark.running.executors.sample_works import make_task
from benchmark.running.limits import Limits
from benchmark.testing import EngineContract
from benchmark.tracking.store import Tracker

ray = pytest.importorskip("ray", reason="the package ray is missing: pip install 'histobench[ray]'")
ROOMY = Limits(None, 64 * 2**30)


@pytest.fixture(scope="module")
def cluster():
    """A head without cores and two nodes with one each, all on the loopback."""
    from ray.cluster_utils import Cluster

    # Ray gives its workers what other processes leave, which on a busy machine is nothing.
    os.environ.update({"RAY_worker_niceness": "0"})
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def on_ray(cluster):
    """The engine on that cluster."""
    engine = RayEngine(RayOptions(address=cluster.address, workers=2, check=False))
    engine.require()
    return engine


class TestRay(EngineContract):
    @pytest.fixture
    def engine(self, on_ray):
        return on_ray


def test_a_lost_node_costs_nothing_its_runs_start_elsewhere(on_ray, cluster, tmp_path):
    said = []
    with on_ray.executor(1, ROOMY, lambda _, line: said.append(line), no_curve) as executor:
        executor.start(0, make_task("never_end", tmp_path))
        over = []
        lost = False
        deadline = time.monotonic() + 300
        while executor.busy:
            assert time.monotonic() < deadline, said
            over += executor.ended()
            if not lost and (tmp_path / "began").exists() and (tmp_path / "began").read_text():
                lost = True
                above = {process.pid for process in psutil.Process(int((tmp_path / "began").read_text())).parents()}
                (node,) = [node for node in cluster.worker_nodes if raylet_of(node) in above]
                cluster.remove_node(node, allow_graceful=False)
    (ended,) = over
    assert (ended.outcome.state, ended.outcome.reason) == ("ok", "resumed"), ended
    assert [line for line in said if "its node was lost" in line], said
    gone = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 30
    while psutil.pid_exists(gone) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not psutil.pid_exists(gone), "what a lost node had started is ended too"
    cluster.add_node(num_cpus=1)


def test_a_board_that_is_started_again_costs_no_run(on_ray, tmp_path):
    import ray

    said = []
    with on_ray.executor(1, ROOMY, lambda _, line: said.append(line), no_curve) as executor:
        executor.start(0, make_task("go_well", tmp_path, seconds=4))
        over, killed = [], False
        deadline = time.monotonic() + 300
        while executor.busy:
            assert time.monotonic() < deadline, said
            over += executor.ended()
            if said and not killed:
                killed = True
                ray.kill(executor._board, no_restart=False)
    assert killed and [ended.outcome.state for ended in over] == ["ok"], over


def raylet_of(node):
    ((raylet,),) = [found for kind, found in node.all_processes.items() if kind == "raylet"]
    return raylet.process.pid


def test_a_matrix_checks_a_node_and_does_its_runs(on_ray, miniatures, store, capsys):
    engine = RayEngine(on_ray.options.model_copy(update={"check": True}))
    asked = RunRequest(method="constant,coarse", dataset="glas", data=str(miniatures["glas"]), store=store)
    assert matrix.run_all(replace(asked, device="cpu", preset="smoke", jobs=2), engine) == 0
    said = capsys.readouterr().out
    assert "checking a node" in said and "2 at a time on ray" in said and "2 ok" in said
    runs = Tracker(store).runs("glas-synthetic")
    assert {run.status for run in runs} == {"FINISHED"}
    assert all(run.tag("job").startswith("ray:") for run in runs) and len({run.tag("job") for run in runs}) == 2


def test_what_no_node_has_is_told_instead_of_waited_for(cluster):
    with pytest.raises(EngineError, match=r"no node.*GPU: 0\.5 of at most 0"):
        RayEngine(RayOptions(address=cluster.address, resources={"CPU": 1, "GPU": 0.5})).require()


def test_an_address_that_does_not_answer_is_told_at_once(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "no such host:3"):
        with pytest.raises(EngineError, match="does not answer"):
            RayEngine(RayOptions(address=address)).require()
    assert time.monotonic() - began < 20


def test_a_cluster_of_another_version_is_told(monkeypatch):
    def other(*words, **named):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 1.0\n    Python: 3.8")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", other)
    with pytest.raises(EngineError, match="Version mismatch.*Ray: 1.0") as refused:
        RayEngine(RayOptions(address="auto")).require()
    assert "pip install ray" in refused.value.fix


def test_a_missing_package_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EngineError, match="needs the Python package ray") as refused:
        RayEngine().require()
    assert refused.value.fix == "pip install 'histobench[ray]'"


@pytest.mark.parametrize(
    ("line", "told"),
    [("adress: auto", "'address'"), ("resources: {CPU: 0}", "more than 0"), ("resources: {GPU: 1.5}", "fraction")],
)
def test_mistakes_in_its_file_are_told_with_their_line(line, told, tmp_path):
    Path("on.yml").write_text(f"engine: ray\n{line}\n")
    with pytest.raises(ConfigError, match=f"line 2.*{told}"):
        read_engine(Path("on.yml"))
