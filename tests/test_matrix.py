"""A matrix whose methods misbehave: each is told apart, stored with its reason, and harms nobody else."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmark.config import RunRequest
from benchmark.errors import BenchError, ConfigError
from benchmark.registry import Registry
from benchmark.running import matrix
from benchmark.running.executors import local
from benchmark.running.limits import read_bytes, read_seconds
from benchmark.tracking.store import Tracker

BAD = '''
"""Methods that go wrong, each in its own way."""
import os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
from benchmark.method import Method, MethodCard, Params, Prediction
from benchmark.slides import ScoreMap


class Good(Method):
    """Half everywhere."""

    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Params
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def fit(self, train, validation, context):
        pass

    def predict(self, slide, labels, context):
        grid = context.geometry.evaluation_grid(slide)
        return Prediction(ScoreMap(grid, self.scores(grid)))

    def scores(self, grid):
        return np.full(grid.shape, 0.5, np.float32)

    def state(self):
        return {}

    def restore(self, state, context):
        pass


class Raises(Good):
    def fit(self, train, validation, context):
        raise RuntimeError("out of luck")


class Hangs(Good):
    def fit(self, train, validation, context):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open(os.environ["CHILD_FILE"], "w").write(str(child.pid))
        while True:
            time.sleep(1)


class Eats(Good):
    def fit(self, train, validation, context):
        held = []
        while True:
            held.append(np.ones(4_000_000))
            time.sleep(0.02)


class Gaps(Good):
    def scores(self, grid):
        return np.full(grid.shape, np.nan, np.float32)


class Shapes(Good):
    def scores(self, grid):
        return np.zeros((3, 3), np.float32)


class Outside(Good):
    def scores(self, grid):
        return np.full(grid.shape, 1.5, np.float32)


class Dies(Good):
    def fit(self, train, validation, context):
        os.kill(os.getpid(), signal.SIGKILL)


class Leaves(Good):
    def fit(self, train, validation, context):
        os._exit(3)


class Idle(Good):
    @classmethod
    def not_applicable(cls, dataset):
        return "it is not in the mood"


class Doubts(Good):
    @classmethod
    def not_applicable(cls, dataset):
        raise ValueError("it cannot tell")


class Holes(Good):
    def predict(self, slide, labels, context):
        units = np.full(context.geometry.unit_grid(slide).shape, np.nan, np.float32)
        return Prediction(super().predict(slide, labels, context).scores, units=units)


class Full(Good):
    def fit(self, train, validation, context):
        raise OSError(28, "No space left on device", "/somewhere")


class Slow(Good):
    """Says when it is at work and waits to be let go."""

    def fit(self, train, validation, context):
        open(os.environ["SLOW_FILE"], "a").write(f"{os.getpid()}\\n")
        time.sleep(float(os.environ.get("SLOW_SECONDS", "2")))


class Unmade(Good):
    def __init__(self, params):
        raise ValueError("cannot be made")


class Unsure(Good):
    """Made while runs are planned, and not where they are done."""

    def __init__(self, params):
        if os.getpid() != int(os.environ.get("PLANNER", os.getpid())):
            raise ValueError("not in a process of its own")
        super().__init__(params)


class PicksParams(Params):
    weights: Path | None = None


class Picks(Good):
    Params = PicksParams
'''

NAMES = re.findall(r"^class (\w+)\((?:Method|Good)\)", BAD, re.MULTILINE)
KINDS = {name.lower(): f"bad_methods:{name}" for name in NAMES}


@pytest.fixture
def site(distribution, tmp_path, monkeypatch):
    """Installs the methods that go wrong."""
    monkeypatch.setattr(local, "GRACE", 2.0)
    monkeypatch.setenv("CHILD_FILE", str(tmp_path / "child"))
    monkeypatch.setenv("SLOW_FILE", str(tmp_path / "slow"))
    return distribution("bad", modules={"bad_methods": BAD}, methods=KINDS)


@pytest.fixture
def asked(site, store, miniatures):
    def make(method, **changes):
        usual = {"dataset": "glas", "data": str(miniatures["glas"]), "store": store, "device": "cpu"}
        return RunRequest(method=method, preset="smoke", **{**usual, **changes})

    return make


def states(store, experiment="glas-synthetic"):
    return {run.tags["bench.method"]: run.tags.get("bench.state") for run in Tracker(store).runs(experiment)}


def reasons(store, experiment="glas-synthetic"):
    return {run.tags["bench.method"]: run.tags.get("bench.reason", "") for run in Tracker(store).runs(experiment)}


def test_every_way_to_go_wrong_is_told_apart_and_the_rest_goes_on(asked, store, capsys, tmp_path):
    wrong = "raises,hangs,eats,gaps,shapes,outside,dies,leaves,idle,doubts,holes,good"
    code = matrix.run_all(asked(wrong, jobs=2, timeout="15s", memory="1.5GB"))
    assert code == 1, "an error that nobody foresaw is among them"
    assert states(store) == {
        "raises": "failed",
        "hangs": "timed out",
        "eats": "out of memory",
        "gaps": "failed",
        "shapes": "failed",
        "outside": "failed",
        "dies": "failed",
        "leaves": "failed",
        "idle": "not applicable",
        "holes": "failed",
        "good": "ok",
    }
    why = reasons(store)
    assert "out of luck" in why["raises"] and "15 s" in why["hangs"] and "--memory" in why["eats"]
    assert "(3, 3)" in why["shapes"] and "1.5" in why["outside"] and "SIGKILL" in why["dies"]
    assert "all are NaN" in why["gaps"] and "exit code 3" in why["leaves"] and "mood" in why["idle"]
    assert "though cells there are scored" in why["holes"]
    assert not [run for run in Tracker(store).runs("glas-synthetic") if run.status == "RUNNING"]
    said = capsys.readouterr().out
    assert "doubts on glas: ValueError: it cannot tell" in said, "what fails before it begins is no run of the store"
    assert "--method raises" in said and "--method hangs" in said and "--method good" not in said
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_only_the_failed_ones_run_again(asked, store, capsys):
    assert matrix.run_all(asked("good,dies")) == 2
    assert matrix.run_all(asked("good,dies")) == 2
    assert "1 to do, 1 finished" in capsys.readouterr().out.replace("1 finished, 1 to do", "1 to do, 1 finished")
    assert sorted(run.tags["bench.state"] for run in Tracker(store).runs("glas-synthetic")) == [
        "failed",
        "failed",
        "ok",
    ]


def test_a_single_run_in_its_own_process_raises_its_error(asked, store):
    with pytest.raises(RuntimeError, match="out of luck"):
        matrix.run_all(asked("raises"))
    with pytest.raises(BenchError, match="SIGKILL"):
        matrix.run_all(asked("dies"))
    with pytest.raises(BenchError, match="stopped after 3 s"):
        matrix.run_all(asked("hangs", timeout="3s"))


def test_a_method_that_cannot_be_made_or_imported_fails_alone(asked, store, distribution, capsys, monkeypatch):
    assert matrix.run_all(asked("unmade,constant")) == 1
    assert states(store)["constant"] == "ok" and reasons(store, "glas")["unmade"] == "ValueError: cannot be made"
    distribution("gone", methods={"gone": "nowhere:Gone"})
    monkeypatch.setattr(Registry, "names", lambda self: ["constant", "gone"] if self.kind == "method" else ["glas"])
    assert matrix.run_all(asked("all", dry_run=True)) == 0
    said = capsys.readouterr().out
    assert "left out: the method 'gone'" in said and "1 run: 1 finished" in said


def test_a_file_that_cannot_be_read_fails_its_run_alone(asked, store, monkeypatch, tmp_path, capsys):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "weights.pth"
    file.touch()
    monkeypatch.setattr(hashlib, "file_digest", refuse)
    assert matrix.run_all(asked(f"picks:weights={file},constant", dry_run=True)) == 2
    said = capsys.readouterr().out
    assert "weights.pth:Permissiondenied" in "".join(said.split()) and "1 to do" in said


def test_a_run_that_is_finished_under_another_preset_is_said_to_be(asked, capsys):
    assert matrix.run_all(asked("constant")) == 0
    assert matrix.run_all(replace(asked("constant"), preset="paper", dry_run=True)) == 0
    assert "finished as preset smoke; --force stores it as paper too" in capsys.readouterr().out
    assert matrix.run_all(asked("constant", dry_run=True)) == 0
    assert "as preset" not in capsys.readouterr().out


def test_what_fails_before_its_run_is_opened_is_stored(asked, store, monkeypatch):
    monkeypatch.setenv("PLANNER", str(os.getpid()))
    with pytest.raises(ValueError, match="not in a process of its own"):
        matrix.run_all(asked("unsure"))
    assert reasons(store)["unsure"] == "ValueError: not in a process of its own"


def test_a_dry_run_shows_the_plan_and_does_nothing(asked, store, capsys):
    assert matrix.run_all(asked("good,idle,raises", seeds=(0, 1), dry_run=True)) == 0
    said = capsys.readouterr().out
    assert "6 runs: " in said and "4 to do" in said and "2 n/a" in said and "not in the mood" in said
    assert Tracker(store).runs("glas-synthetic") == []


def test_datasets_that_are_not_here_are_skipped_for_all_and_fail_by_name(asked, store, monkeypatch, tmp_path, capsys):
    glas = tmp_path / "data" / "glas"
    glas.parent.mkdir()
    glas.symlink_to(asked("good").data)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    assert matrix.run_all(asked("good", dataset="all", data=None)) == 0
    assert "skipped" in capsys.readouterr().out
    assert states(store, "paip2019") == {"good": "skipped"}
    assert matrix.run_all(asked("good", dataset="glas,paip2019", data=None, dry_run=True)) == 2
    assert matrix.run_all(asked("good", dataset="glas,paip2019", data=None)) == 2
    assert "failed" in {run.tags["bench.state"] for run in Tracker(store).runs("paip2019")}


def test_a_full_disk_ends_the_matrix_and_says_so(asked, store, capsys):
    assert matrix.run_all(asked("good,full,raises")) == 2
    said = capsys.readouterr().out
    assert "stopped early: no space left" in said and "/somewhere" in said
    assert states(store) == {"good": "ok", "full": "failed"}, "what comes after the full disk was not begun"


def test_a_grid_runs_each_value_once(asked, store):
    assert matrix.run_all(asked("constant,good", settings=("value=0,0.5,1",), jobs=2)) == 0
    found = [
        (run.tags["bench.method"], run.tags.get("bench.variant", "")) for run in Tracker(store).runs("glas-synthetic")
    ]
    assert sorted(found) == [("constant", ""), ("constant", "value=0.0"), ("constant", "value=0.5"), ("good", "")]


def begin(asked, tmp_path, name, *words, **extra):
    """The command line as a process of its own."""
    request = asked("good")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site-bad"), "BENCH_CACHE": str(tmp_path / name), **extra}
    command = [
        sys.executable,
        "-m",
        "benchmark",
        "run",
        "--dataset",
        "glas",
        "--data",
        request.data,
        "--preset",
        "smoke",
    ]
    return subprocess.Popen(
        [*command, "--store", request.store, "--device", "cpu", *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(path, lines=1):
    deadline = time.monotonic() + 120
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)
    return path.read_text().splitlines()


@pytest.mark.parametrize("caches", [("one", "one"), ("one", "two")])
def test_two_matrices_on_one_store_do_nothing_twice(caches, asked, store, tmp_path):
    words = ("--method", "slow", "--seeds", "0,1")
    both = [begin(asked, tmp_path, cache, *words) for cache in caches]
    outputs = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    finished = Tracker(store).runs("glas-synthetic")
    assert sorted(run.tags["bench.seed"] for run in finished) == ["0", "1"], outputs
    assert len((tmp_path / "slow").read_text().splitlines()) == 2, "nothing was computed twice"


def test_a_process_killed_in_the_middle_harms_nobody_else(asked, store, tmp_path):
    process = begin(asked, tmp_path, "c", "--method", "slow,good", SLOW_SECONDS="60")
    (pid,) = wait_for(tmp_path / "slow")
    os.kill(int(pid), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "SIGKILL" in output, output
    assert states(store) == {"slow": "failed", "good": "ok"}


def test_a_folder_of_the_same_name_where_the_command_is_typed_is_not_imported(asked, store, tmp_path):
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "__init__.py").write_text("raise RuntimeError('not the installed one')")
    (tmp_path / "torch.py").write_text("raise RuntimeError('not the installed one')")
    command = Path(sysconfig.get_path("scripts")) / "bench"
    words = ["run", "--method", "constant", "--dataset", "glas", "--data", asked("good").data, "--preset", "smoke"]
    words += ["--store", store, "--device", "cpu"]
    done = subprocess.run([command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(store) == {"constant": "ok"}


def test_ctrl_c_stops_all_jobs_and_the_same_command_goes_on(asked, store, tmp_path):
    words = ("--method", "slow", "--seeds", "0,1,2", "--jobs", "2")
    process = begin(asked, tmp_path, "c", *words, SLOW_SECONDS="60")
    pids = wait_for(tmp_path / "slow", 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in output, output
    assert "not started: interrupted" in output, output
    assert not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert {run.status for run in Tracker(store).runs("glas-synthetic")} == {"KILLED"}
    process = begin(asked, tmp_path, "c", *words, SLOW_SECONDS="0")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "3 ok" in output, output


def test_jobs_die_with_a_matrix_that_is_killed(asked, store, tmp_path):
    process = begin(asked, tmp_path, "c", "--method", "slow", SLOW_SECONDS="60")
    (pid,) = wait_for(tmp_path / "slow")
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(int(pid))
    assert {run.tags["bench.state"] for run in Tracker(store).runs("glas-synthetic")} == {"interrupted"}


def test_limits_are_read_and_nonsense_is_refused():
    assert (read_seconds("90"), read_seconds("15m"), read_seconds("2h"), read_seconds("1.5 min")) == (90, 900, 7200, 90)
    assert (read_bytes("8GB"), read_bytes("500 MiB"), read_bytes("2g")) == (8 * 10**9, 500 * 2**20, 2 * 2**30)
    for text in ("soon", "-3s", "0", "3 weeks"):
        with pytest.raises(ConfigError, match="--timeout"):
            read_seconds(text)
    for text in ("lots", "8", "0GB", "-1GB"):
        with pytest.raises(ConfigError, match="--memory"):
            read_bytes(text)
