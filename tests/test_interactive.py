"""Interactive annotation end to end: on training slides, on a slide by itself, with an expert of any kind."""

import csv
import json

import numpy as np
import pytest
from fitting import Reporter
from scipy import stats
from shapely import box
from typed import typed

from benchmark.annotations import Polygons
from benchmark.config import RunRequest, resolve
from benchmark.context import ClassMap, Context
from benchmark.dataset import Split
from benchmark.effort import area, logged_curves, mean_over_slides, reviews_to, summary_of
from benchmark.errors import BlankSlideError, ConfigError, DataError
from benchmark.expert import AnswerFile, cell_classes, create_expert
from benchmark.registry import datasets, methods
from benchmark.reporting.report.effort_chart import Band, shown_part
from benchmark.reporting.report.looks import look
from benchmark.running.appraise import Appraiser, class_metrics
from benchmark.running.job import open_job
from benchmark.running.plan import plan
from benchmark.supervision import Labels, Ledger, View
from benchmark.testing.datasets import shared_miniature

SMALL = {"sessions": 1, "rounds": 2, "reviews": 2, "queries": 1, "epochs": 1}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    def opened(name):
        return shared_miniature(datasets().load(name), tmp_path_factory)

    return opened


class Trial:
    """A method fitted on a dataset with its own expert, watched on the test slides; not with `tested` None."""

    def __init__(self, dataset, folder, name="cnfp", *, fit=True, tested="here", **changes):
        kind = methods().load(name)
        self.dataset = dataset
        self.method = kind(resolve(kind, "smoke", {**SMALL, **changes}))
        self.ledger, self.reporter = Ledger(), Reporter()
        self.context = Context(
            geometry=dataset,
            folder=folder,
            ledger=self.ledger,
            reporter=self.reporter,
            appraiser=None if tested is None else Appraiser(dataset, dataset.slides(Split.TEST), tested),
        ).bind(self.method)
        if fit:
            views = [View(dataset.slides(split), self.labels(split)) for split in (Split.TRAIN, Split.VALIDATION)]
            self.method.fit(*views, self.context)

    def labels(self, split):
        return Labels(
            self.dataset,
            self.dataset.slides(split),
            self.method.supervision,
            self.ledger,
            budgets=self.method.budgets(),
            sealed=split is Split.TEST,
            expert=create_expert(self.method.expert(), self.dataset, 0),
        )

    def predict(self, slide):
        return self.method.predict(slide, self.labels(Split.TEST), self.context)

    def curves(self):
        return logged_curves(self.reporter.history)


def test_tiles_of_many_classes_are_searched_and_held_out_tiles_told(world, tmp_path):
    crc = world("crc")
    trial = Trial(crc, tmp_path, sessions=3)
    assert trial.ledger.totals()["reviews"] == 9 + 3 * 2 * 2, "a query of each class, then sessions · rounds · K"
    slide = crc.slides(Split.TEST)[0]
    told = trial.predict(slide)
    assert told.classes.shape == crc.evaluation_grid(slide).shape and set(np.unique(told.classes)) <= set(range(9))
    assert told.embeddings.values.shape == (36, 96)
    np.testing.assert_array_equal(told.mask, told.classes == crc.classes.index("TUM"))
    curves = trial.curves()
    parts = {name.split("/")[0] for name in curves}
    assert parts == {"delivered", "unreviewed", "held_out"}
    assert [reviews for reviews, _ in curves["held_out/accuracy"]] == [2, 4, 6, 8, 10, 12]
    assert {"held_out/p_at_10", "held_out/perfect_p_at_10", "held_out/f1_TUM", "held_out/f1_macro"} <= set(curves)


def test_curves_are_scores_of_what_the_method_says(world, tmp_path):
    pcam = world("pcam")
    trial = Trial(pcam, tmp_path)
    slide = pcam.slides(Split.TEST)[0]
    told, truth = trial.predict(slide), pcam.truth(slide).labels(pcam.evaluation_grid(slide))
    assert trial.curves()["held_out/accuracy"][-1][1] == pytest.approx((told.classes == truth).mean())
    delivered, unreviewed = (trial.curves()[f"{part}/accuracy"][-1][1] for part in ("delivered", "unreviewed"))
    known, cells = 4 + 1, pcam.slides(Split.TRAIN)[0].size[0] // 96 * 2
    assert delivered * cells == pytest.approx(unreviewed * (cells - known) + known), "reviewed cells are right"


def test_a_test_slide_is_annotated_by_itself_and_kept_apart_on_leaderboards(world, tmp_path):
    slides = world("camelyon16")
    trial = Trial(slides, tmp_path, search="slide")
    assert trial.ledger.totals()["reviews"] == 0, "training slides are not asked about"
    assert trial.method.track() == "review of the slide itself" != Trial(slides, tmp_path, fit=False).method.track()
    positive = next(s for s in slides.slides(Split.TEST) if slides.unit_labels(s).any())
    told = trial.predict(positive)
    assert {slide for _, slide, _ in trial.ledger.answers} == {positive.id}
    assert told.figures["sessions"].ndim == 3
    grid = slides.evaluation_grid(positive)
    truth = cell_classes(slides.truth(positive), grid, 2, 0.5)
    for _, _, item in trial.ledger.answers:
        row, col = map(int, item.partition(":")[2].split(","))
        assert told.classes[row, col] == truth[row, col], "reviewed cells carry the expert's label"
    logs = mean_over_slides(trial.reporter.history, [positive.id])
    assert {name.split("/")[1] for name, _, _ in logs} == {"delivered", "unreviewed"}
    healthy = next(s for s in slides.slides(Split.TEST) if not slides.unit_labels(s).any())
    told = trial.predict(healthy)
    assert not told.mask.any() and "found no cell of the wanted class" in told.notes[0]


def test_a_spent_budget_ends_the_sessions_cleanly(world, tmp_path):
    trial = Trial(world("pcam"), tmp_path, sessions=5, reviews=3, budget=6)
    assert trial.ledger.totals()["reviews"] == 6
    slide = world("pcam").slides(Split.TEST)[0]
    assert "more than its 6 review labels" in trial.predict(slide).notes[0]
    assert trial.curves()["held_out/accuracy"][-1][0] == 5, "a query and five reviews, the last round half answered"
    with pytest.raises(DataError, match="found no training patch"):
        Trial(world("pcam"), tmp_path / "none", budget=1, queries=1, query_class="tumour", sessions=1).predict(slide)


def test_budgets_of_slides_are_per_slide(world, tmp_path):
    slides = world("camelyon16")
    trial = Trial(slides, tmp_path, search="slide", budget=3)
    positive = [s for s in slides.slides(Split.TEST) if slides.unit_labels(s).any()][:2]
    for slide in positive:
        assert trial.predict(slide).notes
    assert trial.ledger.totals()["reviews"] == 3 * len(positive)


def test_k_larger_than_the_set_reviews_all_of_it(world, tmp_path):
    pcam = world("pcam")
    trial = Trial(pcam, tmp_path, reviews=10_000)
    assert trial.ledger.totals()["reviews"] == 22
    assert trial.curves()["delivered/accuracy"] == [(21, 1.0)] and "unreviewed/accuracy" not in trial.curves()


def test_an_erring_expert_is_believed(world, tmp_path):
    trial = Trial(world("pcam"), tmp_path, reviews=10_000, expert_error=1.0, expert_seconds=3.0)
    assert trial.curves()["delivered/accuracy"] == [(21, pytest.approx(1 / 22))], "all but the query are wrong"
    assert trial.ledger.review_seconds == 66.0


def test_recorded_answers_are_replayed_to_the_same_scores(world, tmp_path):
    pcam = world("pcam")
    first = Trial(pcam, tmp_path / "first")
    kept = AnswerFile(tmp_path / "answers.jsonl", pcam.classes)
    for number, ((_, slide, item), answer) in enumerate(first.ledger.answers.items()):
        kept.append(slide, item, answer, example=number == 0)
    again = Trial(pcam, tmp_path / "again", expert_answers=str(kept.path))
    slide = pcam.slides(Split.TEST)[0]
    np.testing.assert_array_equal(again.predict(slide).scores.values, first.predict(slide).scores.values)
    assert again.ledger.answers == first.ledger.answers
    lines = kept.path.read_text().splitlines()[:-1]
    kept.path.write_text("\n".join(lines) + "\n")
    short = Trial(pcam, tmp_path / "short", expert_answers=str(kept.path))
    assert "holds no answer about cell" in short.predict(slide).notes[0]


def test_a_slide_without_tissue_is_blank(world, tmp_path, monkeypatch):
    slides = world("camelyon16")
    monkeypatch.setattr(type(slides), "tissue", lambda self, slide, grid: np.zeros(grid.shape, bool))
    slide = slides.slides(Split.TEST)[0]
    with pytest.raises(BlankSlideError, match="no tissue cell to review"):
        Trial(slides, tmp_path, search="slide").predict(slide)
    with pytest.raises(DataError, match="no training slide with tissue"):
        Trial(slides, tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("query_class=TUMOR", "unknown class 'TUMOR'"),
        ("feedback=relevant", "feedback=relevant would mix 9 classes"),
        ("expert_answers=nowhere.jsonl", "expert_answers"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_while_the_run_is_planned(world, tmp_path, setting, message):
    asked = ("random", "crc", "smoke", (setting,))
    request = RunRequest(*asked, data=str(world("crc").root), device="cpu", store=f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(ConfigError, match=message):
        open_job(plan(request)[0], tmp_path)
    written = {path.parent.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {"digests"}, "nothing was computed or stored but what the data are"


def test_relevant_or_not_tells_one_class_from_the_others(world, tmp_path):
    crc = world("crc")
    trial = Trial(crc, tmp_path, feedback="relevant", query_class="TUM", reviews=20)
    told = trial.predict(crc.slides(Split.TEST)[0])
    assert set(np.unique(told.classes)) <= {0, crc.classes.index("TUM")}
    assert trial.curves()["delivered/accuracy"][-1][1] > trial.curves()["unreviewed/accuracy"][-1][1] - 1e-9


def test_several_slides_are_searched_together(world, tmp_path):
    slides = world("camelyon16")
    trial = Trial(slides, tmp_path, "random", reviews=12, queries=2)
    reviewed = {slide for _, slide, _ in trial.ledger.answers}
    assert len(reviewed) > 2 and reviewed <= {slide.id for slide in slides.slides(Split.TRAIN)}


def test_across_slides_the_slide_of_the_queries_is_not_searched(world, tmp_path):
    slides = world("camelyon16")
    trial = Trial(slides, tmp_path, reviews=500, rounds=1, queries=2, query_slides=1)
    asked = [slide for _, slide, _ in trial.ledger.answers]
    assert asked[0] == asked[1] and asked[0] not in asked[2:], "two queries of one slide, then the others alone"
    assert len(set(asked)) == len(slides.slides(Split.TRAIN)), "all of them"
    with pytest.raises(ConfigError, match="it belongs to search=train"):
        Trial(slides, tmp_path, search="slide", query_slides=1, fit=False)


def test_areas_to_ignore_are_not_asked_about(world, tmp_path, monkeypatch):
    slides = world("camelyon16")
    truth = type(slides).truth

    def left_out(self, slide):
        width, height = slide.size
        return Polygons(truth(self, slide).polygons(), ignored=[box(0, 0, width / 2, height)])

    def asked(folder):
        trial, half = Trial(slides, tmp_path / folder, reviews=500, rounds=1), {True: 0, False: 0}
        for _, name, item in trial.ledger.answers:
            slide = next(slide for slide in slides.slides(Split.TRAIN) if slide.id == name)
            grid, col = slides.evaluation_grid(slide), int(item.rpartition(",")[2])
            half[bool(grid.x[col] + grid.width / 2 < slide.size[0] / 2)] += 1
        return half

    whole = asked("whole")
    monkeypatch.setattr(type(slides), "truth", left_out)
    assert whole[True] and asked("half") == {True: 0, False: whole[False]}


def test_strategies_that_share_a_cache_share_no_result(world, tmp_path):
    trials = [Trial(world("pcam"), tmp_path, name) for name in ("random", "top-k", "coreset")]
    assert len({tuple(trial.ledger.answers) for trial in trials}) == 3
    assert not any(record.reused for trial in trials for record in trial.context.records)
    queries = [next(iter(trial.ledger.answers)) for trial in trials]
    assert queries[0] == queries[1] == queries[2], "of one seed they begin with the same queries"


def test_curves_are_of_the_slides_that_this_run_is_tested_on(world, tmp_path):
    def reused(tested):
        trial = Trial(world("pcam"), tmp_path, tested=tested, rounds=1)
        assert bool(trial.curves()) is (tested is not None)
        return trial.context.records[0].reused

    assert [reused(tested) for tested in (None, "here", "elsewhere", "here", None)] == [False] * 3 + [True] * 2


def test_normalisation_is_of_the_searched_patches_alone(world, tmp_path):
    pcam = world("pcam")
    trial = Trial(pcam, tmp_path)
    slide = pcam.slides(Split.TRAIN)[0]
    width, height = slide.size
    whole = slide.read(0, 0, width, height, downsample=3).reshape(-1, 3) / 255  # tiles of 96 px as 32 px
    mean, std = trial.method.state()["learnt"]["normalisation"]
    np.testing.assert_allclose(mean, whole.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(std, whole.std(axis=0), atol=0.03)
    assert Trial(pcam, tmp_path, normalisation="encoder").method.state()["learnt"]["normalisation"] is None


def test_metrics_of_classes():
    truth = np.repeat([1, 0, 1, 0], [80, 10, 20, 890]).astype(np.int8)
    told = np.repeat([1, 1, 0, 0], [80, 10, 20, 890]).astype(np.int8)
    metrics = class_metrics(truth, told, ("normal", "tumour"))
    expected = {
        "accuracy": 0.97,
        "f1_macro": 0.912765,
        "jaccard_macro": 0.847332,
        "f1_normal": 0.983425,
        "jaccard_normal": 0.967391,
        "f1_tumour": 0.842105,
        "jaccard_tumour": 0.727273,
    }
    assert metrics == pytest.approx(expected, abs=1e-6)


def test_nothing_is_scored_where_nothing_is_known(world):
    pcam = world("pcam")
    slide = pcam.slides(Split.TEST)[0]
    grid = pcam.evaluation_grid(slide)
    nothing = ClassMap(slide, grid, np.full(grid.shape, -1, np.int8))
    appraise = Appraiser(pcam, [], "")
    assert appraise([nothing], share=None, only=None) == {} == appraise([], share=0.5, only=None)


def test_curves_over_effort():
    history = [("effort/x/accuracy", 0.5, 10), ("effort/x/accuracy", 0.9, 30), ("effort/x/accuracy", 0.7, 20)]
    curve = logged_curves(history)["x/accuracy"]
    assert curve == [(10, 0.5), (20, 0.7), (30, 0.9)]
    assert area(curve) == pytest.approx(0.7) and area(curve[:1]) == 0.5
    assert summary_of(history) == {"effort/x/accuracy.area": pytest.approx(0.7)}
    assert [reviews_to(curve, goal) for goal in (0.1, 0.7, 0.95)] == [10, 20, None]


def test_the_mean_over_slides_holds_the_last_value_of_those_that_ended():
    points = [("a/b", 0.2, 5), ("a/b", 0.6, 10), ("c", 1.0, 5), ("validation", 0.0, 5)]
    history = [(f"effort_of_slide/{slide}/delivered/f1", value, reviews) for slide, value, reviews in points]
    name = "effort/delivered/f1"
    assert mean_over_slides(history, ["a/b", "c"]) == [(name, 0.6, 5), (name, 0.8, 10)]


def test_band_of_seeds():
    curves = [[(5, 0.5), (10, 0.7), (15, 0.8)], [(5, 0.7), (10, 0.9)]]
    band = Band.of(look(0), curves)
    assert band.reviews.tolist() == [5, 10] and band.mean.tolist() == pytest.approx([0.6, 0.8])
    np.testing.assert_allclose(band.half, stats.sem([0.5, 0.7]) * stats.t.ppf(0.975, 1))
    assert "95% of the ceiling: 10 reviews" in band.words(0.75)
    assert "not reached in 10" in band.words(0.95) and "2 seeds" in band.words(None)
    assert Band.of(look(0), curves[:1]).half is None
    assert Band.of(look(0), [[(5, 0.5)], [(6, 0.5)]]) is None
    runs = [{"delivered/f1_macro": [(5, 0.5)], "held_out/f1_macro": [(5, 0.5)]}, {"delivered/f1_macro": [(5, 0.5)]}]
    assert shown_part([runs]) == "delivered" and shown_part([runs[:1]]) == "held_out" and shown_part([]) is None


def bench(*arguments):
    done = typed(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_runs_keep_curve_answers_and_strip_and_the_report_draws_the_strategies(tmp_path):
    many = ["--preset", "smoke", "--data", "synthetic", "--dataset", "pcam", "--seeds", "0,1", "--jobs", "0"]
    bench("run", "--method", "cnfp,random,linear-probe", *many)
    efforts = list(tmp_path.rglob("effort.csv"))
    assert len(efforts) == 4
    folder = efforts[0].parent
    rows = list(csv.DictReader(efforts[0].open()))
    assert {row["part"] for row in rows} == {"delivered", "unreviewed", "held_out"}
    answers = list(csv.DictReader((folder / "answers.csv").open()))
    assert len(answers) == json.loads((folder / "labels.json").read_text())["reviews"]
    assert {row["who"] for row in answers} == {"simulated"}
    assert (folder / "figures" / "test_sessions.png").is_file() and (folder / "curves" / "effort.png").is_file()
    bench("report", "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Macro F1 of held-out cells over reviews, track review" in page
    assert "Lines: full supervision" in page and page.count("of the ceiling:") == 2 and "t-intervals over seeds" in page
