"""The command line in processes of its own: same numbers twice, killed and resumed, interrupted, plugged in."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from benchmark.tracking.store import Tracker

METRICS = ("pixel/miou", "pixel/dice", "object/f1", "image/auc", "train/pseudo_mask_miou")


def listen_to_ctrl_c():
    """A process started in the background of a script ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def command(store, miniatures, tmp_path):
    """Starts `bench` in a folder, with a cache and a store of its own."""

    def start(*words, name="one", wait=True, **extra):
        env = {**os.environ, "BENCH_CACHE": str(tmp_path / name), "MLFLOW_TRACKING_URI": store, **extra}
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark", *words],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=listen_to_ctrl_c,
        )
        if not wait:
            return process
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    return start


@pytest.fixture
def training(miniatures):
    """A run whose first stage is long enough to be caught in the middle: it keeps a checkpoint every two steps."""
    words = ("run", "--method", "oeem", "--dataset", "glas", "--preset", "smoke", "--set", "cls_epochs=24")
    return (*words, "--data", str(miniatures["glas"]))


def stored(store, status=None):
    found = Tracker(store).runs("glas-synthetic")
    return [run for run in found if status in (None, run.status)]


def interrupt(process, cache, how):
    """Wait until a stage has left a checkpoint since this process began, then send the signal."""
    began = psutil.Process(process.pid).create_time()
    deadline = time.monotonic() + 240
    while not [file for file in cache.glob("stages/*/*/checkpoint.pt") if file.stat().st_mtime > began]:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.02)
    process.send_signal(how)
    return process.communicate(timeout=60)[0]


def test_same_numbers_in_another_process_after_ctrl_c_and_a_kill(command, training, store, tmp_path):
    resumed = "resumed from its checkpoint"
    process = command(*training, name="stopped", wait=False)
    output = interrupt(process, tmp_path / "stopped", signal.SIGINT)
    assert process.returncode == 130 and "Traceback" not in output, output
    (run,) = stored(store)
    assert run.status == "KILLED"

    process = command(*training, "--jobs", "0", name="stopped", wait=False)
    output = interrupt(process, tmp_path / "stopped", signal.SIGKILL)
    assert resumed in output, "the same command goes on after Ctrl-C"
    assert len(stored(store, "RUNNING")) == 1
    code, output = command(*training, name="stopped")
    assert code == 0 and resumed in output, output
    assert not stored(store, "RUNNING") and len(stored(store, "KILLED")) == 2

    for name in ("undisturbed", "again"):
        code, output = command(*training, "--force", name=name)
        assert code == 0 and resumed not in output, output
    finished = stored(store, "FINISHED")
    assert len(finished) == 3
    for name in METRICS:
        assert {run.metrics[name] for run in finished} == {finished[0].metrics[name]}, name


def test_mistakes_end_with_one_message_and_code_2(command, tmp_path):
    code, output = command("run", "--method", "oem", "--dataset", "glas", "--data", "synthetic")
    assert code == 2 and "oeem" in output and "Traceback" not in output
    code, output = command("run", "--method", "constant", "--dataset", "glas", "--data", str(tmp_path / "none"))
    assert code == 2 and "none" in output and "Traceback" not in output


def test_an_unreachable_server_is_said_quickly(command, miniatures):
    words = ("run", "--method", "constant", "--dataset", "glas", "--data", str(miniatures["glas"]))
    began = time.monotonic()
    code, output = command(*words, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert code == 2 and "127.0.0.1:9" in output and "Traceback" not in output, output
    assert time.monotonic() - began < 90


def test_a_cache_that_cannot_be_written_is_said(command, miniatures, tmp_path):
    (tmp_path / "file").write_text("in the way")
    words = ("run", "--method", "constant", "--dataset", "glas", "--data", str(miniatures["glas"]))
    code, output = command(*words, BENCH_CACHE=str(tmp_path / "file" / "cache"))
    assert code == 2 and str(tmp_path / "file") in output.replace("\n", "") and "Traceback" not in output, output


PLUGIN = '''
"""A method from elsewhere."""
import numpy as np
from benchmark.method import Method, MethodCard, Params, Prediction, param
from benchmark.slides import Grid, ScoreMap
from benchmark.supervision import Supervision


class DarkParams(Params):
    cell: int = param(16, "side of a cell", unit="px", ge=1)


class Dark(Method):
    """Darker tissue is more likely a gland; the cut comes from the patch labels."""

    name = "dark"
    supervision = frozenset({Supervision.PATCH})
    card = MethodCard("Dark tissue", "nobody 2026", "none")
    Params = DarkParams
    presets = {"paper": {}, "quick": {}, "smoke": {"cell": 32}}

    def fit(self, train, validation, context):
        for slide in train:
            train.labels.patch(slide, context.geometry.patch_grid(slide))

    def predict(self, slide, labels, context):
        width, height = slide.size
        grid = Grid.windows(slide.size, self.params.cell, self.params.cell)
        image = slide.read(0, 0, width, height).mean(axis=2) / 255
        dark = [[1 - image[y:y + grid.height, x:x + grid.width].mean() for x in grid.x] for y in grid.y]
        return Prediction(ScoreMap(grid, np.array(dark, np.float32)))

    def state(self):
        return {}

    def restore(self, state, context):
        pass
'''


HOSTILE = '''
"""A method that does what no method should."""
import ctypes
import os
import sys

import numpy as np

from benchmark.method import Method, MethodCard, Params, Prediction, param
from benchmark.slides import ScoreMap


class NoTextError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class HostileParams(Params):
    how: str = param("kindly", "how it ends")


class Hostile(Method[HostileParams]):
    """Does what no method should."""

    name = "hostile"
    supervision = frozenset()
    card = MethodCard("Hostile", "nobody 2026", "none")
    Params = HostileParams
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def fit(self, train, validation, context):
        match self.params.how:
            case "textless":
                raise NoTextError
            case "generator":
                raise GeneratorExit
            case "exit":
                sys.exit(0)
            case "gone":
                os._exit(7)
            case "crash":
                ctypes.string_at(0)
            case "mute":
                sys.stdout.close()
                os.close(1)

    def predict(self, slide, labels, context):
        grid = context.geometry.evaluation_grid(slide)
        return Prediction(ScoreMap(grid, np.full(grid.shape, 0.5, np.float32)))

    def state(self):
        return {}

    def restore(self, state, context):
        pass
'''

ENDS = {
    "textless": ("FAILED", "NoTextError: (its text cannot be shown: RuntimeError)"),
    "generator": ("FAILED", "GeneratorExit: without a message"),
    "exit": ("FAILED", "SystemExit: 0"),
    "gone": ("FAILED", "its process exited without reporting (exit code 7)"),
    "crash": ("FAILED", "its process crashed: SIGSEGV in its own code or a library that it uses"),
    "mute": ("FINISHED", ""),
    "kindly": ("FINISHED", ""),
}


@pytest.fixture
def installed(tmp_path):
    """Installs a distribution with one method; the PYTHONPATH that finds it."""

    def install(name, source, target):
        site = tmp_path / f"site-{name}"
        (site / f"{name}-0.1.dist-info").mkdir(parents=True)
        (site / f"{name}_method.py").write_text(source)
        (site / f"{name}-0.1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        points = f"[bench.methods]\n{name} = {name}_method:{target}\n"
        (site / f"{name}-0.1.dist-info" / "entry_points.txt").write_text(points)
        return f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"

    return install


def test_whatever_a_plug_in_does_its_run_ends_with_the_reason_and_the_others_go_on(
    command, installed, miniatures, store
):
    path = installed("hostile", HOSTILE, "Hostile")
    words = ("run", "--method", "hostile", "--dataset", "glas", "--data", str(miniatures["glas"]), "--preset", "smoke")
    code, output = command(*words, "--set", f"how={','.join(ENDS)}", "--jobs", "2", PYTHONPATH=path)
    assert code == 1 and "Traceback" not in output, output
    runs = {run.params["how"]: (run.status, run.tag("reason") or "") for run in stored(store)}
    assert runs == ENDS, output
    assert len({run.tag("pid") for run in stored(store)}) == len(ENDS), "a process each"


def test_a_third_party_method_is_listed_and_runs(command, installed, miniatures):
    path = installed("dark", PLUGIN, "Dark")
    code, output = command("list", PYTHONPATH=path)
    assert code == 0 and "Dark tissue" in output, output
    words = ("run", "--method", "dark", "--dataset", "glas", "--data", str(miniatures["glas"]))
    code, output = command(*words, PYTHONPATH=path)
    assert code == 0 and "ok" in output, output
