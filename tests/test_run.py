"""Whole runs against a real MLflow store: what is kept, what is skipped, what a failure leaves behind."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmark.config import RunRequest
from benchmark.errors import BenchError, ConfigError, DataError, PredictionError
from benchmark.method import Method, MethodCard, Params, Prediction
from benchmark.running import matrix
from benchmark.slides import ScoreMap
from benchmark.tracking.artifacts import whole_run
from benchmark.tracking.store import Tracker

SLIDES = 9


@pytest.fixture
def request_for(store, miniatures):
    """A request for a run on the shared miniature, in a fresh store."""

    def make(method="constant", **changes):
        return RunRequest(
            method=method,
            dataset=changes.pop("dataset", "glas"),
            data=str(miniatures["glas"]),
            store=store,
            device="cpu",
            preset="smoke",
            jobs=changes.pop("jobs", 0),
            **changes,
        )

    return make


def runs(store, experiment="glas-synthetic"):
    return Tracker(store).runs(experiment)


def folder_of(run):
    return Path(run.artifact_uri.removeprefix("file://"))


def test_a_run_keeps_everything(request_for, store):
    assert matrix.run_all(request_for()) == 0
    (run,) = runs(store)
    assert run.status == "FINISHED" and run.name == "constant smoke seed 0"
    assert run.tags["bench.method"] == "constant" and run.tags["bench.data_kind"] == "synthetic"
    assert run.params["value"] == "1.0" and run.params["dataset.target"] == "gland"
    assert 0 < run.metrics["pixel/miou"] < 1 and run.metrics["labels/mask_pixels"] == 0
    assert len(run.metrics) <= 60 and not [name for name in run.metrics if name.startswith("testA/")]
    whole = whole_run(Tracker(store), run).metrics
    assert whole.items() >= run.metrics.items() and whole["pixel/tpr"] == 1.0 and "testA/pixel/miou" in whole
    assert whole["pixel/miou.low"] <= whole["pixel/miou"] <= whole["pixel/miou.high"]
    artifacts = folder_of(run)
    names = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "metrics.json",
        "per_slide.table.json",
        "per_slide.csv",
        "labels.json",
        "stages.json",
    } <= names
    assert {"summary.html", "curves/roc.png", "model/model.pt"} <= names
    assert (
        len([name for name in names if name.startswith("scores/")]) == len([n for n in names if "overlays/" in n]) >= 2
    )
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert all(reason for reason in metrics["absent"].values())


def test_a_finished_run_is_not_repeated(request_for, store):
    matrix.run_all(request_for())
    matrix.run_all(request_for())
    assert len(runs(store)) == 1
    matrix.run_all(request_for(force=True))
    matrix.run_all(request_for(settings=("value=0",)))
    matrix.run_all(request_for(seeds=(1,)))
    assert len(runs(store)) == 4


def test_the_stored_config_repeats_the_run(request_for, store, tmp_path):
    matrix.run_all(request_for(settings=("value=0.25",)))
    (run,) = runs(store)
    stored = folder_of(run) / "config.yaml"
    assert yaml.safe_load(stored.read_text())["params"] == {"value": 0.25}
    assert matrix.run_all(RunRequest(config=stored, store=store, jobs=0)) == 0
    assert len(runs(store)) == 1, "the same identity, so nothing is computed again"


class Probe(Method):
    name = "probe"
    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Params
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def fit(self, train, validation, context):
        pass

    def predict(self, slide, labels, context):
        return Prediction(self.answer(slide, labels, context))

    def state(self):
        return {}

    def restore(self, state, context):
        pass


class Raises(Probe):
    def fit(self, train, validation, context):
        raise RuntimeError("out of luck")


class NotOne(Probe):
    def predict(self, slide, labels, context):
        return 0.5


class TooHigh(Probe):
    def answer(self, slide, labels, context):
        grid = context.geometry.evaluation_grid(slide)
        return ScoreMap(grid, np.full(grid.shape, 1.5, np.float32))


class WrongShape(Probe):
    def answer(self, slide, labels, context):
        return ScoreMap(context.geometry.evaluation_grid(slide), np.zeros((3, 3), np.float32))


class Cheats(Probe):
    def answer(self, slide, labels, context):
        labels.full(slide)


class Idle(Probe):
    @classmethod
    def not_applicable(cls, dataset):
        return "it is not in the mood"


@pytest.fixture
def registered(monkeypatch):
    """Let a class stand in for `constant`."""
    from benchmark.registry import methods

    real = methods().load

    def put(kind):
        monkeypatch.setattr(methods(), "load", lambda name: kind if name == "constant" else real(name))

    return put


@pytest.mark.parametrize(
    "kind, error, text",
    [
        (Raises, RuntimeError, "out of luck"),
        (NotOne, PredictionError, "returned float"),
        (TooHigh, PredictionError, "1.5"),
        (WrongShape, PredictionError, r"\(3, 3\)"),
        (Cheats, BenchError, "probe asked for full labels"),
    ],
)
def test_a_failing_method_is_failed_in_the_store(kind, error, text, request_for, store, registered):
    registered(kind)
    with pytest.raises(error, match=text):
        matrix.run_all(request_for())
    (run,) = runs(store)
    assert run.status == "FAILED" and text.strip("\\")[:5] in run.tags["bench.reason"].replace("\\", "")


def test_one_failure_does_not_stop_the_rest(request_for, store, registered, capsys):
    registered(Raises)
    assert matrix.run_all(request_for(seeds=(0, 1))) == 1
    assert [run.status for run in runs(store)] == ["FAILED", "FAILED"]
    registered(NotOne)
    assert matrix.run_all(request_for(seeds=(2, 3))) == 2
    assert capsys.readouterr().out.count("failed") >= 4


def test_not_applicable_is_said_with_its_reason(request_for, store, registered, capsys):
    registered(Idle)
    assert matrix.run_all(request_for()) == 0
    assert "not in the mood" in capsys.readouterr().out
    (kept,) = runs(store)
    assert kept.tags["bench.state"] == "not applicable" and "not in the mood" in kept.tags["bench.reason"]
    assert matrix.run_all(request_for()) == 0
    assert len(runs(store)) == 1, "what the store knows already is not stored again"


def test_missing_data_and_devices_are_refused(request_for, store, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        matrix.run_all(RunRequest(method="constant", dataset="glas", data=str(tmp_path / "nowhere"), store=store))
    with pytest.raises(ConfigError, match="cuda:7"):
        request = request_for()
        matrix.run_all(RunRequest(**{**request.__dict__, "device": "cuda:7"}))


def test_a_broken_slide_is_named_and_left_out_and_the_others_go_on(miniatures, tmp_path, store):
    root = tmp_path / "glas"
    shutil.copytree(miniatures["glas"], root)
    victim = sorted(root.glob("test*_anno.bmp"))[0]
    victim.write_bytes(victim.read_bytes()[:500])
    request = RunRequest(method="constant", dataset="glas", data=str(root), store=store, device="cpu", jobs=0)
    assert matrix.run_all(request) == 0
    (run,) = runs(store)
    expected = len(list(root.glob("test*_anno.bmp")))
    assert run.status == "FINISHED" and run.tags["bench.complete"] == "false"
    assert run.metrics["data/slides_expected"] == expected and run.metrics["data/slides_used"] == expected - 1
    assert run.metrics["data/completeness"] == pytest.approx(1 - 1 / expected)
    told = json.loads((folder_of(run) / "completeness.json").read_text())
    (name,) = told["missing"]
    assert name == victim.stem.removesuffix("_anno") and victim.name in told["missing"][name]
    assert name not in told["used"] and len(told["used"]) == expected - 1


def test_a_slide_that_nobody_can_learn_from_is_said(miniatures, tmp_path, store, capsys):
    root = tmp_path / "camelyon16"
    shutil.copytree(miniatures["camelyon16"], root)
    victim = sorted((root / "training" / "normal").glob("*.tif"))[0]
    victim.write_bytes(victim.read_bytes()[:3000])
    request = RunRequest(method="constant", dataset="camelyon16", data=str(root), store=store, device="cpu", jobs=0)
    assert matrix.run_all(request) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"(train|validation): \d+ of \d+ slides; left out: {victim.stem}: {victim.name}: \S", said), said
    page = (folder_of(runs(store, "camelyon16-synthetic")[0]) / "summary.html").read_text()
    assert re.search(rf"(train|validation) slides.*\d+ of \d+ slides; left out: {victim.stem}: ", page, re.DOTALL), page


def test_runs_on_other_slides_can_be_told_apart(miniatures, tmp_path, store):
    for victims in (0, 1):
        root = tmp_path / f"glas{victims}"
        shutil.copytree(miniatures["glas"], root)
        for victim in sorted(root.glob("test*_anno.bmp"))[:victims]:
            victim.write_bytes(victim.read_bytes()[:500])
        matrix.run_all(RunRequest(method="constant", dataset="glas", data=str(root), store=store, device="cpu", jobs=0))
    assert len({run.tags["bench.slides"] for run in runs(store)}) == 2


def test_when_every_slide_is_broken_the_run_fails_and_names_the_first(miniatures, tmp_path, store):
    root = tmp_path / "glas"
    shutil.copytree(miniatures["glas"], root)
    victims = sorted(root.glob("test*_anno.bmp"))
    for victim in victims:
        victim.write_bytes(victim.read_bytes()[:500])
    with pytest.raises(DataError, match=r"none of the \d+ test slides can be used.*_anno.bmp"):
        matrix.run_all(RunRequest(method="constant", dataset="glas", data=str(root), store=store, device="cpu", jobs=0))
    (run,) = runs(store)
    assert run.status == "FAILED"
