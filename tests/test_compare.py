"""`bench compare`: two real runs side by side, the tests between them, and where they decide differently."""

import io
import json
import shutil
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from benchmark.commands.compare import compare
from benchmark.config import RunRequest
from benchmark.errors import BenchError, ConfigError, DataError, TrackingError
from benchmark.metrics.comparison import delong
from benchmark.metrics.statistics import holm, wilcoxon
from benchmark.reporting.cells import classes_in_picture
from benchmark.reporting.comparison import compare_runs, require_pair, shared_figures
from benchmark.reporting.comparison.comparison_facts import Figure, SlideGap
from benchmark.reporting.comparison.comparison_page import render
from benchmark.reporting.comparison.comparison_tables import WIDTH, as_json, as_tables
from benchmark.reporting.comparison.decisions import decision, most, slide_gaps
from benchmark.reporting.comparison.disagreement_pictures import kinds, who_is_right
from benchmark.reporting.comparison.run_settings import refusals
from benchmark.reporting.comparison.specificity import paired_specificities
from benchmark.running import matrix
from benchmark.running.reopen import reopen
from benchmark.slides import Grid, ScoreMap
from benchmark.stored import Maps, MissingError, StoredRun, score_maps, unit_table
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import DatasetInput, Tracker

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """References, pictures and text of a page; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.refs, self.pictures, self.open, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["alt"])
        self.refs += [value for name, value in attrs if name in ("href", "src", "srcset", "action")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture(autouse=True)
def slides_of_a_miniature_are_enough(monkeypatch):
    monkeypatch.setattr("benchmark.reporting.paired.FEWEST", 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory, miniatures, empty_tables):
    """Three runs on one miniature in a store of their own: all positive, all negative, and for another target."""
    folder = tmp_path_factory.mktemp("compared")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    data = folder / "glas"
    shutil.copytree(miniatures["glas"], data)
    Tracker(store, cache=empty_tables).connect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        for settings in ((), ("value=0",), ("target=malignant",)):
            request = RunRequest(
                method="constant",
                dataset="glas",
                data=str(data),
                store=store,
                device="cpu",
                preset="smoke",
                jobs=0,
                settings=settings,
            )
            assert matrix.run_all(request) == 0
    runs = {run.name: run for run in Tracker(store).runs("glas-synthetic")}
    return store, data, [runs[name] for name in sorted(runs, key=lambda name: ("target" in name, "value" in name))]


@pytest.fixture
def found(home, tmp_path):
    """The comparison of the first two runs."""
    store, _, (one, other, _) = home
    tracker = Tracker(store)
    return compare_runs(StoreArtifacts(tracker), (tracker.find(one.id), tracker.find(other.id[:8])))


def artifact(run, path):
    return Path(run.artifact_uri.removeprefix("file://")) / path


def bench(*words):
    """Run the verb as `bench` would, errors and all."""
    app = typer.Typer()
    app.command()(compare)
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def column(run, name):
    table = json.loads(artifact(run, "per_slide.table.json").read_text())
    rows = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    return {row["slide"]: row[name] for row in rows}


# --- whole comparisons


def test_json_gives_the_numbers_of_the_artifacts(home):
    store, _, (one, other, _) = home
    done = bench(one.id, other.id, "--store", store, "--format", "json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    metrics = {figure["name"]: figure for figure in told["metrics"]}
    kept = [json.loads(artifact(run, "metrics.json").read_text()) for run in (one, other)]
    shared = set(kept[0]["values"]) & set(kept[1]["values"])
    assert {name for name in shared if "@" not in name} <= set(metrics) and "testA/pixel/dice" in metrics
    for name in shared:
        figure = metrics["/".join(reversed(name.split("@")))]
        assert (figure["one"], figure["other"]) == (kept[0]["values"][name], kept[1]["values"][name])
        assert figure["difference"] == kept[0]["values"][name] - kept[1]["values"][name]
        interval = kept[0]["intervals"].get(name)
        assert figure["one_interval"] == interval
    raw = {}
    for name, figure in metrics.items():
        test = figure["test"]
        if test is not None and test["kind"] == "Wilcoxon":
            first, second = column(one, name), column(other, name)
            both = [slide for slide in first if first[slide] is not None and second[slide] is not None]
            pair = [first[slide] for slide in both], [second[slide] for slide in both]
            expected = wilcoxon(*pair)
            assert test["pairs"] == len(both) and test["p"] == (expected and expected.p)
            assert test["difference"] == pytest.approx(np.mean(pair[0]) - np.mean(pair[1]))
            raw |= {name: test["p"]} if test["p"] is not None else {}
    assert len(raw) > 5
    corrected = holm(list(raw.values()))
    assert [metrics[name]["test"]["corrected"] for name in raw] == corrected
    assert metrics["image/auc"]["test"]["kind"] == "DeLong" and metrics["image/auc"]["test"]["p"] is None
    for gap in told["slides"]:
        assert gap["one"] == column(one, "pixel/dice")[gap["slide"]] and gap["other"] == 0.0
        maps = [ScoreMap.load(artifact(run, f"scores/{gap['slide']}.png")).values > 0.5 for run in (one, other)]
        assert gap["share"] == np.mean(maps[0] != maps[1]) == 1.0
    by_hand = sorted(told["slides"], key=lambda gap: (-abs(gap["one"] - gap["other"]), gap["slide"]))
    assert told["most_by_metric"] == [gap["slide"] for gap in by_hand]
    costs = {figure["name"] for figure in told["costs"]}
    assert {"cost/seconds", "cost/peak_memory_mib"} <= costs


def test_settings_that_differ_are_listed_and_equal_ones_counted(found):
    assert [(pair.kind, pair.name, pair.one, pair.other) for pair in found.settings] == [
        ("tag", "variant", None, "value=0.0"),
        ("parameter", "value", "1.0", "0.0"),
    ]
    assert found.equal > 15 and not found.refused and not found.notes


def test_the_terminal_stays_within_its_width(home):
    store, _, (one, other, third) = home
    done = bench(one.id, other.id, "--store", store)
    assert done.exit_code == 0, done.output
    tables = done.stdout.splitlines()
    assert max(map(len, tables)) <= 110
    assert any("pixel/dice" in line and "+0." in line for line in tables)
    assert "corrected for" in done.stdout and "100.0 % of" in done.stdout
    refused = bench(one.id, third.id, "--store", store).stdout
    assert "Not tested against each other: different dataset options: target=gland against malignant" in refused
    assert "corrected for" not in refused and "pixel/dice" in refused


def test_the_page_needs_nothing_else_and_is_the_same_twice(home):
    store, _, (one, other, _) = home
    for name in ("a.html", "b.html"):
        assert bench(one.id, other.id, "--store", store, "--out", name).exit_code == 0
    text = Path("a.html").read_text()
    assert text == Path("b.html").read_text()
    page = Page(text)
    assert page.refs and all(ref.startswith("data:image/jpeg;base64,") for ref in page.refs)
    assert "://" not in text and "url(" not in text and "<script" not in text
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    slides = sorted(column(one, "pixel/dice"))
    assert sorted(page.pictures) == sorted(
        f"{slide}: {panel}" for slide in slides for panel in ("tissue with the truth", "decisions")
    )
    assert "one is right in" in page.text and "Drawn without tissue" not in page.text


def test_one_is_right_where_the_truth_is_positive(home, found):
    _, data, (one, *_) = home
    dataset = reopen(artifact(one, "config.yaml"), one.tags["bench.data_digest"], Path("cache"))
    assert dataset.root == data
    text = " ".join(Page(render(found, [dataset])).text.split())
    tp, fp = column(one, "tp"), column(one, "fp")
    for slide in tp:
        assert f"one is right in {100 * tp[slide] / (tp[slide] + fp[slide]):.1f} %" in text


def test_other_options_of_the_data_are_not_tested_and_another_truth_is_not_drawn(home):
    store, _, (one, _, third) = home
    assert bench(one.id, third.id, "--store", store, "--out", "a.html").exit_code == 0
    page = Page(Path("a.html").read_text())
    text = " ".join(page.text.split())
    assert "different dataset options: target=gland against malignant" in text and "Wilcoxon" not in text
    assert "the truth is not drawn" in text and "one is right" not in text
    assert any(name.endswith(": tissue") for name in page.pictures)
    told = json.loads(bench(one.id, third.id, "--store", store, "--format", "json").stdout)
    assert told["refused"] and told["metrics"] and all(figure["test"] is None for figure in told["metrics"])
    assert all(gap["share"] == 0.0 for gap in told["slides"])


def test_a_run_whose_data_are_gone_is_drawn_without_tissue(home):
    store, data, (one, other, _) = home
    away = data.with_name("moved")
    data.rename(away)
    try:
        done = bench(one.id, other.id, "--store", store, "--out", "gone.html")
        elsewhere = bench(one.id, other.id, "--store", store, "--out", "moved.html", "--data", away)
    finally:
        away.rename(data)
    assert done.exit_code == 0 and "drawn without tissue" in done.stderr and str(data) in done.stderr.replace("\n", "")
    page = Page(Path("gone.html").read_text())
    assert "Drawn without tissue" in page.text and "the data of 'glas' was not found" in page.text
    assert {name.partition(": ")[2] for name in page.pictures} == {"decision of one", "decision of other", "both"}
    assert all(ref.startswith("data:image/png;base64,") for ref in page.refs)
    assert elsewhere.exit_code == 0 and "without tissue" not in elsewhere.stderr
    assert "tissue with the truth" in Path("moved.html").read_text()


def test_other_data_in_the_same_place_are_refused(home, tmp_path):
    _, _, (one, *_) = home
    with pytest.raises(DataError, match="not those of the run"):
        reopen(artifact(one, "config.yaml"), "0" * 32, tmp_path)


# --- mistakes


def error_of(*words):
    done = bench(*words)
    assert isinstance(done.exception, BenchError), done.output
    return done.exception


def test_mistakes_are_named(home, tmp_path):
    store, _, (one, other, _) = home
    same = error_of(one.id, one.id[:8], "--store", store)
    assert isinstance(same, ConfigError) and "the same run" in same.what
    unknown = error_of(one.id, "0000beef", "--store", store)
    assert isinstance(unknown, TrackingError) and "no run '0000beef'" in unknown.what
    missing = error_of(one.id, other.id, "--store", f"sqlite:///{tmp_path / 'none.db'}")
    assert isinstance(missing, TrackingError) and missing.fix
    metric = error_of(one.id, other.id, "--store", store, "--metric", "pixel/dise")
    assert "the nearest is 'pixel/dice'" in metric.what and metric.fix == "--metric pixel/dice"
    assert "no column" in error_of(one.id, other.id, "--store", store, "--metric", "slide/f1").what
    folder = error_of(one.id, other.id, "--store", store, "--out", "nowhere/a.html")
    assert "there is no folder" in folder.what and folder.fix.startswith("mkdir -p")
    assert "it is a folder" in error_of(one.id, other.id, "--store", store, "--out", tmp_path).what
    assert not list(Path.cwd().glob("*.html"))


def bare_run(store, name, tags, *, finish=True):
    """A stored run without artifacts."""
    live = Tracker(store).start(
        experiment="glas-synthetic",
        description="",
        name=name,
        params={},
        tags=tags,
        dataset=DatasetInput("glas", "/data", "0" * 8, {}),
    )
    live.log_metrics({"pixel/dice": 0.5, "train/loss": float("nan")})
    if finish:
        live.finish()
    else:
        live.abandon()
    return live.id


def test_an_unfinished_run_is_refused(store):
    tags = {"bench.method": "constant", "bench.dataset": "glas"}
    done, running = bare_run(store, "done", tags), bare_run(store, "running", tags, finish=False)
    with pytest.raises(ConfigError, match="is RUNNING") as raised:
        require_pair(*map(Tracker(store).find, (done, running)))
    assert raised.value.fix.startswith("bench run --method constant --dataset glas")


def test_runs_without_artifacts_say_what_is_missing(store, tmp_path):
    tags = {"bench.dataset": "glas", "bench.data_digest": "1" * 32, "bench.slides": "2", "bench.metrics_schema": "3"}
    tracker = Tracker(store)
    pair = tuple(tracker.find(bare_run(store, name, tags)) for name in ("a <b>", "c"))
    found = compare_runs(StoreArtifacts(tracker), pair)
    text = "\n".join(found.notes)
    assert text.count("has no per_slide.table.json") == 2 and text.count("has no score maps") == 2
    assert not found.slides and not found.refused and found.figures[0].test is None
    loss = next(figure for figure in json.loads(as_json(found))["metrics"] if figure["name"] == "train/loss")
    assert loss["one"] is None and loss["difference"] is None
    page = Page(render(found))
    assert "a <b>" in page.text and not page.pictures


# --- parts


def run(**tags):
    known = {"dataset": "glas", "data_digest": "d", "slides": "s", "metrics_schema": "m", "board": "b", **tags}
    named = {f"bench.{name}": value for name, value in known.items() if value is not None}
    return StoredRun("0" * 32, "", "FINISHED", {}, {}, named, "")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"data_digest": "e"}, "different data: d against e"),
        ({"slides": "t"}, "different test slides"),
        ({"metrics_schema": "n"}, "different definitions of the metrics"),
        ({"dataset": "other"}, "different datasets: glas against other"),
        ({"board": "c"}, "read by different code"),
        ({"slides": None}, "does not say on which test slides"),
    ],
)
def test_each_reason_refuses_a_test(tags, reason):
    assert not refusals(run(), run())
    for pair in ((run(), run(**tags)), (run(**tags), run())):
        assert len(refusals(*pair)) == 1
    assert reason in refusals(run(), run(**tags))[0]


def test_delong_is_made_of_the_units_of_both_runs(home):
    _, _, (one, *_) = home
    units = pd.read_csv(artifact(one, "units.csv"))
    first = units.assign(score=np.random.default_rng(3).random(len(units)))
    second = first.assign(score=first["score"] + 0.4 * first["label"])
    auc, empty = [Figure("image/auc", 0.5, 0.7)], pd.DataFrame()
    (figure,) = shared_figures.with_tests(auc, (empty, empty), (first, second[::-1]))
    expected = delong(units["label"], first["score"], second["score"])
    assert figure.test.p == figure.test.corrected == expected.p and figure.test.difference == expected.difference
    for wrong, reason in (
        (empty, "no readable units.csv"),
        (second[1:], "not the same"),
        (second.assign(label=1 - second["label"]), "not the same"),
        (second.assign(score=np.nan), "not a number"),
    ):
        (figure,) = shared_figures.with_tests(auc, (empty, empty), (first, wrong))
        assert reason in figure.test.refused and figure.test.p is None


# --- specificities on the same negatives

HEADER = "slide,patient,unit,label,score"


def units_text(scores, labels=(1, 0, 0, 0, 0, 0), patients="pqrstu"):
    lines = [
        f"s{i},{patients[i]},0,{label},{score}" for i, (label, score) in enumerate(zip(labels, scores, strict=False))
    ]
    return "\n".join((HEADER, *lines))


def units_of(text, folder):
    """The table of a units.csv, as a run's artifact gives it; empty where it is not one."""
    folder.joinpath("units.csv").write_text(text)
    try:
        return unit_table(SimpleNamespace(fetch=lambda run, path: [folder / path]), run())
    except MissingError:
        return pd.DataFrame()


def run_with(text, threshold=0.5):
    metrics = {
        "image/specificity": 0.5,
        "image/specificity_at_100": 0.5,
        "image/specificity_at_val": 0.5,
        "image/threshold_at_val": threshold,
    }
    return StoredRun("0" * 32, "", "FINISHED", metrics, {}, {}, ""), text


def compared(one, other):
    with tempfile.TemporaryDirectory() as folder:
        units = tuple(units_of(text, Path(folder)) for _, text in (one, other))
    return paired_specificities((one[0], other[0]), units)


def test_specificities_are_compared_at_each_runs_own_threshold():
    one = run_with(units_text([0.6, 0.1, 0.2, 0.3, 0.4, 0.5]), threshold=0.15)
    other = run_with(units_text([0.25, 0.1, 0.2, 0.3, 0.4, 0.7]), threshold=0.65)
    full, validation, half = compared(one, other)
    assert (full.thresholds, validation.thresholds, half.thresholds) == ((0.6, 0.25), (0.15, 0.65), (0.5, 0.5))
    assert (full.test.one, full.test.other, full.test.test.only_one, full.test.test.only_other) == (1.0, 0.4, 3, 0)
    assert (full.test.test.p, validation.test.test.p) == (0.25, 0.25)  # 3 against 0 both times: 2 / 2^3
    assert (validation.test.test.only_one, validation.test.test.only_other) == (0, 3)
    assert (half.test.one, half.test.other) == (0.8, 0.8)  # 0.5 is an alarm
    assert (full.corrected, validation.corrected, half.corrected) == (0.5, 0.5, None)
    assert (full.test.negatives, full.test.patients) == (5, 5)


def test_specificities_say_why_they_are_not_compared(found):
    one, scores = run_with(units_text([0.6, 0.1, 0.2, 0.3, 0.4, 0.5])), [0.6, 0.1, 0.2, 0.3, 0.4, 0.5]
    for text, reason in (
        ("", "`other` has no readable units.csv"),
        ("slide,label\na,1", "`other` has no readable units.csv"),
        (units_text(scores[:5], patients="pqrst"), "not the same"),
        (units_text(scores, (1, 1, 0, 0, 0, 0)), "not the same"),
        (units_text([0.6, "nan", 0.2, 0.3, 0.4, 0.5]), "not a number"),
    ):
        pairs = compared(one, run_with(text))
        assert len(pairs) == 3 and all(reason in pair.refused and pair.test is None for pair in pairs)
        shown = replace(found, specificities=pairs)
        assert reason in written(shown) and reason in Page(render(shown)).text
    bare = run()
    assert compared((bare, one[1]), (bare, one[1])) == ()


def written(difference, width=WIDTH):
    terminal = Console(width=width, record=True, file=io.StringIO())
    for part in as_tables(difference):
        terminal.print(part)
    return terminal.export_text()


def test_specificities_are_shown_with_what_they_leave_out(found):
    rng = np.random.default_rng(0)
    labels = [1] * 20 + [0] * 80
    tables = [units_text(0.3 * np.array(labels) + 0.7 * rng.random(100), labels, [f"p{i // 2}" for i in range(100)])]
    tables.append(
        units_text(0.2 * np.array(labels) + 0.7 * rng.random(100), labels, [f"p{i // 2}" for i in range(100)])
    )
    shown = replace(found, specificities=compared(*(run_with(text, 0.3 + 0.01234) for text in tables)))
    text, page = written(shown), " ".join(Page(render(shown)).text.split())
    assert max(map(len, text.splitlines())) <= WIDTH
    for told in (" ".join(text.split()), page):
        assert "Specificity on the same negatives" in told and "−0.025 to +0.250" in told and "23 : 14" in told
        assert "McNemar's exact test, corrected for 3 tests (Holm)" in told
        assert "80 negative units of 40 patients; right alone" in told
        assert "hold the thresholds fixed" in told and "the interval allows for it" in told
        assert "0.3123, 0.3123" in told
    first = json.loads(as_json(shown))["specificities"][0]
    pair = shown.specificities[0]
    assert first["rule"] == "100 % sensitivity on these test units" and first["thresholds"] == list(pair.thresholds)
    assert first["test"]["interval"] == list(pair.test.interval) and first["test"]["test"]["p"] == pair.test.test.p


def test_specificities_of_two_real_runs(home, found):
    _, _, (one, other, _) = home
    pairs = {pair.metric: pair for pair in found.specificities}
    assert set(pairs) >= {"image/specificity", "image/specificity_at_100"}
    for name, pair in pairs.items():
        kept = [json.loads(artifact(run, "metrics.json").read_text())["values"][name] for run in (one, other)]
        assert [pair.test.one, pair.test.other] == kept
    half, full = pairs["image/specificity"], pairs["image/specificity_at_100"]
    assert (half.test.one, half.test.other) == (0.0, 1.0) and half.test.test.only_other == half.test.negatives
    assert (full.test.one, full.test.other, full.corrected) == (0.0, 0.0, None)


def test_a_run_says_which_unit_sets_the_threshold_and_how_sure_its_rates_are(home):
    _, _, (one, *_) = home
    facts = json.loads(artifact(one, "metrics.json").read_text())["facts"]
    page = " ".join(Page(artifact(one, "summary.html").read_text()).text.split())
    for ending in ("100", "99_5", "99"):
        for what in ("threshold", "unit", "sensitivity", "threshold chosen again"):
            name = f"image/specificity_at_{ending}:{what}"
            assert f"{name}: {facts[name]}" in page
    for name in ("image/auc:DeLong", "image/specificity:at declared thresholds"):
        assert f"{name}: {facts[name]}" in page


def test_a_mask_goes_before_the_scores_and_unscored_cells_are_left_out(tmp_path):
    grid = Grid.regular((400, 200), 100)
    scores = np.array([[0.9, 0.1, 0.9, np.nan], [0.2, 0.2, 0.2, 0.2]], np.float32)
    mask = np.array([[0, 1, 1, 1], [0, 0, 0, 0]], np.float32)
    for name, values in (("one/scores/a", scores), ("other/scores/a", scores), ("other/masks/a", mask)):
        ScoreMap(grid, values).save(tmp_path / f"{name}.png")
    ScoreMap(Grid.regular((400, 200), 200), np.zeros((1, 2), np.float32)).save(tmp_path / "coarser.png")

    class Folder:
        def fetch(self, which, path):
            return sorted((tmp_path / which.name / path).glob("*.png"))

    one, other = (
        score_maps(Folder(), StoredRun("", name, "FINISHED", {}, {}, {}, ""))["a"] for name in ("one", "other")
    )
    assert decision(one)[1].tolist() == [[1, 0, 1, -1], [0, 0, 0, 0]]
    assert decision(other)[1].tolist() == [[0, 1, 1, -1], [0, 0, 0, 0]]
    rows = pd.DataFrame({"slide": ["a"], "pixel/dice": [0.5]})
    (gap,) = slide_gaps("pixel/dice", (rows, rows[["slide"]]), {"a": (one, other)})
    assert (gap.cells, gap.differing, gap.one, gap.other, gap.difference) == (7, 2, 0.5, None, None)
    (gap,) = slide_gaps("pixel/dice", (rows, rows), {"a": (one, Maps(tmp_path / "coarser.png"))})
    assert gap.share is None and "different grids" in gap.note
    (tmp_path / "broken.png").write_text("x")
    (gap,) = slide_gaps("pixel/dice", (rows, rows), {"a": (one, Maps(tmp_path / "broken.png"))})
    assert gap.share is None and "not a score map" in gap.note


def test_slides_are_chosen_by_size_of_the_difference_then_by_name():
    gaps = [
        SlideGap("d", 0.1, 0.9, 10, 1),
        SlideGap("c", 0.9, 0.1, 10, 1),
        SlideGap("b", 0.5, 0.5, 10, 9),
        SlideGap("a", None, 0.5, 10, 0),
    ]
    by_metric, by_share = most(gaps, 3)
    assert [gap.slide for gap in by_metric] == ["c", "d"] and [gap.slide for gap in by_share] == ["b", "c", "d"]
    assert [gap.slide for gap in most(gaps, 1)[1]] == ["b"]


def test_every_cell_is_drawn_where_it_lies():
    grid = Grid.regular((400, 200), 100)
    first = np.array([[1, 1, 0, -1], [0, 0, 0, 1]], np.int8)
    second = np.array([[1, 0, 1, 1], [0, 0, 0, -1]], np.int8)
    both, only_one, only_other = kinds(first, second)
    assert [np.argwhere(where).tolist() for where in (both, only_one, only_other)] == [[[0, 0]], [[0, 1]], [[0, 2]]]
    drawn = classes_in_picture(first, grid, (50, 20), (0, 0, 500, 200))
    assert np.array_equal(drawn[:, :40], np.kron(first, np.ones((10, 10))))
    assert (drawn[:, 40:] == -1).all()


def test_only_tissue_counts_for_who_is_right():
    first, second = np.array([[1, 1, 1, 0]], np.int8), np.array([[0, 0, 0, -1]], np.int8)
    truth = np.array([[1, 0, 0, 0]], np.int8)
    assert who_is_right(first, second, truth, None) == pytest.approx(1 / 3)
    assert who_is_right(first, second, truth, np.array([[True, True, False, True]])) == 0.5
    assert who_is_right(first, first, truth, None) is None
