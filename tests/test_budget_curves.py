"""Curves over budgets against hand-worked examples: heights, areas, crossings, intervals, and other prices."""

import csv
import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from pandas import DataFrame
from sklearn.metrics import roc_auc_score
from test_leaderboard import SLIDES, stored

from benchmark.cli import main
from benchmark.commands import leaderboard as commands
from benchmark.commands.leaderboard import require_curves
from benchmark.errors import ConfigError
from benchmark.metrics.classification import delong_variance
from benchmark.reporting.budget_curves.build_curves import curve_sets
from benchmark.reporting.budget_curves.crossings import Crossing, crossings, reaches, sensitivity
from benchmark.reporting.budget_curves.curve_sentences import sentence
from benchmark.reporting.budget_curves.curve_set import CurveSet
from benchmark.reporting.budget_curves.curve_words import NOTES, page_notes, sheets
from benchmark.reporting.budget_curves.influences import influence_of_runs
from benchmark.reporting.budget_curves.label_curve import (
    LabelCurve,
    area,
    for_good,
    height,
    interval,
    minutes_to,
    shared_grid,
)
from benchmark.reporting.budget_curves.resamples import influence_of_auc, influence_of_mean, resampled
from benchmark.reporting.label_cost import read_cost_model
from benchmark.reporting.leaderboard import leaderboard_tables as show
from benchmark.reporting.leaderboard.build_boards import boards
from benchmark.reporting.leaderboard.build_leaderboard import Filters, build_leaderboard
from benchmark.reporting.report.budget_charts import name_lines, write_plot
from benchmark.reporting.report.write_report import render
from benchmark.reporting.style import figure
from benchmark.stored import method_params

DECADES = np.array([1.0, 10.0, 100.0])


def curve(name, minutes, values, **more):
    values = np.array(values, float)
    values = values[:, None] if values.ndim == 1 else values
    given = {"track": "image", "budgets": tuple(map(str, minutes)), "seeds": tuple(range(values.shape[1]))}
    return LabelCurve(name, minutes=np.array(minutes, float), values=values, **{**given, **more})


def test_height_and_area_are_linear_in_the_logarithm():
    values = np.array([0.0, 0.5, 0.7])
    assert height(DECADES, values, np.array([1.0, 10**0.5, 10.0, 10**1.5, 100.0])) == pytest.approx(
        [0, 0.25, 0.5, 0.6, 0.7]
    )
    assert area(DECADES, values) == pytest.approx((0.25 + 0.6) / 2)
    assert area(np.array([5.0]), np.array([0.3])) == 0.3


def test_minutes_to_a_goal():
    rows = np.array([[0.0, 0.5, 0.7], [0.6, 0.5, 0.9], [0.0, 0.1, 0.2], [0.0, 0.6, 0.4]])
    assert minutes_to(DECADES, rows, 0.6) == pytest.approx([10**1.5, -np.inf, np.inf, 10.0])


def test_two_lines_cross_where_they_are_worked_out_to():
    # Between 1 and 10 min the difference goes from −0.2 to +0.2: zero in the middle of the decade.
    dear, cheap = curve("dear", DECADES, [0.3, 0.7, 0.9]), curve("cheap", DECADES, [0.5, 0.5, 0.5])
    for pair in ([dear, cheap], [cheap, dear]):
        (found,) = crossings(pair, None)
        assert (found.winner, found.loser) == ("dear", "cheap") and found.minutes == pytest.approx(10**0.5)
    (down,) = crossings([dear, cheap], None, up=False)
    assert down.winner == "cheap" and down.minutes == pytest.approx(10**0.5)
    assert found.earlier == 0
    (again,) = crossings([curve("dear", DECADES, [0.6, 0.4, 0.9]), cheap], None)
    assert (again.winner, again.earlier) == ("dear", 1), "it is above at first, then below, then above for good"


def test_curves_of_other_budgets_are_compared_where_both_are():
    one, other = curve("one", [2, 8, 200], [0.1, 0.5, 0.6]), curve("other", [1, 20, 50], [0.3, 0.3, 0.3])
    assert shared_grid(one.minutes, other.minutes).tolist() == [2, 8, 20, 50]
    (found,) = crossings([one, other], None)
    assert found.minutes == pytest.approx(np.exp(np.log(2) + np.log(4) / 2)) and (found.start, found.end) == (2, 50)
    (apart,) = crossings([one, curve("far", [300, 900], [0.1, 0.2])], None)
    assert not apart.crosses and apart.start == apart.end == 0


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (
            [0.9, 0.8, 1.0],
            [0.8, 0.8, 0.9],
            "from 1 min to 1.67 h: A is above B throughout; equal at 10 min",
        ),
        ([0.5, 0.7, 0.8], [0.5, 0.6, 0.7], "from 1 min to 1.67 h: A is above B throughout; equal at 1 min"),
        ([0.5, 0.7, 1.0], [0.4, 0.6, 1.0], "A is above B throughout; equal at 1.67 h"),
        ([0.4, 0.6, 1.0], [0.5, 0.7, 1.0], "B is above A throughout; equal at 1.67 h"),
        ([0.1 + 0.2, 0.5, 0.6], [0.3, 0.3, 0.3], "A is above B throughout; equal at 1 min"),
        ([0.4, 0.5, 0.5], [0.5, 0.5, 0.5], "B is above A throughout; equal at 10 min and 1.67 h"),
        ([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], "A and B are equal throughout"),
        ([0.4, 0.5, 0.6], [0.5, 0.5, 0.5], "below 10 min B is above A, above it A is above B"),
    ],
)
def test_curves_that_are_equal_at_a_budget_touch_there_and_do_not_cross(one, other, told):
    pair = [curve("A", DECADES, one), curve("B", DECADES, other)]
    for each in (pair, pair[::-1]):
        (found,) = crossings(each, None)
        text = sentence(found)
        assert text.endswith(told) or text.endswith(told.replace("A and B", "B and A"))
    seeds = [curve(each.name, DECADES, each.values.repeat(3, axis=1)) for each in pair]
    (found,) = crossings(seeds, resampled(seeds))
    assert found.low is None or found.low == found.high == found.minutes


def test_from_when_on_for_good():
    grid = DECADES
    rows = np.array([[1, 1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, -1], [1, 1, 0]], float)
    assert for_good(grid, rows) == pytest.approx([-np.inf, 10**1.5, 10**0.5, np.inf, -np.inf])
    ties = np.array([[1, 0, 1], [0, 1, 1], [-1, 0, 1], [-1, 0, 0], [0, 0, 0], [0, -1e-12, 1], [1, -1, 0]], float)
    assert for_good(grid, ties) == pytest.approx([-np.inf, -np.inf, 10, np.inf, np.inf, -np.inf, np.inf])
    assert interval(np.array([-np.inf, *range(1, 20), np.inf])) == (-np.inf, np.inf)
    assert interval(np.arange(1001.0)) == (25.0, 975.0)


def test_the_spread_of_resamples_is_that_of_seeds_and_patients():
    rng = np.random.default_rng(0)
    values = 0.5 + rng.normal(0, 0.02, (2, 12))
    by_seeds = curve("a", [1, 10], values)
    (moved,) = resampled([by_seeds], draws=40_000)
    variance = values.var(axis=1, ddof=1) / 12 * 11 / 9  # of t with 11 degrees of freedom
    assert moved.mean(axis=0) == pytest.approx(by_seeds.mean, abs=5e-4)
    assert moved.var(axis=0) == pytest.approx(variance, rel=0.05)
    slides = rng.uniform(size=(2, 30))
    patients = [n // 2 for n in range(30)]
    influence = np.array([influence_of_mean(row, patients, 15) for row in slides])
    names = tuple(f"p{n:02d}" for n in range(15))
    by_patients = curve("b", [1, 10], [0.5, 0.6], patients=names, influence=influence)
    (moved,) = resampled([by_patients], draws=40_000)
    sums = slides.reshape(2, 15, 2).mean(axis=2)
    assert moved.var(axis=0) == pytest.approx(sums.var(axis=1, ddof=1) / 15, rel=0.05)


def test_the_same_seeds_and_patients_move_all_methods_together():
    noise = np.random.default_rng(1).normal(0, 0.05, 5)
    values = np.array([0.4 + noise, 0.6 + noise])
    one, other = curve("one", [1, 10], values), curve("other", [1, 10], values + 0.01)
    first, second = resampled([one, other])
    assert np.ptp(second - first) < 1e-12 and first.std() > 0.01


def test_the_influence_of_units_on_an_auc_gives_delong_s_variance():
    rng = np.random.default_rng(2)
    labels = (rng.uniform(size=60) < 0.4).astype(int)
    scores = np.round(rng.normal(labels, 1.0), 1)
    influence = influence_of_auc(labels, scores, np.arange(60), 60)
    positive, negative = labels.sum(), (1 - labels).sum()
    own = [np.var(influence[labels == kind] * n, ddof=1) / n for kind, n in ((1, positive), (0, negative))]
    assert sum(own) == pytest.approx(delong_variance(labels, scores), rel=1e-12)
    twice = roc_auc_score([*labels, labels[0]], [*scores, scores[0]])
    assert twice - roc_auc_score(labels, scores) == pytest.approx(influence[0], rel=0.1)


def test_a_crossing_has_an_interval_and_says_how_sure_the_end_is():
    rng = np.random.default_rng(3)
    steep = curve("steep", DECADES, np.array([[0.3], [0.7], [0.9]]) + rng.normal(0, 0.02, (3, 5)))
    flat = curve("flat", DECADES, np.array([[0.5], [0.5], [0.5]]) + rng.normal(0, 0.02, (3, 5)))
    (found,) = crossings([steep, flat], resampled([steep, flat]))
    assert found.low < found.minutes < found.high and found.sure == 1.0
    (near, level) = reaches([steep, flat], resampled([steep, flat]), 0.6)
    assert near.low < near.minutes < near.high < 10 and level.minutes == np.inf == level.high


@pytest.mark.parametrize("values", [([0.6, 0.81], [0.5, 0.9]), ([0.6, 0.8], [0.55, 0.79])])
def test_one_seed_without_patients_has_no_interval(values):
    one, other = (curve(name, DECADES[:2], own) for name, own in zip(("one", "other"), values, strict=True))
    assert resampled([one, other]) == [None, None]
    seeds = curve("other", DECADES[:2], np.array(values[1])[:, None] + np.array([-0.01, 0.0, 0.02]))
    for pair in ([one, other], [one, seeds], [seeds, one]):
        (found,) = crossings(pair, resampled(pair))
        assert found.low is found.high is found.sure is found.before is None
        assert "beats" not in sentence(found) and "%" not in sentence(found) and "[" not in sentence(found)
        intervals = {each.name: each.low for each in reaches(pair, resampled(pair), 0.7)}
        assert intervals["one"] is None and (pair == [one, other]) == (intervals["other"] is None)
    runs = [run for run in runs_of(boxes=("coarse", (0.3, 0.6, 0.8))) if run.tag("seed") == "1"]
    cost = read_cost_model(None)
    (alone,) = curve_sets(boards(runs, cost), cost)
    assert alone.notes == ("no interval: one seed, no patients: boxes quick",)
    (tested,) = curve_sets(boards(runs, cost), cost, slides=slides_of, units=units_of)
    assert tested.notes == ("one seed, so that intervals leave its chance out: boxes quick",)


def test_other_prices_move_the_crossing_of_methods_with_other_labels():
    cost = read_cost_model(None)
    tens = [{"image_labels": 30.0 * 10**n} for n in range(3)]
    boxes = [{"coarse_polygons": 10.0 * 10**n} for n in range(3)]
    minutes = [[cost.minutes(each) for each in counts] for counts in (tens, boxes)]
    one = curve("one", minutes[0], [0.5, 0.5, 0.5], counts=tuple(tens))
    other = curve("other", minutes[1], [0.3, 0.7, 0.9], counts=tuple(boxes))
    (base,) = crossings([one, other], None)
    moved = {(each.counter, each.times): each.crossing.minutes for each in sensitivity([one, other], cost)}
    assert moved["coarse_polygons", 2.0] == pytest.approx(2 * base.minutes)
    assert moved["coarse_polygons", 0.5] == pytest.approx(base.minutes / 2)
    assert moved["image_labels", 2.0] == pytest.approx(base.minutes)


LABELS = {"image": ("labels/image_labels", 20.0), "coarse": ("labels/coarse_polygons", 40.0)}
SHARES = {"10%": 0.1, "30%": 0.3, "": 1.0}
PATIENTS = [f"p{n // 2}" for n in range(20)]


def run_of(method, track, budget, seed, value, **tags):
    name, all_of_them = LABELS[track]
    labels = {counter: 0.0 for counter, _ in LABELS.values()} | {name: all_of_them * SHARES[budget]}
    more = {"supervision": track, "row": f"{method} {budget}", "settings": f"budget={budget}" if budget else ""}
    tags = {**more, **({"budget": budget} if budget else {}), **tags}
    return replace(stored(method, value, seed=seed, metrics=labels, **tags), id=f"{method}{budget}{seed}")


def runs_of(**methods):
    """Method → (track, values at 10 %, 30 % and all), three seeds each."""
    return [
        run_of(method, track, budget, seed, value + 0.01 * (seed - 1))
        for method, (track, values) in methods.items()
        for budget, value in zip(SHARES, values, strict=True)
        for seed in range(3)
    ]


def slides_of(run):
    rng = np.random.default_rng(int(run.tags["bench.seed"]))
    values = run.metrics["pixel/miou"] + rng.normal(0, 0.05, 20)
    return DataFrame({"slide": SLIDES, "pixel/miou": values})


def units_of(run):
    return DataFrame({"slide": SLIDES, "patient": PATIENTS, "unit": 0, "label": [0, 1] * 10, "score": 0.5})


def test_boards_of_budgets_become_curves_on_one_axis():
    runs = runs_of(boxes=("coarse", (0.3, 0.6, 0.8)), words=("image", (0.5, 0.55, 0.6)))
    runs.append(replace(stored("constant", 0.2, supervision="none"), id="c"))
    found = boards(runs, read_cost_model(None))
    assert [board.budget for board in found] == ["", "10%", "30%"] and len({board.data for board in found}) == 1
    assert found[1].drawn and "budget=10%" in found[1].title
    (curves,) = curve_sets(found, read_cost_model(None), slides=slides_of, units=units_of)
    by_name = {each.name.split()[0]: each for each in curves.curves}
    assert by_name["boxes"].minutes == pytest.approx([4, 12, 40]) and by_name["boxes"].budgets == ("10%", "30%", "100%")
    assert by_name["words"].minutes == pytest.approx([0.666, 1.998, 6.66])
    assert by_name["boxes"].patients == tuple(sorted(set(PATIENTS))) and by_name["boxes"].influence.shape == (3, 10)
    assert curves.levels == {"constant quick": 0.2} and curves.goal == pytest.approx(0.95 * 0.8)
    (crossing,) = curves.crossings
    # Both cover 4 to 6.66 min, where boxes rise from 0.3 and words are at 0.57 and more: no crossing yet.
    assert (
        crossing.winner.startswith("words")
        and crossing.minutes == -np.inf
        and (crossing.start, crossing.sure)
        == (
            pytest.approx(4),
            1.0,
        )
    )
    reach = next(each for each in curves.reaches if each.name.startswith("boxes"))
    between = (np.log(40) - np.log(12)) * (0.76 - 0.6) / 0.2
    assert reach.minutes == pytest.approx(np.exp(np.log(12) + between)) and reach.low < reach.minutes < reach.high


def test_patients_are_known_from_the_table_per_slide_alone_but_not_those_of_an_auc():
    runs = [[run_of("a", "coarse", "10%", 0, 0.5)], [run_of("a", "coarse", "", 0, 0.6)]]
    told = lambda run: slides_of(run).assign(patient=PATIENTS)  # noqa: E731
    nothing = lambda run: DataFrame()  # noqa: E731
    from_slides = influence_of_runs("pixel/miou", runs, told, nothing)
    from_units = influence_of_runs("pixel/miou", runs, slides_of, units_of)
    assert from_slides[0] == from_units[0] == tuple(sorted(set(PATIENTS)))
    np.testing.assert_array_equal(from_slides[1], from_units[1])
    assert influence_of_runs("image/auc", runs, told, nothing)[0] == ()


def test_minutes_and_labels_are_of_the_seeds_of_the_values():
    runs = runs_of(boxes=("coarse", (0.3, 0.6, 0.8)))
    dear = run_of("boxes", "coarse", "10%", 3, 0.9)
    dear = replace(dear, metrics={**dear.metrics, "labels/coarse_polygons": 4000.0})
    ((curves,), (more,)) = (
        curve_sets(boards(each, read_cost_model(None)), read_cost_model(None)) for each in (runs, [*runs, dear])
    )
    for one, other in zip(curves.curves, more.curves, strict=True):
        assert (one.seeds, one.minutes.tolist(), one.counts) == (other.seeds, other.minutes.tolist(), other.counts)


def test_an_interval_holds_the_truth_where_it_covers_it(repository):
    path = repository / "measurements/crossing_coverage.py"
    spec = importlib.util.spec_from_file_location("crossing_coverage", path)
    coverage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(coverage)
    dear = Crossing("dear", "cheap", 3.0, 200.0, 50.0, 30.0, 90.0)
    assert coverage.holds(dear, 46.8) and not coverage.holds(dear, 20.0)
    cheap = Crossing("cheap", "dear", 3.0, 200.0, -np.inf, -np.inf, np.inf)
    assert coverage.holds(cheap, 46.8), "in some resamples the dear one overtakes"
    assert not coverage.holds(replace(cheap, high=-np.inf), 46.8), "in none of them"


def test_what_is_said_of_a_crossing():
    inside = Crossing("pspnet", "oeem", 20.0, 600.0, 126.0, 72.0, 216.0, 0.99, 0.98)
    assert sentence(inside) == "below 2.1 h [1.2 h, 3.6 h] oeem beats pspnet, above it pspnet beats oeem"
    assert "[< 20 min, > 10 h]" in sentence(replace(inside, low=-np.inf, high=np.inf))
    twice = sentence(replace(inside, earlier=2))
    assert twice.startswith("from 2.1 h [1.2 h, 3.6 h] on pspnet beats oeem; below it they cross 2 times more")
    throughout = replace(inside, minutes=-np.inf)
    assert sentence(throughout) == "no crossing from 20 min to 10 h: pspnet beats oeem throughout (99% of resamples)"
    doubt = "pspnet is above oeem throughout, but not surely (56% of resamples)"
    assert sentence(replace(throughout, sure=0.56)).endswith(doubt)
    assert "no minutes that both cover" in sentence(Crossing("a", "b", 0.0, 0.0))
    assert "are equal throughout" in sentence(replace(inside, minutes=np.inf))


def test_beats_is_said_only_where_the_resamples_support_it():
    inside = Crossing("pspnet", "oeem", 20.0, 600.0, 126.0, 72.0, 216.0, 0.74, 0.98)
    where = "2.1 h [1.2 h, 3.6 h]"
    doubt = "pspnet is above oeem, but not surely (74% of resamples)"
    assert sentence(inside) == f"below {where} oeem beats pspnet, above it {doubt}"
    early = "oeem is above pspnet, but not surely (60% of resamples)"
    assert sentence(replace(inside, sure=0.98, before=0.6)) == f"below {where} {early}, above it pspnet beats oeem"
    assert sentence(replace(inside, earlier=1)).startswith(f"from {where} on {doubt};")
    touching = sentence(replace(inside, sure=0.98, equal=(300.0,)))
    assert touching == f"below {where} oeem beats pspnet, above it pspnet is above oeem; equal at 5 h"
    none = replace(inside, low=None, high=None, sure=None, before=None)
    assert sentence(none) == "below 2.1 h oeem is above pspnet, above it pspnet is above oeem"


def test_what_resamples_agree_on_is_asked_at_every_budget():
    """One is ahead by far at the end, and by less than the seeds differ at the start."""
    spread = np.array([[-0.05, 0.0, 0.05], [0.0, 0.05, -0.05], [0.05, -0.05, 0.0]])
    one = curve("one", DECADES, np.array([[0.51], [0.52], [0.9]]) + spread)
    other = curve("other", DECADES, np.array([[0.5], [0.5], [0.5]]) - spread)
    samples = resampled([one, other])
    (found,) = crossings([one, other], samples)
    above = samples[0] > samples[1]
    assert found.minutes == -np.inf and np.mean(above[:, -1]) > 0.975 and found.high > 1
    assert found.sure == np.mean(above.all(axis=1)) < 0.6 and "is above other throughout, but not" in sentence(found)
    late = curve("late", DECADES, np.array([[0.49], [0.48], [0.9]]) + spread)
    (found,) = crossings([late, other], resampled([late, other]))
    assert found.sure > 0.975 > found.before and "late beats other" in sentence(found)
    assert "other is above late, but not surely" in sentence(found)


def test_a_budget_that_is_left_out_is_named_with_its_seed_and_metric():
    runs = runs_of(boxes=("coarse", (0.3, 0.6, 0.8)))
    (place,) = (n for n, run in enumerate(runs) if (run.tag("budget"), run.tag("seed")) == ("10%", "1"))
    runs[place] = replace(runs[place], metrics={n: v for n, v in runs[place].metrics.items() if n != "pixel/miou"})
    (found,) = curve_sets(boards(runs, read_cost_model(None)), read_cost_model(None))
    assert found.curves[0].budgets == ("30%", "100%")
    assert found.notes[0] == "boxes quick: left out are 10% (no mIoU of seed 1)"


def test_a_curve_is_of_one_set_of_parameters_and_says_when_its_code_changed(tmp_path):
    def changed(run):
        whole = run.tag("budget") is None
        return replace(run, ended=10 if whole else 1, tags={**run.tags, "bench.code": "2" if whole else "1"})

    class Configs(NoArtifacts):
        def fetch(self, run, path):
            if path != "config.yaml" or run.tag("budget") == lost:
                return []
            (tmp_path / path).write_text(f"params:\n  lr: {1 if run.tag('budget') == '10%' else 9}\n  batch: 0.50\n")
            return [tmp_path / path]

    runs, lost = [changed(run) for run in runs_of(boxes=("coarse", (0.3, 0.6, 0.8)))], "no budget"
    (found,) = build_leaderboard(runs, Filters(), store="s", artifacts=Configs()).curves
    assert found.curves[0].budgets == ("30%", "100%")
    told = "boxes quick: left out are 10% (older runs with other parameters: lr=1, newest 9)"
    assert found.notes[:2] == (told, "runs of 2 versions of the code: 1, 2")
    lost = "10%"
    (found,) = build_leaderboard(runs, Filters(), store="s", artifacts=Configs()).curves
    assert found.curves[0].budgets == ("10%", "30%", "100%")
    assert found.notes[0] == "boxes quick: the parameters at 10% are not known"
    of_record = replace(runs[0], params={"lr": "1", "batch": "0.5", "seed": "0", "dataset.side": "4"})
    assert method_params(Configs(), of_record) == {"lr": "1", "batch": "0.5"}
    assert method_params(Configs(), runs[-1]) == {"lr": "9", "batch": "0.5"}


def test_budgets_in_minutes_at_several_prices_are_told_apart():
    def two_hours(run):
        price = {"10%": "aaa", "30%": "bbb"}.get(run.tag("budget"))
        paid = {"budget": "2h", "label_minutes": price, "settings": "budget=2h", "row": "row of 2h"} if price else {}
        return replace(run, tags={**run.tags, **{f"bench.{name}": text for name, text in paid.items()}})

    runs = [two_hours(run) for run in runs_of(boxes=("coarse", (0.3, 0.6, 0.8)))]
    (found,) = curve_sets(boards(runs, read_cost_model(None)), read_cost_model(None))
    assert found.curves[0].budgets == ("2h at prices aaa", "2h at prices bbb", "100%")
    (found,) = curve_sets(boards(runs[3:], read_cost_model(None)), read_cost_model(None))
    assert found.curves[0].budgets == ("2h", "100%")


def test_labels_that_cost_nothing_are_not_called_none(tmp_path):
    (tmp_path / "free.yaml").write_text("image_labels: {minutes: 0, source: gift}\n")
    cost = read_cost_model(tmp_path / "free.yaml")
    runs = [*runs_of(words=("image", (0.5, 0.55, 0.6))), replace(stored("constant", 0.2, supervision="none"), id="c")]
    only = build_leaderboard(runs, Filters(), store="s", artifacts=None, cost=cost)
    with pytest.raises(ConfigError, match="words quick: its labels cost 0 by this cost model") as refused:
        require_curves(only)
    assert "--cost-model" in refused.value.fix
    (found,) = curve_sets(boards([*runs, *runs_of(boxes=("coarse", (0.3, 0.6, 0.8)))], cost), cost)
    assert found.levels == {"constant quick": 0.2} and [each.name for each in found.curves] == ["boxes quick"]
    assert any(note.startswith("words quick: its labels cost 0") for note in found.notes)


def test_the_page_says_which_pairs_it_leaves_out_and_which_crossings_other_prices_take_away():
    cost = read_cost_model(None)
    counts = ([{"image_labels": 30.0 * 10**n} for n in range(3)], [{"coarse_polygons": 10.0 * 10**n} for n in range(3)])
    minutes = [[cost.minutes(each) for each in own] for own in counts]
    one = curve("one", minutes[0], [0.5, 0.5, 0.5], counts=tuple(counts[0]))
    other = curve("other", minutes[1], [0.49, 0.7, 0.9], counts=tuple(counts[1]))
    usual = {"board": "b", "dataset": "tiles", "title": "t", "metric": "pixel/miou", "goal": 0.6, "levels": {}}
    usual = {**usual, "reaches": (), "cost": cost}
    pair = (one, other)
    found = CurveSet(
        curves=pair, crossings=tuple(crossings(pair, None)), sensitivity=tuple(sensitivity(pair, cost)), **usual
    )
    assert found.crossings[0].crosses and any(not each.crossing.crosses for each in found.sensitivity)
    (told,) = (note for note in page_notes(found) if note.startswith("At other prices"))
    gone = [each for each in found.sensitivity if not each.crossing.crosses]
    assert told.count("(the crossing is gone)") == len(gone)
    assert all(f"×{each.times:g}: {sentence(each.crossing)} (the" in told for each in gone)
    many = [curve(f"m{n}", DECADES, [0.1 * n, 0.2 * n, 0.9 - 0.1 * n]) for n in range(7)]
    found = CurveSet(curves=tuple(many), crossings=tuple(crossings(many, None)), sensitivity=(), **usual)
    notes = page_notes(found)
    left = "9 further pairs of methods are left out here: bench leaderboard --dataset tiles --curve --metric pixel/miou"
    assert left in notes and len(found.crossings) == 21


def test_budgets_without_a_price_or_a_common_seed_are_named():
    runs = [
        run_of("a", "image", "10%", 0, 0.5),
        run_of("a", "image", "", 1, 0.6),
        *runs_of(b=("coarse", (0.1, 0.2, 0.3))),
    ]
    cost = read_cost_model(None).model_copy(update={"coarse_polygons": None})
    assert curve_sets(boards(runs, cost), cost) == []
    (curves,) = curve_sets(boards(runs, read_cost_model(None)), read_cost_model(None))
    assert [each.name for each in curves.curves] == ["b quick"] and "no seed in common" in curves.notes[0]
    assert any("not over patients: b quick" in note for note in curves.notes)


def test_tables_json_and_picture_say_the_same(tmp_path):
    runs = runs_of(boxes=("coarse", (0.3, 0.6, 0.8)), words=("image", (0.5, 0.55, 0.6)))
    found = build_leaderboard(runs, Filters(), store="s", artifacts=None, goal=0.7)
    text = show.markdown([sheet for each in found.curves for sheet in sheets(each)], NOTES)
    assert "| boxes quick | coarse | 10% | 4 polygons | 4 min | 0.300 ± 0.025 |" in text
    assert "to mIoU 0.700" in text and "polygons ×0.5" in text and "no crossing from 4 min to 6.66 min" in text
    (facts,) = json.loads(show.as_json(found))["curves"]
    assert facts["goal"] == 0.7 and facts["crossings"][0]["minutes"] == "-inf"
    write_plot(found.curves, tmp_path / "curves.svg")
    assert "boxes quick (coarse)" in (tmp_path / "curves.svg").read_text()
    with pytest.raises(ConfigError, match="ends in .png"):
        write_plot(found.curves, tmp_path / "curves.txt")
    page = render(found, NoArtifacts())
    assert (page.count("mIoU against label time, by budget") == 1 and "At other prices" in page) or "Area:" in page


@pytest.mark.parametrize("name", ["pspnet quick (full)", "unet iterations=850 max_epochs=100.0 quick (full)"])
def test_the_names_of_curves_stay_within_the_picture(name):
    drawn = figure(6.4, 4.8)
    drawn.add_subplot(1, 1, 1).plot([[0] * 5, [1] * 5])
    name_lines(drawn, [name] * 5)
    drawn.draw_without_rendering()
    legend = drawn.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= drawn.bbox.width


class NoArtifacts:
    def fetch(self, run, path):
        return []


def test_curves_as_csv_have_a_line_per_budget(monkeypatch, capsys):
    runs = [*runs_of(boxes=("coarse", (0.3, 0.6, 0.8))), replace(stored("constant", 0.2, supervision="none"), id="c")]
    monkeypatch.setattr(commands, "sources", lambda *_, **__: (None, []))
    monkeypatch.setattr(
        "benchmark.notebook.read_leaderboard",
        lambda *_, **__: build_leaderboard(shown, Filters(), store="s", artifacts=None),
    )
    shown = runs
    with pytest.raises(SystemExit):
        main(["leaderboard", "--curve", "--format", "csv"])
    constant, *lines = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (constant["method"], constant["minutes"], constant["mean"]) == ("constant quick", "0.0", "0.2")
    assert [(line["budget"], float(line["minutes"])) for line in lines] == [("10%", 4), ("30%", 12), ("100%", 40)]
    assert float(lines[0]["mean"]) == pytest.approx(0.3) and lines[0]["labels"] == "4 polygons"
    assert float(lines[0]["half"]) == pytest.approx(0.025, abs=5e-4) and lines[0]["seeds"] == "0 1 2"
    shown = [stored("a", 0.5)]
    for form in ("csv", "json"):
        with pytest.raises(SystemExit) as end:
            main(["leaderboard", "--curve", "--format", form])
        assert end.value.code == 2 and "has run at two budgets" in " ".join(capsys.readouterr().err.split())


def test_without_budgets_the_command_says_how_to_run_them(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", "--curve"])
    assert end.value.code == 2
    with pytest.raises(ConfigError, match="has run at two budgets"):
        require_curves(build_leaderboard([stored("a", 0.5)], Filters(), store="s", artifacts=None))
