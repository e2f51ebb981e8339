"""Trained on one dataset, tested on another: classes, magnifications, what is reused, refused and lost."""

import csv
import json
import re
import shlex
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from numpy.testing import assert_array_equal
from scipy.stats import kendalltau, ttest_1samp
from test_leaderboard import stored
from typer.testing import CliRunner

from benchmark import storage
from benchmark.annotations import Polygons, Region, write_geojson
from benchmark.annotations.carried import CarriedAnnotation
from benchmark.applying.model_card import WEIGHTS
from benchmark.audit import audit
from benchmark.audit.findings import BOTH_TESTS
from benchmark.class_map import class_map, read_map
from benchmark.cli import app
from benchmark.config import RunRequest
from benchmark.dataset import Split
from benchmark.errors import BenchError, ConfigError, DataError
from benchmark.registry import datasets, methods
from benchmark.reporting.command import run_command, stored_words
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.build_leaderboard import build_leaderboard
from benchmark.reporting.leaderboard.standings_model import Figure
from benchmark.reporting.leaderboard.transfers import difference_interval, transfers
from benchmark.running.applicable import not_applicable
from benchmark.running.job import open_job, reopen_job
from benchmark.running.matrix import run_all
from benchmark.running.plan import plan
from benchmark.running.reopen import reopen
from benchmark.slides import Grid, RescaledSlide, write_pyramid
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker
from benchmark.two_sets import elsewhere

SIZE, TISSUE, LESION = (1024, 768), (128, 128, 896, 640), (192, 192, 512, 576)
"""Of a slide at 0.5 µm/px: its size, and left, top, right, bottom of its tissue and of its lesion."""
SPLITS = ("train", "train", "train", "train", "validation", "validation", "test", "test")


def bench(*words):
    return CliRunner().invoke(app, list(words))


def write_folder(root, *, mpp, seed, prefix, labels=("normal", "tumor"), stated=True, splits=SPLITS, **columns):
    """A folder of slides with a manifest: the same picture at any resolution, every other one with a lesion."""
    times = round(0.5 / mpp)
    rows = []
    for number, split in enumerate(splits):
        rng, positive = np.random.default_rng([seed, number]), number % 2
        pixels = np.full((SIZE[1], SIZE[0], 3), 250, np.uint8)
        parts = [(TISSUE, (225, 150, 190)), *([(LESION, (120, 60, 150))] if positive else [])]
        for (left, top, right, bottom), colour in parts:
            noise = rng.normal(0, 12, (bottom - top, right - left, 3))
            pixels[top:bottom, left:right] = np.clip(np.array(colour) + noise, 0, 255)
        fine = pixels.repeat(times, 0).repeat(times, 1)
        name = f"{prefix}{number}"
        root.mkdir(parents=True, exist_ok=True)
        write_pyramid(root / f"{name}.tif", [fine], (SIZE[0] * times, SIZE[1] * times), mpp=mpp if stated else None)
        outline = f"{name}.geojson" if positive else ""
        if positive:
            shape = Polygons([Region(shapely.box(*(edge * times for edge in LESION)), 1)])
            write_geojson(root / outline, shape, ("normal", "tumor"))
        row = {"slide": f"{name}.tif", "patient": f"{prefix}p{number}", "label": labels[positive], "split": split}
        more = {column: values[number] for column, values in columns.items()}
        rows.append({**row, "annotation": outline, **more})
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def slides_of(root, **options):
    kind = datasets().load("slides")
    return kind(root, kind.Options(**options))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Slides at 0.5 µm/px."""
    return write_folder(tmp_path_factory.mktemp("home") / "home", mpp=0.5, seed=1, prefix="h")


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    """Slides of another place, with other words for the classes, scanned at 0.25 µm/px."""
    labels = ("benign", "lesion")
    return write_folder(tmp_path_factory.mktemp("away") / "away", mpp=0.25, seed=2, prefix="a", labels=labels)


WORDS = {"benign": "normal", "lesion": "tumor"}


def named(name, classes, positive):
    return SimpleNamespace(name=name, classes=tuple(classes), positive=frozenset(positive))


def test_classes_of_one_name_map_by_themselves_and_that_is_said():
    mapped = class_map(named("a", "xyz", {2}), named("b", "zxw", {0}), {"w": "y"})
    assert mapped.table == (2, 0, 1) and mapped.notes == ("classes mapped by their names: z, x",)
    assert class_map(named("a", "xz", {1}), named("b", "xyz", {2}), {"y": "ignore"}).table == (0, None, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, r"classes without a counterpart in a \(n, t\): 'benign', 'lesion' \(settled by --map benign=n,lesion=t\)"),
        ({"benign": "n"}, r"'lesion' \(settled by --map lesion=t\)"),
        ({"beningn": "n"}, "b has no class 'beningn'; did you mean 'benign'"),
        ({"benign": "nn"}, "a has no class 'nn'"),
        ({"benign": "t", "lesion": "t"}, "'benign' is negative in b, and --map has it 't', positive in a"),
        ({"benign": "n", "lesion": "ignore"}, "'lesion' is positive in b, and --map has it ignored"),
    ],
)
def test_classes_that_do_not_map_are_refused_with_the_option_that_settles_it(given, told):
    with pytest.raises(ConfigError, match=told) as refused:
        class_map(named("a", "nt", {1}), named("b", ("benign", "lesion"), {1}), given)
    assert "--map" in refused.value.fix


@pytest.mark.parametrize("text", ["", "a", "a=", "=b", "a=b,a=c", "a=b,"])
def test_a_map_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigError, match="--map"):
        read_map(text)


def test_an_annotation_is_carried_over_in_classes_and_scale():
    drawn = Polygons([Region(shapely.box(0, 0, 40, 40), 1), Region(shapely.box(40, 0, 80, 40), 2)])
    carried = CarriedAnnotation(drawn, (0, 2, None), 4.0)
    grid = Grid.regular((30, 10), 10)
    assert_array_equal(carried.labels(grid), [[2, 0, 0]])
    assert_array_equal(carried.ignored(grid), [[False, True, False]])
    assert_array_equal(carried.fractions(grid, 3), [[[0, 0, 1], [1, 0, 0], [1, 0, 0]]])
    first, second = carried.polygons()
    assert first.geometry.bounds == (0, 0, 10, 10) and (first.label, second.label) == (2, 0) and carried.count() == 1


def test_test_slides_are_read_at_the_resolution_of_the_train_slides(home, away):
    """The same picture, scanned twice as fine: cells, tissue and truth come out as on the slides of home."""
    own, other = slides_of(home), slides_of(away)
    both = elsewhere(own, other, WORDS)
    assert [slide.id for slide in both.slides(Split.TEST)] == ["a6", "a7"]
    assert both.slides(Split.TRAIN) == own.slides(Split.TRAIN)
    for slide, twin in zip(both.slides(Split.TEST), own.slides(Split.TEST), strict=True):
        assert isinstance(slide, RescaledSlide) and slide.mpp == pytest.approx(0.5) and slide.size == SIZE
        grid = both.evaluation_grid(slide)
        assert grid.digest == own.evaluation_grid(twin).digest
        assert both.patch_grid(slide).digest == own.patch_grid(twin).digest
        assert_array_equal(both.tissue(slide, grid), own.tissue(twin, grid))
        assert_array_equal(both.truth(slide).labels(grid), own.truth(twin).labels(grid))
        assert_array_equal(both.unit_labels(slide), own.unit_labels(twin))
        assert both.unit_grid(slide).shape == (1, 1)
        assert "read at 0.5 µm/px, at which the model learnt; scanned at 0.25" in both.reading_notes(slide)[-1]
    assert both.truth(both.slides(Split.TEST)[1]).labels(grid).any(), "there is a lesion to be found"
    assert both.told["magnification"].startswith("2 of 2 test slides rescaled")
    assert both.missing(Split.TEST) == {} and both.classes == ("normal", "tumor")


def test_tiles_and_whole_slides_go_together_where_the_train_sets_patches_fit_other_slides(away, miniatures):
    """Patches as the method learnt them; cells, units and tissue of what it is tested on."""
    glas = datasets().load("glas")
    tiles = glas(miniatures["glas"], glas.Options())
    both = elsewhere(tiles, slides_of(away), {"benign": "non-gland", "lesion": "gland"})
    negative, positive = both.slides(Split.TEST)
    assert positive.mpp == tiles.slides(Split.TRAIN)[0].mpp and not both.objects
    assert both.patch_grid(positive).width == tiles.patch_grid(tiles.slides(Split.TRAIN)[0]).width
    cells = both.evaluation_grid(positive)
    original = slides_of(away).slides(Split.TEST)[1]
    assert cells.shape == slides_of(away).evaluation_grid(original).shape == (6, 8)
    assert_array_equal(both.truth(positive).labels(cells), slides_of(away).truth(original).labels(
        slides_of(away).evaluation_grid(original)))  # fmt: skip
    assert both.tissue(positive, cells).sum() < cells.rows * cells.cols and both.unit_labels(negative).sum() == 0
    back = elsewhere(slides_of(away), tiles, {"non-gland": "benign", "gland": "lesion"}, as_is=True)
    tile = back.slides(Split.TEST)[0]
    assert back.evaluation_grid(tile).shape == tile.size[::-1] and set(back.subsets()) == set(tiles.subsets())
    crc = datasets().load("crc")
    with pytest.raises(DataError, match="crc lays its grids over its own slides alone"):
        elsewhere(crc(miniatures["crc"], crc.Options()), tiles, {"non-gland": "ADI", "gland": "TUM"}, as_is=True)


def test_slides_of_one_name_in_both_sets_are_told_apart(home, tmp_path):
    twin = write_folder(tmp_path / "twin", mpp=0.5, seed=3, prefix="h", splits=("train", "train", "train", "test") * 2)
    both = elsewhere(slides_of(home), slides_of(twin), {})
    train, test = both.slides(Split.TRAIN)[3], both.slides(Split.TEST)[0]
    assert train.id == test.id == "h3" and train.path != test.path
    assert not isinstance(test, RescaledSlide)
    leaks = audit(both).warnings
    assert any("patients" in finding.check for finding in leaks), "patients in both are flagged"
    assert any("hp3" in item for finding in leaks for item in finding.items)


def test_images_in_the_test_parts_of_both_sets_are_named(home, away, tmp_path):
    twin = write_folder(tmp_path / "twin", mpp=0.5, seed=1, prefix="t")
    (found,) = [finding for finding in audit(elsewhere(slides_of(home), slides_of(twin), {})).warnings
                if finding.check == BOTH_TESTS]  # fmt: skip
    assert "2 images in the test parts of both sets" in found.text and len(found.items) == 2
    assert all(each.check != BOTH_TESTS for each in audit(elsewhere(slides_of(home), slides_of(away), WORDS)).warnings)


def test_magnifications_that_cannot_be_matched_are_refused(home, away, tmp_path):
    with pytest.raises(DataError, match=r"has 0.5 µm/px, the model learnt at 0.25: finer than was scanned") as refused:
        elsewhere(slides_of(away), slides_of(home), {"normal": "benign", "tumor": "lesion"})
    assert "--scale as-is" in refused.value.fix
    silent = write_folder(tmp_path / "silent", mpp=0.5, seed=4, prefix="s", stated=False)
    with pytest.raises(DataError, match="does not state its microns per pixel, and the model learnt at 0.5") as refused:
        elsewhere(slides_of(home), slides_of(silent), {})
    assert "--test slides:mpp=0.25" in refused.value.fix
    with pytest.raises(DataError, match="train slides of slides do not state their microns per pixel"):
        elsewhere(slides_of(silent), slides_of(home), {})
    told = elsewhere(slides_of(home), slides_of(silent, mpp=0.5), {})
    assert {slide.mpp for slide in told.slides(Split.TEST)} == {0.5}
    as_is = elsewhere(slides_of(away), slides_of(home), {"normal": "benign", "tumor": "lesion"}, as_is=True)
    assert {slide.mpp for slide in as_is.slides(Split.TEST)} == {0.5}


def request(home, away, **more):
    usual = {"method": "abmil", "dataset": "slides", "test": "slides", "data": str(home), "test_data": str(away)}
    usual |= {"class_map": "benign=normal,lesion=tumor", "preset": "smoke", "device": "cpu", "jobs": 0}
    return RunRequest(**{**usual, **more})


def test_the_run_is_identified_by_both_sets_and_the_map(home, away, tmp_path):
    own, there = plan(request(home, away))
    assert (
        own.target is None and there.target.label == "slides" and there.settings.startswith("test=slides map=benign=")
    )
    other = plan(request(home, away, class_map="lesion=tumor,benign=normal"))[1]
    as_is = plan(request(home, away, as_is=True))[1]
    jobs = [open_job(spec, tmp_path) for spec in (own, there, other, as_is)]
    assert jobs[1].identity == jobs[2].identity, "the order of the map means nothing"
    assert len({job.identity for job in jobs}) == 3 and len({job.data_digest for job in jobs}) == 2
    assert {job.training_digest for job in jobs} == {jobs[0].data_identity}, "stages are shared"
    tags = jobs[1].tags("cpu")
    assert tags["bench.trained_on"] == jobs[0].tags("cpu")["bench.board"] and tags["bench.test_data"] == str(away)
    again = reopen_job(there, tmp_path, jobs[1].known)
    assert [slide.id for slide in again.dataset.slides(Split.TEST)] == ["a6", "a7"]
    assert again.training_digest == jobs[1].training_digest
    (tmp_path / "config.yaml").write_text(there.as_file({}))
    assert plan(RunRequest(config=tmp_path / "config.yaml")) == [there], "a file repeats the one run that wrote it"
    few = [open_job(spec, tmp_path) for spec in plan(request(home, away, slides=1))]
    assert few[1].training_digest == few[0].data_identity and len(few[1].dataset.slides(Split.TEST)) == 1
    paid = [open_job(spec, tmp_path) for spec in plan(request(home, away, budget="50%"))]
    assert len({job.training_digest for job in paid}) == 1 and paid[0].training_digest != jobs[0].training_digest
    assert [slide.id for slide in paid[1].dataset.slides(Split.TEST)] == ["a6", "a7"]


def test_the_command_that_repeats_it_names_both(home, away, tmp_path):
    job = open_job(plan(request(home, away, as_is=True))[1], tmp_path)
    tags = job.tags("cpu")
    words = stored_words(tags)
    command = run_command(
        method="abmil", dataset="slides", preset="smoke", seeds=[0], settings=tags["bench.settings"], extra=words
    )
    typed = shlex.split(command)
    pairs = {"--test": "slides", "--map": "benign=normal,lesion=tumor", "--scale": "as-is", "--test-data": str(away)}
    assert {name: typed[typed.index(name) + 1] for name in pairs} == pairs and "--set" not in typed


@pytest.mark.parametrize("name", ["coarse", "lcmil", "entropy"])
def test_methods_that_ask_about_the_slides_they_score_do_not_apply(name, home, away):
    kind = methods().load(name)
    reason = not_applicable(kind, elsewhere(slides_of(home), slides_of(away), WORDS))
    assert reason is not None and "nothing is carried over" in reason


def test_train_and_test_are_not_the_same_data(home, away, tmp_path):
    for data, told in ((home, "are the same data"), (tmp_path / "none", "was not found")):
        refused = bench("run", "--method", "constant", "--train", "slides", "--test", "slides", "--data", str(home),
                        "--test-data", str(data), "--preset", "smoke", "--jobs", "0", "--dry-run")  # fmt: skip
        text = refused.output + str(refused.exception)
        assert told in " ".join(text.split()), text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dataset", "slides", "--map", "a=b"], "--map is given without --test"),
        (["--dataset", "slides", "--test-data", "x"], "--test-data is given without --test"),
        (["--dataset", "slides", "--scale", "as-is"], "--scale is given without --test"),
        (["--train", "slides"], "--train is given without --test"),
        (["--train", "slides", "--dataset", "slides", "--test", "glas"], "they mean the same"),
        (["--train", "slides", "--test", "glas,crc", "--data", "synthetic"], "names 2 datasets"),
        (["--train", "slides", "--test", "gals", "--data", "synthetic"], "gals"),
        (["--train", "slides", "--test", "slides:nonsense=1", "--data", "synthetic"], "nonsense"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(words, told, home):
    refused = bench("run", "--method", "constant", "--preset", "smoke", *words)
    assert isinstance(refused.exception, BenchError) and told in str(refused.exception), refused.exception


def test_training_is_done_once_and_the_board_of_transfers_says_what_is_lost(home, away, store, tmp_path):
    where = {"store": store, "cache": tmp_path / "cache"}
    assert run_all(request(home, away, method="abmil,constant", **where)) == 0
    tracker = Tracker(store)
    runs = {(run.tag("method"), run.tag("target")): run for run in tracker.stored()}
    own, there = runs["abmil", None], runs["abmil", "slides"]
    assert own.experiment == "slides" and there.experiment == "slides-to-slides"
    assert own.metrics["cost/reused_stages"] == 0 and there.metrics["cost/reused_stages"] >= 1
    assert {name: value for name, value in own.metrics.items() if name.startswith("labels/")} == {
        name: value for name, value in there.metrics.items() if name.startswith("labels/")
    }
    with StoreArtifacts(tracker) as artifacts:
        (model,), (twin,) = (artifacts.fetch(run, f"model/{WEIGHTS}") for run in (own, there))
        assert model.read_bytes() and str(storage.load(model)) == str(storage.load(twin))
        (config,) = artifacts.fetch(there, "config.yaml")
        (facts,) = artifacts.fetch(there, "metrics.json")
        drawn = {path.stem.partition("_")[2] for path in artifacts.fetch(there, "overlays")}
        again = reopen(config, there.tags["bench.data_digest"], tmp_path)
    assert drawn == {"a6", "a7"} and [slide.id for slide in again.slides(Split.TEST)] == ["a6", "a7"]
    assert "2 of 2 test slides rescaled" in json.loads(facts.read_text())["facts"]["magnification"]
    assert run_all(RunRequest(config=config, jobs=0, **where)) == 0
    assert len(tracker.stored()) == 4, "the file repeats a run that is finished"
    shown = bench("leaderboard", "--store", store, "--transfers", "--format", "json")
    found = {transfer["metric"]: transfer for transfer in json.loads(shown.output)}
    miou = next(drop for drop in found["pixel/miou"]["drops"] if drop["name"].startswith("abmil"))
    assert miou["drop"] == own.metrics["pixel/miou"] - there.metrics["pixel/miou"]
    assert (
        found["pixel/miou"]["tested"] == "slides map=benign=normal,lesion=tumor"
        and len(found["pixel/miou"]["drops"]) == 2
    )
    assert bench("publish", str(tmp_path / "ours"), "--store", store).exit_code == 0
    alone = bench("leaderboard", "--from", str(tmp_path / "ours"), "--no-store", "--transfers", "--format", "json")
    assert alone.output.replace(" (from ours)", "") == shown.output
    table = bench("leaderboard", "--store", store, "--transfers", "--metric", "pixel/miou").output
    assert "elsewhere" in table and "mean over" not in table, "a constant learns nothing and says nothing of transfer"
    page = tmp_path / "report.html"
    assert bench("report", "--store", store, "--out", str(page)).exit_code == 0
    (section,) = re.findall(r'<section id="transfers">.*?</section>', page.read_text(), re.DOTALL)
    assert section.count("<h3>") == len(found)
    assert f"{miou['drop']:+.3f}" in section and 'href="#transfers"' in page.read_text()
    lines = list(
        csv.DictReader(bench("leaderboard", "--store", store, "--transfers", "--format", "csv").output.splitlines())
    )
    assert {float(line["drop"]) for line in lines if line["method"].startswith("abmil")} >= {miou["drop"]}


def test_without_a_transfer_there_is_no_such_board(store):
    Tracker(store).record(experiment="x", description="", name="a", tags={"bench.method": "a", "bench.state": "failed"})
    refused = bench("leaderboard", "--store", store, "--transfers")
    assert isinstance(refused.exception, ConfigError) and "bench run" in refused.exception.fix


def boards_of(values, metric="pixel/miou", **ends):
    """Runs of methods at home and elsewhere: name → (own, other)."""
    runs = []
    for name, pair in values.items():
        for value, more in zip(pair, ({}, {"target": "b", "trained_on": "data1", "settings": "test=b"}), strict=True):
            numbers = {metric: value, **{f"{metric}{end}": value + gap for end, gap in ends.items()}}
            runs.append(stored(name, 0.5, metrics=numbers, board="there" if more else "data1", **more))
    return build_leaderboard(runs, Filters(), store="", artifacts=None, published=[])


def test_the_mean_drop_is_paired_over_methods():
    values = {name: (0.8 - 0.01 * n, 0.6 + 0.013 * (n % 3) - 0.02 * n) for n, name in enumerate("abcdefg")}
    (found,) = (found for found in transfers(boards_of(values), Filters()) if found.metric == "pixel/miou")
    drops = [own - other for own, other in values.values()]
    test = ttest_1samp(drops, 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(drops), test.low, test.high))
    assert found.tau == pytest.approx(kendalltau(*zip(*values.values(), strict=True)).statistic)
    assert found.p is not None and found.p < 0.05 and found.drops[0].drop == pytest.approx(min(drops))
    assert (found.trained, found.tested) == ("tiles", "b")


def test_where_less_is_better_a_drop_is_more_and_two_methods_have_no_test():
    found = transfers(
        boards_of({"a": (10.0, 30.0), "b": (20.0, 25.0)}, "object/hausdorff"), Filters(metrics=("object/hausdorff",))
    )
    assert [drop.drop for drop in found[0].drops] == [5.0, 20.0] and found[0].p is None and found[0].tau is None


def test_only_runs_of_the_same_fit_are_compared():
    both = boards_of({"a": (0.8, 0.6)})
    runs = [run for board in both.boards for row in board.rows for run in row.runs]
    lone = [run if run.tag("target") else stored("a", 0.8, row="other parameters") for run in runs]
    assert transfers(build_leaderboard(lone, Filters(), store="", artifacts=None, published=[]), Filters()) == []
    seeds = [run if run.tag("target") else stored("a", 0.8, seed=1) for run in runs]
    assert transfers(build_leaderboard(seeds, Filters(), store="", artifacts=None, published=[]), Filters()) == []


def test_a_run_of_a_budget_or_on_fewer_slides_hides_no_transfer():
    both = boards_of({"a": (0.8, 0.6)})
    runs = [run for board in both.boards for row in board.rows for run in row.runs]
    paid = {"budget": "10%", "row": "row of a10%", "settings": "budget=10%"}
    target = {"target": "b", "trained_on": "data1", "board": "there"}
    cheap = [
        stored("a", 0.5, metrics={"pixel/miou": 0.5}, **paid),
        stored("a", 0.5, metrics={"pixel/miou": 0.2}, **{**paid, **target, "settings": "test=b budget=10%"}),
    ]
    part = stored("z", 0.5, slides="some", complete="false", metrics={"data/slides_used": 19})
    found = build_leaderboard([*runs, *cheap, part], Filters(), store="", artifacts=None, published=[])
    losses = [[drop.drop for drop in each.drops] for each in transfers(found, Filters())]
    assert losses == [[pytest.approx(0.2)], [pytest.approx(0.3)]]
    older = [replace(run, tags={**run.tags, "bench.metrics_schema": "0"}) for run in runs if not run.tag("target")]
    mixed = [*older, *(run for run in runs if run.tag("target"))]
    assert transfers(build_leaderboard(mixed, Filters(), store="", artifacts=None, published=[]), Filters()) == []


def test_a_budget_in_minutes_is_compared_with_that_of_the_same_prices():
    there = {"target": "b", "trained_on": "data1", "board": "there", "settings": "test=b budget=2h"}
    paid = {"budget": "2h", "row": "row of a2h", "settings": "budget=2h"}
    prices = ("aaa", 0.9, {}), ("bbb", 0.6, {}), ("bbb", 0.55, there)
    runs = [stored("a", value, **{**paid, "label_minutes": price, **more}) for price, value, more in prices]
    for each in (runs, [runs[1], runs[0], runs[2]]):
        found = build_leaderboard(each, Filters(), store="", artifacts=None, published=[])
        (drop,) = (drop for each in transfers(found, Filters()) for drop in each.drops)
        assert (drop.own.mean, drop.drop) == (0.6, pytest.approx(0.05))
    other = build_leaderboard([runs[0], runs[2]], Filters(), store="", artifacts=None, published=[])
    assert transfers(other, Filters()) == []


def test_boards_elsewhere_are_no_data_set_of_the_mean_ranks():
    values = {"a": (0.8, 0.6), "b": (0.7, 0.5), "c": (0.6, 0.3)}
    found = boards_of(values)
    assert len(found.boards) == 2 and found.ranks == ()


def test_the_interval_of_a_difference_covers():
    """The method of Zou and Donner: by hand, and on means of normal samples with their own intervals."""
    low, high = difference_interval(Figure(0.8, None, 0.7, 0.85), Figure(0.6, None, 0.5, 0.72))
    assert (low, high) == pytest.approx((0.2 - np.hypot(0.1, 0.12), 0.2 + np.hypot(0.05, 0.1)))
    assert difference_interval(Figure(0.8), Figure(0.6, None, 0.5, 0.7)) is None
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        one, other = rng.normal(0.8, 0.1, 40), rng.normal(0.6, 0.2, 30)
        figures = [
            Figure(
                float(x.mean()), None, *(float(x.mean() + z * x.std(ddof=1) / np.sqrt(x.size)) for z in (-1.96, 1.96))
            )
            for x in (one, other)
        ]
        low, high = difference_interval(*figures)
        covered += low <= 0.2 <= high
    assert 0.93 <= covered / 2000 <= 0.97


CENTRES = ("A", "A", "B", "B", "B", "B", "C", "C")


def test_one_centre_is_left_out(tmp_path):
    root = write_folder(tmp_path / "c", mpp=0.5, seed=5, prefix="c", splits=("",) * 8, centre=CENTRES)
    dataset = slides_of(root, centre="C", validation=0.3)
    ids = {split: {slide.id for slide in dataset.slides(split)} for split in Split}
    assert ids[Split.TEST] == {"c6", "c7"} and ids[Split.TRAIN] | ids[Split.VALIDATION] == {f"c{n}" for n in range(6)}
    assert ids[Split.VALIDATION] and not ids[Split.TRAIN] & ids[Split.VALIDATION]
    assert "centres: A 2, B 4, C 2" in [finding.text for finding in dataset.verify().findings]
    split = write_folder(tmp_path / "s", mpp=0.5, seed=5, prefix="c", centre=CENTRES)
    given = slides_of(split, centre="A", validation=0)
    assert {slide.id for slide in given.slides(Split.TEST)} == {"c0", "c1"}, "the manifest's splits do not count"
    assert len(given.slides(Split.TRAIN)) == 6
    assert {slide.id for slide in slides_of(split).slides(Split.TEST)} == {"c6", "c7"}, "without the option they do"
    numbers = write_folder(tmp_path / "n", mpp=0.5, seed=5, prefix="c", centre=(1, 1, 2, 2, 3, 3, 3, 3))
    spec = plan(RunRequest(method="constant", dataset="slides:centre=2", data=str(numbers)))[0]
    assert spec.options.centre == "2" and spec.settings == 'centre="2"'


@pytest.mark.parametrize(
    ("columns", "centre", "told"),
    [
        ({}, "A", "has no column centre, or an empty one"),
        ({"centre": CENTRES}, "D", r"names no centre 'D'; it has A \(2 slides\), B \(4 slides\), C \(2 slides\)"),
        (
            {"centre": ("Utrecht",) * 4 + ("Nijmegen",) * 4},
            "Utrect",
            "names no centre 'Utrect'; did you mean 'Utrecht'",
        ),
        ({"centre": ("A",) * 8}, "A", "all 8 slides of .* are of the centre 'A': none is left to train on"),
        ({"centre": ("A", "", *CENTRES[2:])}, "B", "line 3: no centre, and centre=B leaves one out"),
        (
            {"centre": CENTRES, "patient": ("p", "q", "p", "r", "s", "t", "u", "v")},
            "A",
            "patient 'p' is of the centre 'B', and of 'A' in .*: a patient would train and test",
        ),
    ],
)
def test_a_centre_that_cannot_be_left_out_is_refused(columns, centre, told, tmp_path):
    root = write_folder(tmp_path / "c", mpp=0.5, seed=5, prefix="c", splits=("",) * 8, **columns)
    with pytest.raises(DataError, match=told):
        slides_of(root, centre=centre).slides(Split.TEST)
