"""`bench predict` and the pyfunc model of a run: the same scores as in the run, resumed, abreast, through MLflow."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from own_slide_files import write_slide

import benchmark
from benchmark import storage
from benchmark.annotations import read_annotation
from benchmark.applying import pyfunc_loader
from benchmark.applying.annotation_files import SUFFIXES, Format
from benchmark.applying.given_slides import Given, given_slides
from benchmark.applying.model_card import CARD, CONFIG, WEIGHTS, ModelCard
from benchmark.applying.predict_slides import MARK, PredictRequest, predict_slides
from benchmark.applying.stored_model import StoredModel
from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.context import SilentReporter
from benchmark.errors import ConfigError, DataError, RegistryError
from benchmark.own_slides import stored_model
from benchmark.running.matrix import run_all
from benchmark.slides import Grid, ScoreMap, Slide, write_pyramid
from benchmark.stored import score_maps, unit_table
from benchmark.tracking.artifacts import StoreArtifacts, whole_run
from benchmark.tracking.store import DatasetInput, Tracker


class Ran:
    """A run in a store of its own, and the test slides of its miniature."""

    def __init__(self, folder: Path) -> None:
        self.store, self.cache = f"sqlite:///{folder / 'mlflow.db'}", folder / "cache"
        request = RunRequest(
            method="topk-mil",
            dataset="camelyon16",
            preset="smoke",
            data="synthetic",
            synthetic_slides=9,
            store=self.store,
            cache=self.cache,
            jobs=0,
        )
        assert run_all(request) == 0
        self.tracker = Tracker(self.store)
        [self.run] = self.tracker.runs("camelyon16-synthetic")
        self.slides = sorted((self.cache / "synthetic").glob("camelyon16-9-*/testing/images/*.tif"))
        with StoreArtifacts(self.tracker) as artifacts:
            self.model = artifacts.fetch(self.run, "model")[0].parent

    def predict(self, slides, out, **given):
        return benchmark.predict(slides, out, run=self.run.id[:8], store=self.store, cache=self.cache, **given)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return Ran(tmp_path_factory.mktemp("ran"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_model_says_of_a_slide_what_it_said_in_its_run(ran: Ran, tmp_path: Path) -> None:
    done = ran.predict(ran.slides, tmp_path / "out")
    with StoreArtifacts(ran.tracker) as artifacts:
        units, maps = unit_table(artifacts, ran.run), score_maps(artifacts, ran.run)
        wanted = dict(zip(units["slide"], units["score"], strict=True))
        stored = {name: ScoreMap.load(both.scores) for name, both in maps.items()}
    assert {row["slide"]: row["score"] for row in done.rows} == pytest.approx(wanted, abs=1e-6)
    model = benchmark.load_run(ran.run.id, store=ran.store)
    predicted = model.predictor.predict(Given("test_016", next(p for p in ran.slides if p.stem == "test_016")))
    assert predicted.scores.grid.digest == stored["test_016"].grid.digest
    np.testing.assert_allclose(predicted.scores.values, stored["test_016"].values, atol=2e-5)


def test_the_threshold_is_the_validation_slides_and_says_what_it_is_worth(ran: Ran, tmp_path: Path, capsys) -> None:
    card = ModelCard.load(ran.model / CARD)
    assert card.threshold.value == pytest.approx(whole_run(ran.tracker, ran.run).metrics["image/threshold_at_val"])
    words = ["predict", str(ran.slides[0]), "--best", "camelyon16", "--out", "out", "--store", ran.store]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--cache", str(ran.cache)])
    told = capsys.readouterr().out
    assert not ended.value.code, told
    assert "the lowest score of a positive validation unit" in told and "on the run's test units: sensitivity" in told
    table = pd.read_csv("out/predictions.csv")
    assert (table["positive"] == (table["score"] >= card.threshold.value)).all()


def test_what_was_stopped_goes_on_and_ends_with_the_same_files(ran: Ran, tmp_path: Path, monkeypatch) -> None:
    whole = ran.predict(ran.slides, tmp_path / "whole")
    from benchmark.applying import predict_slides as predict

    scored = predict._scored
    count = iter(range(9))

    def stopped(*given):
        if next(count) == 1:
            raise KeyboardInterrupt
        return scored(*given)

    monkeypatch.setattr(predict, "_scored", stopped)
    with pytest.raises(KeyboardInterrupt):
        ran.predict(ran.slides, tmp_path / "parts")
    monkeypatch.setattr(predict, "_scored", scored)
    done = ran.predict(ran.slides, tmp_path / "parts")
    assert done.before == 1 and done.rows == whole.rows
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_slides_abreast_give_the_same_files(ran: Ran, tmp_path: Path) -> None:
    ran.predict(ran.slides, tmp_path / "one")
    ran.predict(ran.slides, tmp_path / "two", jobs=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_mlflow_loads_it_registers_it_and_gives_the_same(ran: Ran, tmp_path: Path, monkeypatch) -> None:
    import mlflow

    table = pd.DataFrame(ran.predict(ran.slides, tmp_path / "out").rows)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ran.store)
    mlflow.set_tracking_uri(ran.store)
    mlflow.set_registry_uri(ran.store)
    monkeypatch.setenv("BENCH_CACHE", str(ran.cache))
    client = mlflow.MlflowClient()
    run = client.get_run(ran.run.id)
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    auc = next(metric for metric in logged.metrics if metric.key == "image/auc")
    assert logged.status == "READY" and auc.value == run.data.metrics["image/auc"]
    [data] = run.inputs.dataset_inputs
    assert (auc.dataset_name, auc.dataset_digest) == (data.dataset.name, data.dataset.digest)
    version = mlflow.register_model(f"runs:/{ran.run.id}/model", "lesions")
    client.set_registered_model_alias("lesions", "champion", version.version)
    slides = pd.DataFrame({"slide": [str(path) for path in ran.slides]})
    for address in (f"runs:/{ran.run.id}/model", f"models:/{output.model_id}", "models:/lesions@champion"):
        model = mlflow.pyfunc.load_model(address)
        assert model.metadata.signature.inputs.input_names() == ["slide", "mpp"]
        assert list(model.input_example.columns) == ["slide"]
        pd.testing.assert_frame_equal(model.predict(slides), table, check_dtype=False)
    assert "histobench==" in (ran.model / "requirements.txt").read_text()


def test_slides_of_another_or_unknown_scale(ran: Ran, tmp_path: Path) -> None:
    bare = write_slide(tmp_path / "bare.tif", mpp=None)
    coarse = write_slide(tmp_path / "coarse.tif", mpp=2.0)
    with pytest.raises(DataError, match=r"does not state its microns per pixel; the model learnt at"):
        ran.predict(bare, tmp_path / "out")
    with pytest.raises(DataError, match=r"has 2 µm/px, the model learnt at .*: finer than was scanned"):
        ran.predict(coarse, tmp_path / "out2")
    low, _ = ModelCard.load(ran.model / CARD).mpp or (0.25, 0.25)
    table = tmp_path / "slides.csv"
    table.write_text(f"slide,mpp\nbare.tif,{low}\n")
    assert [row["slide"] for row in ran.predict(table, tmp_path / "out3").rows] == ["bare"]
    table.write_text(f"slide,mpp\ncoarse.tif,{low}\n")
    assert "the file states 2 µm/px" in ran.predict(table, tmp_path / "out5").rows[0]["notes"]
    assert ran.predict(bare, tmp_path / "out4", mpp=low).rows[0]["notes"].startswith("no resolution stated")


@pytest.mark.parametrize("kind", ["geojson", "label-image"])
def test_a_slide_scanned_finer_is_read_as_the_model_knows_it(ran: Ran, tmp_path: Path, kind: Format) -> None:
    """Every pixel of a test slide four times over, at half the microns: the same scores, outlines in its own pixels."""
    low, _ = ModelCard.load(ran.model / CARD).mpp or (0.25, 0.25)
    slide = Slide("usual", ran.slides[0], "p")
    width, height = (side // 2 * 2 for side in slide.size)
    pixels = slide.read(0, 0, width, height)
    write_pyramid(tmp_path / "usual.tif", [pixels], (width, height), mpp=low)
    twice = [np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)]
    write_pyramid(tmp_path / "finer.tif", twice, (2 * width, 2 * height), mpp=low / 2)
    usual, finer = ran.predict([tmp_path / "usual.tif", tmp_path / "finer.tif"], tmp_path / kind, format=kind).rows
    assert finer["score"] == pytest.approx(usual["score"], abs=0.05)  # JPEG has changed the pixels a little
    assert finer["positive_share"] == pytest.approx(usual["positive_share"], abs=0.1)
    assert "scanned at" in finer["notes"] and "scanned at" not in usual["notes"]
    ending = SUFFIXES[kind]
    marked = read_annotation(tmp_path / kind / f"finer{ending}", size=(2 * width, 2 * height))
    grid = Grid.regular((width, height), 64)
    doubled = Grid.regular((2 * width, 2 * height), 128)
    one = read_annotation(tmp_path / kind / f"usual{ending}", size=(width, height)).labels(grid)
    assert (marked.labels(doubled) == one).mean() > 0.9


def test_other_classes_are_refused(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tells normal from .*, not stroma from tumour"):
        ran.predict(ran.slides[0], tmp_path / "out", classes=("stroma", "tumour"))
    assert not (tmp_path / "out").exists()


def test_an_unreadable_slide_among_many(ran: Ran, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0 no slide")
    done = ran.predict([ran.slides[0], bad], tmp_path / "out")
    assert len(done.rows) == 1 and "bad" in done.failed
    assert "not scored" in done.table.read_text()


def test_a_folder_serves_one_model(ran: Ran, tmp_path: Path) -> None:
    ran.predict(ran.slides[0], tmp_path / "out")
    (tmp_path / "out" / MARK).write_text('{"run": "another"}')
    with pytest.raises(ConfigError, match="holds predictions of run another"):
        ran.predict(ran.slides[0], tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        ran.predict(ran.slides[0], tmp_path / "full")


def counted(monkeypatch) -> list[str]:
    """The slides that are scored from now on."""
    from benchmark.applying import predict_slides as predict

    scored, ids = predict._scored, []

    def noted(predictor, request, given):
        ids.append(given.id)
        return scored(predictor, request, given)

    monkeypatch.setattr(predict, "_scored", noted)
    return ids


def test_what_another_model_did_in_the_folder_is_not_taken_for_this_ones(ran: Ran, tmp_path: Path, monkeypatch) -> None:
    """Also where the folder has changed hands by --force for one of its slides."""
    first, second = ran.slides[:2]
    one, other = StoredModel.open(ran.model), StoredModel.open(ran.model)

    def given(model: StoredModel, run: str, slides: list[Path], force: bool = False):
        return predict_slides(model, PredictRequest(given_slides(slides), tmp_path / "out", run, force=force))

    given(one, "one", [first, second])
    ids = counted(monkeypatch)
    assert len(pd.read_csv(given(other, "other", [first], force=True).table)) == 1
    assert given(other, "other", [first, second]).before == 1
    assert ids == [first.stem, second.stem]


def test_a_corrected_resolution_counts(ran: Ran, tmp_path: Path, monkeypatch) -> None:
    low, high = ModelCard.load(ran.model / CARD).mpp or (0.25, 0.25)
    write_slide(tmp_path / "bare.tif", mpp=None)
    (tmp_path / "slides.csv").write_text(f"slide,mpp\nbare.tif,{low}\n")
    ran.predict(tmp_path / "slides.csv", tmp_path / "out")
    ids = counted(monkeypatch)
    (tmp_path / "slides.csv").write_text(f"slide,mpp\nbare.tif,{high / 3}\n")
    assert "scanned at" in ran.predict(tmp_path / "slides.csv", tmp_path / "out").rows[0]["notes"]
    assert ids == ["bare"]


def test_a_folder_that_grows_keeps_its_rows_and_no_slide_takes_anothers_name(ran: Ran, tmp_path: Path) -> None:
    for name, slide in (("x/a.tif", ran.slides[0]), ("y/a.tif", ran.slides[1]), ("z/a.tif", ran.slides[0])):
        (tmp_path / name).parent.mkdir()
        shutil.copy(slide, tmp_path / name)
    ran.predict(tmp_path / "x", tmp_path / "out")
    both = ran.predict(ran.slides[1], tmp_path / "out")
    assert [row["slide"] for row in both.rows] == [ran.slides[1].stem]
    assert list(pd.read_csv(both.table)["slide"]) == [ran.slides[1].stem, "a"]
    before = files_of(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"another slide called 'a': .*x/a.tif, not .*y/a.tif"):
        ran.predict(tmp_path / "y", tmp_path / "out")
    assert files_of(tmp_path / "out") == before
    moved = ran.predict(tmp_path / "z", tmp_path / "out")
    assert moved.before == 1 and moved.rows[0]["path"] == str(tmp_path / "z" / "a.tif")
    replaced = ran.predict(tmp_path / "y", tmp_path / "out", force=True)
    assert set(pd.read_csv(replaced.table)["path"]) == {str(tmp_path / "y" / "a.tif"), str(ran.slides[1])}


def test_a_full_disk(ran: Ran, tmp_path: Path, monkeypatch) -> None:
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x.tif")

    monkeypatch.setattr("benchmark.applying.predict_slides.write_score_tiff", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        ran.predict(ran.slides[0], tmp_path / "out")


def test_a_run_without_model(store: str, tmp_path: Path) -> None:
    tracker = Tracker(store)
    live = tracker.start(
        experiment="e", description="", name="n", params={}, tags={}, dataset=DatasetInput("d", "s", "1", {})
    )
    live.finish()
    with pytest.raises(ConfigError, match="has no model among its artifacts"):
        benchmark.predict(tmp_path, tmp_path / "out", run=live.id, store=store)
    with pytest.raises(ConfigError, match="no finished run on camelyon16"), stored_model(None, "camelyon16", store):
        pass


def changed(ran: Ran, folder: Path, **fields: object) -> Path:
    """A copy of the model whose configuration says something else."""
    shutil.copytree(ran.model, folder)
    content = yaml.safe_load((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(yaml.safe_dump({**content, **fields}))
    return folder


def test_the_model_of_a_plugin_that_is_not_installed(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"needs a component that is not installed: (.|\n)*gone"):
        StoredModel.open(changed(ran, tmp_path / "model", method="gone"))
    (tmp_path / "model" / CARD).unlink()
    with pytest.raises(ConfigError, match=f"no stored model that can be used elsewhere: no {CARD}"):
        StoredModel.open(tmp_path / "model")


def test_a_refiner_learnt_nothing_for_other_slides(ran: Ran, tmp_path: Path) -> None:
    folder = changed(ran, tmp_path / "model", method="lcmil", preset="smoke", params={})
    storage.save({"encoder": None, "model": None}, folder / WEIGHTS)
    request = PredictRequest([Given("a", ran.slides[0])], tmp_path / "out", "r")
    with pytest.raises(ConfigError, match=r"it refines each slide's own annotation(.|\n)*bench refine"):
        predict_slides(StoredModel.open(folder), request, SilentReporter())


def test_outlines_for_qupath_count_from_the_scanned_area(ran: Ran, tmp_path: Path, monkeypatch) -> None:
    from benchmark.applying import predict_slides as predict

    facts = predict.slide_facts
    plain = ran.predict(ran.slides, tmp_path / "plain")
    monkeypatch.setattr(predict, "slide_facts", lambda *given: replace(facts(*given), bounds=(64, 32, 500, 500)))
    moved = ran.predict(ran.slides, tmp_path / "moved")
    ran.predict(ran.slides, tmp_path / "asap", format="asap")
    drawn = 0
    for slide, one in zip(ran.slides, moved.rows, strict=True):
        grid = Grid.regular(Slide("s", slide, "p").size, 16)
        canvas = read_annotation(tmp_path / "plain" / f"{slide.stem}.geojson")
        own = read_annotation(tmp_path / "moved" / f"{slide.stem}.geojson")
        np.testing.assert_array_equal(own.moved(64, 32).labels(grid), canvas.labels(grid))
        xml = read_annotation(tmp_path / "asap" / f"{slide.stem}.xml")
        np.testing.assert_array_equal(xml.labels(grid), canvas.labels(grid))
        assert "begins at (64, 32)" in one["notes"]
        drawn += canvas.count()
    assert drawn and not any("begins at" in one["notes"] for one in plain.rows)


def test_a_data_frame_of_slides_is_taken_row_by_row(tmp_path: Path) -> None:
    for name in ("a.tif", "b/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "t.csv").write_text("slide,mpp\nb/c.tif,0.25\n")

    def given(*rows):
        table = pd.DataFrame(rows, columns=["slide", "mpp"]).assign(
            slide=lambda t: [str(tmp_path / n) for n in t.slide]
        )
        return [(one.id, one.mpp) for one in pyfunc_loader._given(table)]

    assert given(("a.tif", None), ("b", 0.5)) == [("a", None), ("c", 0.5)]
    assert given(("t.csv", None)) == [("c", 0.25)] and given(("t.csv", 1.0)) == [("c", 1.0)]
    for wrong in (0.0, -3.0, "x"):
        with pytest.raises(DataError, match="row 0: mpp is"):
            given(("a.tif", wrong))


def test_files_that_differ_in_their_ending_alone_keep_it(tmp_path: Path) -> None:
    for name in ("case.svs", "case.tif", "._case.svs", "other.svs"):
        (tmp_path / name).write_bytes(b"")
    assert [one.id for one in given_slides([tmp_path])] == ["case.svs", "case.tif", "other"]


def test_slides_are_named_by_the_shortest_end_that_tells_them_apart(tmp_path: Path) -> None:
    for name in ("a/s.tif", "b/s.tif", "b/t.tif", "b/t.svs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    given = given_slides([tmp_path / "a", tmp_path / "b", tmp_path / "a" / "s.tif"])
    assert len({one.id for one in given}) == len(given) == 4
    assert [one.id for one in given][:2] == ["a/s", "b/s"]
    with pytest.raises(DataError, match="has no column slide"):
        (tmp_path / "t.csv").write_text("file\na/s.tif\n")
        given_slides([tmp_path / "t.csv"])
    with pytest.raises(DataError, match="line 3: the slide .* does not exist"):
        (tmp_path / "t.csv").write_text("slide;mpp\na/s.tif;0,25\ngone.tif;\n")
        given_slides([tmp_path / "t.csv"])
