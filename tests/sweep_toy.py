"""A method whose metric depends on its parameters alone, and sweeps of it: here, or as a process of their own."""

import os
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from benchmark.config import RunRequest
from benchmark.running.executors.local import LOCAL
from benchmark.tuning import run_sweep as drive
from benchmark.tuning.request import SweepRequest
from benchmark.tuning.run_sweep import run_sweep
from benchmark.tuning.stored_study import stored_studies

TOY = '''
"""A method whose metric depends on its parameters alone."""
import os, time
from typing import Literal
import numpy as np
from benchmark.method import Method, MethodCard, Params, Prediction, param
from benchmark.slides import ScoreMap


class ToyParams(Params):
    share: float = param(0.2, "share of the columns that is positive", symbol="s", source="paper", ge=0.0, le=1.0)
    tall: int = param(2, "does nothing", source="paper", ge=1, le=8)
    mood: Literal["well", "raise", "hang"] = param("well", "how it goes", source="paper")
    scales: list[float] = param([1.0], "does nothing", source="paper")


class Toy(Method):
    """Positive on the left."""

    name = "toy"
    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = ToyParams
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def refits(self):
        return bool(self.params.tall == 2)

    def fit(self, train, validation, context):
        def slow():
            with open(os.environ["TOY_FILE"], "a") as file:
                file.write("slow\\n")
            return {"base": 1}

        def quick():
            for step in range(4):
                context.log("rounds/score", -abs(self.params.share - 0.5) * (step + 1), step)
                time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
            return {"seen": len(train), "held_out": len(validation)}

        context.stage("slow", slow)
        context.stage("quick", quick, uses=("share",), after=("slow",))
        if self.params.mood == "raise":
            raise RuntimeError("out of luck")
        while self.params.mood == "hang":
            time.sleep(1)
        context.log("seen", len(train))

    def predict(self, slide, labels, context):
        grid = context.geometry.evaluation_grid(slide)
        scores = np.zeros(grid.shape, np.float32)
        scores[:, : round(self.params.share * grid.shape[1])] = 1
        return Prediction(ScoreMap(grid, scores))

    def state(self):
        return {}

    def restore(self, state, context):
        pass
'''

FILE = {
    "method": "toy",
    "dataset": "glas",
    "preset": "paper",
    "objective": {"metric": "pixel/accuracy", "direction": "maximize"},
    "space": {"share": {"type": "float", "low": 0.0, "high": 1.0}, "tall": {"type": "int", "low": 1, "high": 8}},
    "sampler": {"kind": "tpe", "seed": 0, "startup": 3},
    "trials": 4,
}


@pytest.fixture
def toy(distribution, tmp_path, monkeypatch, store, miniatures):
    """A sweep of the toy: `toy(changes…, **request)` runs it and gives the exit code."""
    distribution("bench-toy", modules={"bench_toy": TOY}, methods={"toy": "bench_toy:Toy"})
    monkeypatch.setenv("TOY_FILE", str(tmp_path / "toy.txt"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    request = RunRequest(data=str(miniatures["glas"]), store=store, cache=tmp_path / "cache")

    def run(changes=None, *, name="sweep", run=None, page=False, engine=LOCAL, **asked):
        if not page:  # drawing takes most of the time of a small study
            monkeypatch.setattr(drive, "write_study", lambda *_: None)
        path = write(tmp_path / f"{name}.yaml", changes or {})
        asked.setdefault("test", False)
        return run_sweep(SweepRequest(str(path), replace(request, **(run or {})), **asked), engine)

    return run


def write(path, changes):
    content = {**FILE, **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return path


def begun(path, miniatures, store, *more, seconds=None, errors=None):
    """The same sweep as a process of its own, in the folder of its file; a trial takes so many seconds."""
    script, folder = Path(sysconfig.get_path("scripts")) / "bench", path.parent
    command = [str(script), "sweep", str(path), "--data", str(miniatures["glas"]), "--store", store, "--no-test"]
    command += ["--cache", str(folder / "cache"), *more]
    environment = {**os.environ, "PYTHONPATH": str(folder / "site-bench-toy")}
    if seconds is not None:
        environment["TOY_SLEEP"] = str(seconds)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder)


def stored(name="sweep-glas-synthetic-paper", storage="sqlite:///studies.db"):
    return stored_studies(storage, name)[0]
