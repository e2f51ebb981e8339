"""`--budget`: which slides, reviews and regions it pays, that `Labels` keeps to it, and that it is part of the run."""

import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from benchmark.annotations import ByShare, LabelImage, Note, Polygons, Region, Released
from benchmark.annotations.carried import CarriedAnnotation
from benchmark.annotations.drawn import Drawing
from benchmark.annotations.two_class_annotation import TwoClasses
from benchmark.budgets.allot import allot
from benchmark.budgets.allotment import Allotment, Regions
from benchmark.budgets.budget import RunBudget, least_text, read_budgets
from benchmark.budgets.nested_order import (
    Counted,
    across_strata,
    classes_of,
    counted,
    least,
    nested_order,
    paid_by_units,
)
from benchmark.budgets.within import within_budget
from benchmark.config import RunRequest
from benchmark.dataset import Split
from benchmark.errors import BlankSlideError, BudgetError, ConfigError, DataError, SupervisionError
from benchmark.ledger import Budget, Spending
from benchmark.registry import datasets, methods
from benchmark.reporting.command import run_command, stored_words
from benchmark.running.budgeted import budget_facts, budget_tags
from benchmark.running.job import OpenData, open_job, reopen_job
from benchmark.running.matrix import run_all
from benchmark.running.plan import plan
from benchmark.running.survey import Survey
from benchmark.seeds import seed_of
from benchmark.slides import Grid, Slide
from benchmark.supervision import Labels, Ledger, Supervision
from benchmark.tracking.offline_store import open_store

PRICES = {"image_labels": 2.0, "patch_labels": 0.5, "mask_pixels": 1e-4, "coarse_polygons": 1.0, "reviews": 0.25}
TENTH, HALF = RunBudget(0.1, "share"), RunBudget(0.5, "share")


def slides(patients, each, units=1, classes=(1,), start="p"):
    return [
        Counted(Slide(f"{start}{p}-{n}", Path(f"{start}{p}-{n}.png"), f"{start}{p}"), units, frozenset(classes))
        for p in range(patients)
        for n in range(each)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glas")
    datasets().load("glas").synthesize(folder, slides=24, seed=7)
    return folder


@pytest.fixture(scope="module")
def tiles(root):
    """12 training slides of 6 patients, half of them malignant, and 4 validation slides of 2."""
    kind = datasets().load("glas")
    return kind(root, kind.Options(target="malignant"))


def method(name, **changes):
    kind = methods().load(name)
    return kind(kind.Params(**{**kind.presets["smoke"], **changes}))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("3x", "expected a number with %, min, h or slides"),
        ("10", "expected a number with"),
        ("", "expected a number with"),
        ("101%", "at most 100%"),
        ("0%", "more than nothing"),
        ("2.5slides", "counted whole"),
        ("10%,10.0%", "comes twice"),
        ("2h,120min", "comes twice"),
    ],
)
def test_what_is_no_budget_is_refused(text, fault):
    with pytest.raises(ConfigError, match=fault):
        read_budgets(text)


def test_budgets_are_read_in_one_form():
    budgets = read_budgets("1%,90min,2h,20slides,1slide,100%")
    assert [budget and budget.text for budget in budgets] == ["1%", "90min", "2h", "20slides", "1slide", None]
    assert budgets[2] == RunBudget(120.0, "minutes")


def test_the_order_is_nested_stratified_and_lets_patients_take_turns():
    whole = [*slides(8, 3), *slides(4, 3, classes=(0,), start="n")]
    order = nested_order(whole, seed=0)
    assert sorted(each.slide.id for each in order) == sorted(each.slide.id for each in whole)
    assert least(order) == 2 and classes_of(order[:2]) == {0, 1}
    for count in (6, 12, 24):
        positive = sum(each.classes == {1} for each in order[:count])
        assert abs(positive - count * 2 / 3) <= 1
        patients = len({each.slide.patient for each in order[:count]})
        assert patients == min(8, positive) + min(4, count - positive)
    assert [each.slide.id for each in nested_order(whole[::-1], seed=0)] == [each.slide.id for each in order]
    assert [each.slide.id for each in nested_order(whole, seed=1)] != [each.slide.id for each in order]


def order_within_strata(whole, seed):
    """The order where no patient has slides in two strata, by its formula: turn, patient, place, slide."""
    strata, placed = {}, []
    for each in whole:
        strata.setdefault(each.classes, {}).setdefault(each.slide.patient, []).append(each)
    for patients in strata.values():
        turns = [
            (turn, seed_of("budget", seed, "patient", patient), each)
            for patient, own in patients.items()
            for turn, each in enumerate(sorted(own, key=lambda each: seed_of("budget", seed, "slide", each.slide.id)))
        ]
        stratum = [each for *_, each in sorted(turns, key=lambda turn: turn[:2])]
        for number, each in enumerate(stratum):
            place = (number + 0.5) / len(stratum) if number else 0.0
            placed.append((place, seed_of("budget", seed, "slide", each.slide.id), each))
    return [each for *_, each in sorted(placed, key=lambda entry: entry[:2])]


@given(
    patients=st.lists(st.tuples(st.sampled_from([(0,), (1,), (0, 1), ()]), st.integers(1, 6)), max_size=14),
    seed=st.integers(0, 2**40),
    mixed=st.randoms(use_true_random=False),
)
def test_where_no_patient_has_slides_in_two_strata_the_order_is_what_it_always_was(patients, seed, mixed):
    whole = [
        each
        for number, (classes, own) in enumerate(patients)
        for each in slides(1, own, classes=classes, start=f"{number}-")
    ]
    mixed.shuffle(whole)
    assert not across_strata(whole)
    assert nested_order(whole, seed) == order_within_strata(whole, seed)


@given(
    drawn=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([(0,), (1,), (0, 1)])), max_size=30),
    seed=st.integers(0, 99),
)
def test_whatever_patients_have_in_which_strata_every_slide_comes_once_and_strata_keep_their_places(drawn, seed):
    whole = [
        Counted(Slide(f"{n}", Path(f"{n}.png"), f"p{p}"), 1, frozenset(classes)) for n, (p, classes) in enumerate(drawn)
    ]
    order = nested_order(whole, seed)
    assert sorted(each.slide.id for each in order) == sorted(each.slide.id for each in whole)
    assert order == nested_order(whole[::-1], seed)
    size, taken, places = Counter(each.classes for each in order), Counter(), []
    for each in order:
        places.append((taken[each.classes] + 0.5) / size[each.classes] if taken[each.classes] else 0.0)
        taken[each.classes] += 1
    assert places == sorted(places)


@pytest.mark.parametrize("seed", range(5))
def test_patients_with_slides_in_every_stratum_take_turns_across_them(seed):
    whole = [*slides(20, 1), *slides(20, 1, classes=(0,))]
    whole = [Counted(replace(each.slide, id=f"{n}"), 1, each.classes) for n, each in enumerate(whole)]
    order = nested_order(whole, seed)
    for count in (2, 4, 10, 20):
        assert len({each.slide.patient for each in order[:count]}) == count
        assert sum(each.classes == {1} for each in order[:count]) == count / 2


def test_a_share_counts_units():
    order = [*slides(1, 1, units=6), *slides(1, 1, units=4, start="q"), *slides(1, 1, units=10, start="r")]
    assert [paid_by_units(order, share) for share in (0.29, 0.3, 0.5, 0.99, 1.0)] == [0, 1, 2, 2, 3]


def test_slides_are_the_same_for_every_method_and_validation_has_the_same_share(tiles):
    paid = {}
    for share in (0.25, 0.5, 0.8):
        chosen = [allot(RunBudget(share, "share"), {}, method(name), tiles, 0) for name in ("oeem", "pspnet", "abmil")]
        assert len({str(each.facts) for each in chosen}) == 1 and not chosen[0].short
        paid[share] = chosen[0].shown
    assert [len(shown[Split.TRAIN]) for shown in paid.values()] == [3, 6, 9]
    assert [len(shown[Split.VALIDATION]) for shown in paid.values()] == [0, 2, 3], "none where a class is left out"
    assert paid[0.25][Split.TRAIN] < paid[0.5][Split.TRAIN] < paid[0.8][Split.TRAIN]
    view = within_budget(tiles, chosen[0], 0)
    assert {slide.id for slide in view.slides(Split.TRAIN)} == paid[0.8][Split.TRAIN]
    assert view.slides(Split.TEST) == tiles.slides(Split.TEST) and len(view.slides(Split.VALIDATION)) == 3


def test_minutes_pay_what_the_labels_of_the_method_cost(tiles):
    train = nested_order(counted(tiles, Split.TRAIN), 0)
    prices = {**PRICES, "image_labels": 2.0}
    bought = allot(RunBudget(6.5, "minutes"), prices, method("abmil"), tiles, 0)
    assert bought.shown[Split.TRAIN] == {each.slide.id for each in train[:3]} and bought.spending.minutes == 6.5
    pixels = [width * height * 1e-4 for width, height in (each.slide.size for each in train)]
    drawn = allot(RunBudget(sum(pixels[:2]) + 1, "minutes"), prices, method("pspnet"), tiles, 0)
    assert drawn.shown[Split.TRAIN] == {each.slide.id for each in train[:2]}
    everything = allot(RunBudget(1e6, "minutes"), prices, method("abmil"), tiles, 0)
    assert everything.shown is None and everything.facts == []


@pytest.mark.parametrize(
    ("budget", "name", "fault"),
    [
        (TENTH, "oeem", "10% pays 1 of 12 training slides, less than one patient of each class, which takes 2 slides"),
        (RunBudget(1, "slides"), "oeem", "1slide pays 1 of 12 training slides, less than one patient of each class"),
        (RunBudget(99, "slides"), "oeem", "99slides are more than the 12 training slides"),
        (RunBudget(1, "minutes"), "abmil", r"less than one patient of each class, which takes 2 slides \(4min\)"),
        (RunBudget(0.1, "minutes"), "cnfp", "pays no reviews.*; the least that would do is 1.25min"),
        (RunBudget(0.1, "minutes"), "dknn", "coarse_polygons cost 1 each, so that the least that would do is 24min"),
        (RunBudget(9, "slides"), "dknn", "labels of every slide that it scores"),
        (RunBudget(9, "minutes"), "hybrid", "chosen while it learns"),
        (HALF, "constant", "learns from no labels"),
    ],
)
def test_a_budget_with_which_nothing_can_be_learnt_says_why(tiles, budget, name, fault):
    assert re.search(fault, allot(budget, PRICES, method(name), tiles, 0).short)


def test_the_least_that_would_do_does(tiles):
    class Doubled(type(tiles)):
        def slides(self, split):
            return super().slides(Split.TRAIN if split is Split.VALIDATION else split)

    doubled = Doubled(tiles.root, tiles.options)
    prices = {**PRICES, "image_labels": 1.0, "mask_pixels": 0.1 / 3, "reviews": 1 / 3, "coarse_polygons": 0.7}
    alone = {"search": "slide", "sessions": 80, "queries": 1}
    said = {}
    for name, changes in (("abmil", {}), ("pspnet", {}), ("dknn", {}), ("cnfp", {"queries": 1}), ("cnfp", alone)):
        for few in (RunBudget(0.01, "minutes"), RunBudget(0.001, "share")):
            short = allot(few, prices, method(name, **changes), doubled, 0).short
            if not short:
                assert (name, few.unit) == ("dknn", "share"), "one region at least"
                continue
            (least_budget,) = read_budgets(re.search(r"([\d.]+(?:min|%))\)?$", short)[1])
            assert not allot(least_budget, prices, method(name, **changes), doubled, 0).short, short
            less = replace(least_budget, amount=0.99 * least_budget.amount)
            assert allot(less, prices, method(name, **changes), doubled, 0).short, short
            said[name, few.unit] = short
    assert said["abmil", "minutes"].endswith("takes 2 slides (4min)"), "with 2 validation slides"
    everything = allot(RunBudget(0.99, "share"), PRICES, method("cnfp", budget=3), tiles, 0)
    assert everything.short.endswith("and asks for no more without a budget")


def test_the_least_share_is_rounded_up_to_as_many_slides():
    for number in (60, 61, 777):
        order = slides(number, 1)
        for count in range(1, number + 1):
            text = least_text(
                100 * count / number,
                "share",
                lambda known, order=order, count=count: paid_by_units(order, known.amount if known else 1) == count,
            )
            (known,) = read_budgets(text)
            assert paid_by_units(order, known.amount if known else 1) == count and len(text) <= 6


def test_labels_refuse_what_the_budget_does_not_pay(tiles):
    allotment = allot(RunBudget(0.8, "share"), PRICES, method("oeem"), tiles, 0)
    whole, paid = tiles.slides(Split.TRAIN), allotment.shown[Split.TRAIN]
    view = within_budget(tiles, allotment, 0)
    given = {"owner": "oeem", "spending": allotment.spending}
    labels = Labels(view, view.slides(Split.TRAIN), {Supervision.IMAGE}, Ledger(), **given)
    for slide in whole:
        if slide.id in paid:
            labels.image(slide)
        else:
            with pytest.raises(
                SupervisionError, match="80% does not pay: it pays 9 of 12 training slides.*none is left"
            ):
                labels.image(slide)


def test_labels_refuse_more_minutes_than_are_left(tiles):
    slide, other = tiles.slides(Split.TRAIN)[:2]
    spending = Spending("5min", minutes=5.0, prices=PRICES)
    labels = Labels(tiles, [slide, other], set(Supervision), Ledger(), owner="m", spending=spending)
    labels.image(slide)
    labels.image(slide)
    grid = tiles.patch_grid(slide)
    for col in range(2):
        labels.review(slide, grid, 0, col)
    with pytest.raises(
        BudgetError, match=r"full labels.* that take [\d.]+ min; 2.5 min of its budget of 5min are left"
    ):
        labels.full(slide)
    labels.image(other)
    with pytest.raises(BudgetError, match=r"patch labels.*; 0.5 min of its budget of 5min are left"):
        labels.patch(other, grid)


def test_labels_refuse_more_reviews_than_the_budget_pays(tiles):
    bought = allot(RunBudget(0.75, "minutes"), PRICES, method("cnfp", queries=1), tiles, 0)
    assert bought.shown is None and bought.spending.reviews == 3
    slide = tiles.slides(Split.TRAIN)[0]
    labels = Labels(tiles, [slide], {Supervision.REVIEW}, Ledger(), owner="cnfp", spending=bought.spending)
    grid = tiles.patch_grid(slide)
    for col in (0, 1, 2, 1):
        labels.review(slide, grid, 0, col)
    with pytest.raises(BudgetError, match="its 3 review labels, which its budget of 0.75min pays; none is left"):
        labels.review(slide, grid, 1, 0)
    plan = {"sessions": 4, "rounds": 2, "reviews": 5, "queries": 1}
    half = allot(HALF, PRICES, method("cnfp", **plan), tiles, 0)
    assert half.spending.reviews == 21 and half.notes == "at most 21 of 42 reviews"
    assert allot(HALF, PRICES, method("cnfp", **plan, budget=20), tiles, 0).spending.reviews == 10
    few = allot(TENTH, PRICES, method("cnfp", **{**plan, "queries": 3}), tiles, 0)
    begun = "a budget of 10% pays 4 reviews of 46; it begins with 6 queries (--set queries=…)"
    assert few.short == f"{begun}; the least that would do is 15.3%"
    alone = allot(HALF, PRICES, method("cnfp", search="slide", **{**plan, "sessions": 80}), tiles, 0)
    patches = {slide.id: np.prod(tiles.patch_grid(slide).shape) for slide in tiles.slides(Split.TEST)}
    assert all(alone.spending.reviews_of[name] == int(min(802, count) / 2) for name, count in patches.items())


def test_a_blank_or_small_slide_does_not_stop_a_share_of_reviews(tiles):
    blank, small = (slide.id for slide in tiles.slides(Split.TEST)[:2])

    class Thin(type(tiles)):
        def tissue(self, slide, grid):
            if slide.id == blank:
                raise BlankSlideError(f"slide {slide.id!r} holds no tissue")
            held = np.ones(grid.shape, bool)
            held.ravel()[4 if slide.id == small else held.size :] = False
            return held

    thin = Thin(tiles.root, tiles.options)
    plan = {"search": "slide", "sessions": 80, "reviews": 5, "queries": 1}
    alone = allot(RunBudget(0.2, "share"), PRICES, method("cnfp", **plan), thin, 0)
    most, scored = alone.spending.reviews_of, len(thin.slides(Split.TEST)) + len(thin.slides(Split.VALIDATION))
    assert most[blank] == 0 and most[small] == 1 and min(set(most.values()) - {0, 1}) > 2
    assert f"at most 1 to {max(most.values())} reviews of each of {scored - 1} slides" in alone.notes
    assert alone.notes.endswith(", of 1 no more than the queries it begins with; 1 without tissue")
    few = allot(RunBudget(0.001, "share"), PRICES, method("cnfp", **plan), thin, 0)
    assert few.short.startswith("a budget of 0.1% pays 1 review of any slide; it begins with 2 queries")
    blank = thin.slides(Split.TRAIN)[0].id
    assert allot(HALF, PRICES, method("cnfp"), thin, 0).spending.reviews == 8, "of 16"


def test_a_limit_of_reviews_per_slide_holds_for_every_slide(tiles):
    class Limited(methods().load("cnfp")):
        def budgets(self):
            return {Supervision.REVIEW: Budget(total=self.params.budget, per_slide=10)}

    def limited(**params):
        return Limited(Limited.Params(**{**Limited.presets["smoke"], "sessions": 80, **params}))

    half = allot(HALF, PRICES, limited(), tiles, 0)
    assert half.spending.reviews == 60 and half.notes == "at most 60 of 120 reviews", "12 training slides, 10 of each"
    assert allot(HALF, PRICES, limited(budget=50), tiles, 0).spending.reviews == 25
    assert half.revised and not allot(HALF, PRICES, method("cnfp", queries=1), tiles, 0).revised


def test_examples_are_as_many_as_the_budget_pays(tiles):
    slide, rng = tiles.slides(Split.TRAIN)[0], np.random.default_rng(0)
    spending = Spending("3", reviews=3)
    labels = Labels(tiles, [slide], {Supervision.REVIEW}, Ledger(), owner="cnfp", spending=spending)
    assert len(labels.examples(slide, tiles.patch_grid(slide), 0, 10, rng)) == 3
    with pytest.raises(BudgetError, match="none is left"):
        labels.examples(slide, tiles.patch_grid(slide), 0, 10, rng)


def test_a_refiner_is_given_a_part_of_the_regions_of_each_slide(tiles):
    class Drawn(type(tiles)):
        def coarse(self, slide):
            squares = [Region(box(40 * n, 0, 40 * n + 30, 30), 1) for n in range(10)]
            return Polygons([*squares, Region(box(5, 5, 10, 10), 0)])

    drawn = Drawn(tiles.root, tiles.options)
    slide, kept = drawn.slides(Split.TEST)[0], {}
    for text in ("5%", "30%", "60%"):
        (budget,) = read_budgets(text)
        allotment = allot(budget, PRICES, method("dknn"), drawn, 0)
        labels = Labels(within_budget(drawn, allotment, 0), [slide], {Supervision.COARSE}, Ledger(), sealed=True)
        annotation = labels.coarse(slide)
        kept[text] = {own.geometry.bounds for own in annotation.polygons() if own.label}
    assert [len(own) for own in kept.values()] == [1, 3, 6] and kept["5%"] < kept["30%"] < kept["60%"]
    scored = len(drawn.slides(Split.TRAIN)) + len(drawn.slides(Split.VALIDATION)) + len(drawn.slides(Split.TEST))
    assert allot(RunBudget(2.0 * scored, "minutes"), PRICES, method("dknn"), drawn, 0).regions.of(10) == 2


DISCS = [Region(Point(1500 * n + 900, 900).buffer(600), 1) for n in range(4)]
CELLS = Grid.regular((6400, 1800), 256)


def regions_of(annotation, number, tiles, seed=0):
    """What a refiner is shown of an annotation of which so many regions are paid, and the ledger."""

    class Drawn(type(tiles)):
        def coarse(self, slide):
            return annotation

    allotment = Allotment(Spending("x"), regions=Regions(number=number))
    drawn, ledger = Drawn(tiles.root, tiles.options), Ledger()
    slide = drawn.slides(Split.TEST)[0]
    labels = Labels(within_budget(drawn, allotment, seed), [slide], {Supervision.COARSE}, ledger, sealed=True)
    return labels.coarse(slide), ledger.totals()["coarse_polygons"]


@pytest.mark.parametrize(
    "rule",
    [
        lambda own: own,
        Released,
        lambda own: ByShare(own, 2, 0.75),
        lambda own: ByShare(Released(own), 2, 0.75),
        lambda own: CarriedAnnotation(Released(own), [0, 1]),
        lambda own: TwoClasses(ByShare(own, 2, 0.75), {1}, 2),
    ],
)
def test_a_part_of_an_annotation_is_read_by_the_rule_of_the_whole(tiles, rule):
    note, ignored, hole = Note("a note"), box(6200, 0, 6400, 1800), Region(Point(900, 900).buffer(300), 0)
    whole = rule(Polygons([*DISCS, hole], notes=[note], ignored=[ignored]))
    for number in (1, 2, 3):
        part, counted_as = regions_of(whole, number, tiles)
        kept = [own for own in part.polygons() if own.label]
        assert len(kept) == counted_as == number and part.notes == (note,)
        alone = rule(Polygons([*(own for own in DISCS if own in kept), hole], ignored=[ignored]))
        np.testing.assert_array_equal(part.labels(CELLS), alone.labels(CELLS))
        np.testing.assert_array_equal(part.ignored(CELLS), whole.ignored(CELLS))
        assert part.ignored(CELLS).any()


def test_the_released_rule_sees_outlines_of_a_part_as_they_were_drawn(tiles):
    bow = Polygon([(256, 256), (1536, 1536), (1536, 256), (256, 1536)])  # crosses itself: two pieces
    squares = [box(2048 + 1024 * n, 300, 2800 + 1024 * n, 1200) for n in range(3)]
    drawing = Drawing(Path("a.xml"))
    for shape in (bow, *squares):
        drawing.add(np.array(shape.exterior.coords), ["lesion"], "here", meaning=1)
    read = drawing.finish()
    assert not read.drawn[0].geometry.is_valid and read.count() == 5
    entire = 0
    for seed in range(12):
        part, counted_as = regions_of(Released(read), 3, tiles, seed)
        kept = [own.geometry for own in part.annotation.regions]
        assert counted_as == len(kept) == 3
        halves = [own for own in kept if own.bounds[2] <= 1536]
        first = part.annotation.drawn[: len(part.annotation.drawn) - sum(own in kept for own in squares)]
        assert [own.geometry for own in first] == ([bow] if len(halves) == 2 else halves)
        entire += len(halves) == 2
    assert 0 < entire < 12


def test_what_its_own_layer_cut_is_kept_as_far_as_it_is_paid(tiles):
    drawing = Drawing(Path("a.xml"))
    for layer, left in enumerate((0, 3000)):
        drawing.add(np.array(box(left, 0, left + 2000, 1500).exterior.coords), ["x"], "here", layer=layer, meaning=1)
        cut = box(left + 900, -10, left + 1100, 1600)
        drawing.add(np.array(cut.exterior.coords), ["x"], "here", layer=layer, meaning=1, negative=True)
    read = drawing.finish()
    assert read.count() == 4
    for seed in range(6):
        part, counted_as = regions_of(Released(read), 1, tiles, seed)
        (kept,) = part.annotation.regions
        assert counted_as == 1 and [own.geometry for own in part.annotation.drawn if own.label] == [kept.geometry]


def test_a_region_of_several_pieces_is_as_many_for_the_budget_as_for_the_ledger(tiles):
    five = Region(MultiPolygon([box(300 * n, 0, 300 * n + 200, 200) for n in range(5)]), 1)
    image = np.zeros((40, 60), np.uint8)
    image[:10, :10] = image[20:30, :10] = image[:10, 30:50] = 1
    image[30:, 50:] = 9
    traced = LabelImage(image, classes={1: 1}, ignore=[9])
    for seed in range(4):
        for whole in (Polygons([five, Region(box(0, 900, 100, 1000), 1)]), traced):
            part, counted_as = regions_of(whole, 1, tiles, seed)
            assert counted_as == part.count() == 1
        grid = Grid.pixels((60, 40))
        assert part.ignored(grid).sum() == 100 and 0 < part.labels(grid).sum() < traced.labels(grid).sum()


def test_an_annotation_around_another_has_its_outlines(tiles):
    class Half(ByShare):
        def polygons(self):
            return self.annotation.polygons()[:2]

    with pytest.raises(DataError, match="Polygons has 4 outlines, what holds it has 2"):
        regions_of(Half(Polygons(DISCS), 2, 0.5), 1, tiles)


def test_runs_of_a_part_of_the_regions_are_repeated(root, tiles, tmp_path):
    specs = spec_of(root, method="dknn", settings=("dataset.target=malignant",), budget="50%,100%")
    half, everything = (open_job(spec, tmp_path) for spec in specs)
    assert budget_facts(specs[0], half.allotment) != budget_facts(specs[0]) and half.allotment.bounds[0] != "regions"
    assert everything.allotment is None


def spec_of(root, **more):
    return plan(RunRequest(**{"method": "abmil", "dataset": "glas", "preset": "smoke", "data": str(root), **more}))


def test_a_budget_is_part_of_the_run_and_none_changes_nothing(root, tmp_path):
    options = ("dataset.target=malignant",)
    specs = spec_of(root, settings=options, budget="25%,100%,3slides,30min", seeds=(0, 1))
    assert [(spec.budget and spec.budget.text, spec.seed) for spec in specs[:3]] == [("25%", 0), ("25%", 1), (None, 0)]
    plain = spec_of(root, settings=options)[0]
    assert specs[2] == plain
    jobs = [open_job(spec, tmp_path) for spec in specs[::2]]
    assert len({job.identity for job in jobs}) == len({job.row for job in jobs}) == 4
    assert len({job.data_identity for job in jobs}) == 1, "one board's data"
    assert jobs[1].identity == open_job(plain, tmp_path).identity and "bench.budget" not in jobs[1].tags("cpu")
    assert jobs[0].tags("cpu")["bench.budget"] == "25%" and "budget=25%" in jobs[0].title
    assert jobs[0].training_digest == jobs[2].training_digest, "the same slides, so the stages are the same"
    assert jobs[3].training_digest == jobs[1].training_digest, "it pays everything"
    again = reopen_job(specs[0], tmp_path, jobs[0].known)
    assert [s.id for s in again.slides(Split.TRAIN)] == [s.id for s in jobs[0].slides(Split.TRAIN)]
    for spec in (specs[0], specs[6]):
        (tmp_path / "config.yaml").write_text(spec.as_file({}))
        assert plan(RunRequest(config=tmp_path / "config.yaml")) == [spec]
    command = run_command(method="a", dataset="b", preset="quick", seeds=[0], settings=specs[0].settings)
    assert shlex.split(command)[-4:] == ["--budget", "25%", "--set", "dataset.target=malignant"]


def test_runs_are_repeated_where_a_newer_rule_draws_other_slides_and_nowhere_else(root, tiles, tmp_path):
    class Mixed(type(tiles)):
        def slides(self, split):
            return [replace(slide, patient=f"p{n % 4}") for n, slide in enumerate(super().slides(split))]

    mixed = Mixed(tiles.root, tiles.options)
    assert across_strata(counted(mixed, Split.TRAIN)) and not across_strata(counted(tiles, Split.TRAIN))
    facts = []
    for data in (tiles, mixed):
        spec, whole = spec_of(root, settings=("dataset.target=malignant",), budget="60%,100%")
        paid, everything = (open_job(each, tmp_path, OpenData(data, "content", "data")) for each in (spec, whole))
        facts.append((paid.identity, everything.identity))
        bought = [allot(RunBudget(share, "share"), {}, method("abmil"), data, 3) for share in (0.3, 0.6, 0.9)]
        shown = [each.shown[Split.TRAIN] for each in bought]
        assert shown[0] < shown[1] < shown[2]
    assert facts[0][0] != facts[1][0] and facts[0][1] == facts[1][1]
    assert budget_facts(spec) == budget_facts(spec, allot(spec.budget, {}, method("abmil"), tiles, 0))


def test_minutes_need_a_price_and_a_cost_model_needs_minutes(root, tmp_path):
    model = tmp_path / "cost.yaml"
    model.write_text("image_labels: none\n")
    with pytest.raises(ConfigError, match="abmil learns from image_labels of glas, for which the cost model has no"):
        open_job(spec_of(root, budget="30min", cost_model=model)[0], tmp_path)
    assert open_job(spec_of(root, method="pspnet", budget="30min", cost_model=model)[0], tmp_path).allotment
    with pytest.raises(ConfigError, match="has no effect"):
        spec_of(root, budget="30%", cost_model=model)
    with pytest.raises(ConfigError, match="both --slide test_1 and --budget 30%"):
        spec_of(root, method="dknn", slide="test_1", budget="30%")
    model.write_text("image_labels: {minutes: 3, source: own}\n")
    dear, cheap = spec_of(root, budget="30min", cost_model=model)[0], spec_of(root, budget="30min")[0]
    asked = [stored_words(budget_tags(spec)) for spec in (dear, cheap)]
    assert asked == [["--cost-model", "YOUR-COST-MODEL.yaml"], []]
    assert open_job(dear, tmp_path).identity != open_job(cheap, tmp_path).identity


def test_minutes_need_a_price_for_what_is_counted_of_these_slides(tiles, miniatures):
    kind = datasets().load("crc")
    crc, budget = kind(miniatures["crc"], kind.Options()), RunBudget(1000, "minutes")
    none = {name: {own: price for own, price in PRICES.items() if own != name} for name in PRICES}
    assert not allot(budget, none["mask_pixels"], method("linear-probe"), crc, 0).short, "tiles have classes, no masks"
    for name, absent, data in (
        ("linear-probe", "patch_labels", crc),
        ("pspnet", "mask_pixels", tiles),
        ("cnfp", "reviews", crc),
        ("dknn", "coarse_polygons", tiles),
    ):
        with pytest.raises(ConfigError, match=f"{name} learns from {absent} of {data.name}.*no minutes"):
            allot(budget, none[absent], method(name), data, 0)
        assert not allot(HALF, {}, method("pspnet"), tiles, 0).short
    assert "chosen while it learns" in allot(budget, none["mask_pixels"], method("hybrid"), crc, 0).short


def test_labels_without_a_price_are_refused_where_minutes_are_counted(tiles):
    slide = tiles.slides(Split.TRAIN)[0]
    spending = Spending("5min", minutes=5.0, prices={"image_labels": 1.0})
    labels = Labels(tiles, [slide], set(Supervision), Ledger(), owner="m", spending=spending)
    with pytest.raises(SupervisionError, match="m asked for patch_labels, for which its budget of 5min has no minutes"):
        labels.patch(slide, tiles.patch_grid(slide))


def test_a_budget_too_small_is_skipped_and_the_others_run(root, tmp_path, capsys):
    request = RunRequest(
        method="mean-mil",
        dataset="glas",
        preset="smoke",
        settings=("dataset.target=malignant",),
        data=str(root),
        budget="1%,60%",
        jobs=0,
    )
    assert run_all(request) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 skipped, 1 ok" in said and "a budget of 1% pays 0 of 12 training slides" in said
    tracker = open_store(None)
    (run,) = [run for run in tracker.stored() if run.status == "FINISHED"]
    assert run.tag("budget") == "60%" and run.metrics["labels/image_labels"] == 9
    assert run.metrics["cost/label_minutes"] == pytest.approx(9 * 0.333), "what the store draws curves against"
    (page,) = tmp_path.rglob("summary.html")
    assert "Budget 60%: 7 of 12 training slides" in page.read_text() and "budget 60%: 7 of 12" in said
    (prospect,) = Survey(tmp_path / "cache", tracker, False, False).of(spec_of(root, budget="1%"))
    assert prospect.outcome.state == "skipped"
    with pytest.raises(ConfigError, match="nothing can be learnt with these budgets"):
        run_all(RunRequest(**{**request.__dict__, "budget": "1%,2%"}))
