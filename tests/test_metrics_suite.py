"""The suite: everything that applies, and a reason for everything that does not."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import ConfigError, PredictionError
from benchmark.metrics.calibration_report import calibrate
from benchmark.metrics.evidence import uncounted
from benchmark.metrics.objects import object_f1
from benchmark.metrics.refinement import RefinementEvidence
from benchmark.metrics.segmentation import Confusion
from benchmark.metrics.suite import METRICS, SCHEMA, gather, metric_info, summarise

law = settings(deadline=None)  # the first call imports scikit-learn or SciPy

NAN = math.nan


def grid(*rows, kind=np.float32):
    return np.array(rows, kind)


def evidence(slide="s", patient="p", *, truth=((1, 0),), scores=((0.9, 0.1),), units=((1, 0.9),), **more):
    labels, values = zip(*units, strict=True) if units else ((), ())
    return gather(
        slide,
        patient,
        truth=grid(*truth, kind=np.int8),
        scores=grid(*scores),
        unit_labels=np.array(labels, np.int8),
        unit_scores=np.array(values, np.float32),
        **more,
    )


def cohort(slides=12, size=24, seed=0, **more):
    """Two slides per patient; blocks as truth, noisy scores, four units each."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(slides):
        instances = np.zeros((size, size), np.int32)
        instances[2 : size // 2, 2 : size - 4], instances[size // 2 + 2 : -2, 3 : size // 2] = 1, 2
        truth = (instances > 0).astype(np.int8)
        scores = np.clip(truth * 0.4 + 0.3 + rng.normal(0, 0.2, truth.shape), 0, 1).astype(np.float32)
        units = np.array([0, 1, int(index % 4 == 0), 0], np.int8)
        made.append(
            gather(
                f"s{index}",
                f"p{index // 2}",
                truth=truth,
                scores=scores,
                instances=instances,
                coarse=np.roll(truth, 2, axis=1),
                unit_labels=units,
                unit_scores=np.clip(units * 0.3 + rng.random(4) * 0.6, 0, 1).astype(np.float32),
                **{"subset": "A" if index < slides // 2 else "B", **more},
            )
        )
    return made


# --- gather


def test_a_tie_is_negative_and_unscored_cells_do_not_count():
    slide = evidence(truth=[[1, 1, 0, 2]], scores=[[0.5, 0.500001, NAN, NAN]])
    assert slide.cells == Confusion(tp=1, fn=1)
    assert slide.unscored == 2


def test_only_tissue_counts():
    slide = evidence(
        truth=[[1, 1, 0]],
        scores=[[0.9, 0.9, NAN]],
        tissue=grid([1, 0, 0], kind=bool),
        instances=grid([1, 2, 0], kind=np.int32),
        coarse=grid([0, 0, 1], kind=np.int8),
    )
    assert (slide.cells, slide.unscored) == (Confusion(tp=1), 0)
    assert slide.coarse == RefinementEvidence(wrong=1, mended=1)
    assert (slide.objects.tp, slide.objects.fp, slide.objects.fn) == (1, 0, 0)
    assert (slide.objects.area_predicted, slide.objects.area_truth) == (1, 1)


def test_objects_are_those_of_the_positive_class():
    slide = evidence(truth=[[1, 0, 0]], scores=[[0.9, 0.1, 0.1]], instances=grid([1, 0, 2], kind=np.int32))
    assert object_f1(slide.objects) == 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"scores": [[0.1]]}, r"slide 's': expected scores of shape \(1, 2\) .*got \(1, 1\)"),
        ({"tissue": np.ones((2, 1), bool)}, "expected tissue of shape"),
        ({"units": [(2, 0.5)]}, "unit labels must be 0 or 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_slide(wrong, text):
    with pytest.raises(PredictionError, match=text):
        evidence(**wrong)


def test_units_may_come_as_a_grid_but_must_be_as_many():
    maps = {"truth": np.zeros((1, 1), np.int8), "scores": np.zeros((1, 1), np.float32)}
    slide = gather("s", "p", **maps, unit_labels=grid([0, 1], kind=np.int8), unit_scores=grid([0.1, 0.2]))
    assert slide.unit_labels.tolist() == [0, 1]
    with pytest.raises(PredictionError, match="expected 2 unit scores, got 1"):
        gather("s", "p", **maps, unit_labels=grid([0, 1], kind=np.int8), unit_scores=grid([0.1]))


# --- values, against published vectors and by hand


def test_published_image_level_vector_with_the_unit_that_sets_the_threshold():
    labels, scores = [1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.6, 0.3, 0.5, 0.3, 0.2, 0.1, 0.05]
    slides = [evidence(f"s{i}", f"p{i}", units=[unit]) for i, unit in enumerate(zip(labels, scores, strict=True))]
    summary = summarise(slides, validation=[evidence("v", "q", units=[(1, 0.6), (0, 0.7), (1, 0.8)])])
    values = summary.values
    assert values["image/auc"] == pytest.approx(0.9)
    assert values["image/sensitivity"] == pytest.approx(2 / 3)
    assert values["image/specificity"] == pytest.approx(0.8)  # 0.5 >= 0.5 is positive
    assert values["image/specificity_at_100"] == pytest.approx(0.6)
    assert values["image/threshold_at_100"] == pytest.approx(0.3)
    assert values["image/threshold_at_val"] == pytest.approx(0.6)
    assert values["image/sensitivity_at_val"] == pytest.approx(2 / 3)
    assert values["image/specificity_at_val"] == 1.0
    assert summary.facts["image/specificity_at_100:unit"] == "s2"
    assert summary.facts["image/threshold_at_val:unit"] == "v#0"
    assert summary.facts["image/specificity_at_100:sensitivity"] == "3 of 3, 95 % interval 0.2924 to 1.0000"
    assert summary.intervals["image/specificity_at_100"] == pytest.approx((0.146633, 0.947255), abs=1e-6)
    assert summary.intervals["image/specificity"] == pytest.approx((0.283582, 0.994949), abs=1e-6)  # one unit each


def test_cells_and_refinement_are_pooled_over_slides():
    slides = [
        evidence(
            "a", "p", truth=[[1, 1, 0, 0]], scores=[[0.9, 0.1, 0.9, 0.1]], coarse=grid([1, 0, 0, 1], kind=np.int8)
        ),
        evidence(
            "b", "q", truth=[[1, 1, 1, 0]], scores=[[0.9, 0.9, 0.9, 0.1]], coarse=grid([1, 1, 1, 1], kind=np.int8)
        ),
    ]
    summary = summarise(slides)
    expected = {
        "pixel/iou": 4 / 6,
        "pixel/iou_background": 2 / 4,
        "pixel/miou": 7 / 12,
        "pixel/dice": 8 / 10,
        "pixel/f1": 8 / 10,
        "pixel/dice_from_miou": 14 / 19,
        "pixel/f1_macro": (8 / 10 + 4 / 6) / 2,
        "pixel/tpr": 4 / 5,
        "pixel/ppv": 4 / 5,
        "pixel/npv": 2 / 3,
        "pixel/accuracy": 6 / 8,
        "pixel/coverage": 1.0,
        "refine/cleaned": 100 * 2 / 3,
        "refine/mis_modified": 100 * 1 / 5,
        "refine/accuracy_gain": 100 * 1 / 8,
    }
    assert {name: summary.values[name] for name in expected} == pytest.approx(expected)
    assert [row["pixel/iou"] for row in summary.per_slide] == pytest.approx([1 / 3, 1])


def test_every_metric_has_a_value_or_a_reason_and_never_nan():
    for slides in (cohort(), cohort(2), cohort(1), [], [evidence()], [evidence(truth=[[0, 0]], scores=[[0.1, NAN]])]):
        for validation in ([], cohort(2, seed=5)):
            summary = summarise(slides, validation=validation, resamples=50)
            assert set(METRICS) == {name for name in (*summary.values, *summary.absent) if "@" not in name}
            assert not set(summary.values) & set(summary.absent)
            assert all(math.isfinite(value) for value in summary.values.values())
            assert all(summary.absent.values())
            assert set(summary.intervals) <= set(summary.values)
            for name, value in summary.values.items():
                low, high = metric_info(name).range
                assert low <= value <= high, name


@pytest.mark.parametrize("known", [True, False])
def test_slides_of_two_patients_without_a_counted_cell_lack_the_figures_of_cells(known):
    blank = {"truth": [[1, 0]], "scores": [[NAN, NAN]]}
    slides = [evidence(f"s{n}", f"p{n}", units=[(n % 2, 0.2 + 0.2 * n)], **blank) for n in range(4)]
    if not known:
        slides = [
            uncounted(
                slide.slide,
                slide.patient,
                scores=grid([0.1, 0.9]),
                unit_labels=slide.unit_labels,
                unit_scores=slide.unit_scores,
            )
            for slide in slides
        ]
    summary = summarise(slides, resamples=50)
    assert summary.absent["instance/auc"] == "all scored cells of the test slides are of one class"
    assert "pixel/miou" in summary.absent and "image/auc" in summary.values


def test_a_full_cohort_lacks_nothing():
    summary = summarise(cohort(), validation=cohort(4, seed=1), resamples=100)
    assert {name for name in summary.absent if not name.startswith(("class/", "retrieval/"))} == set()
    for name, (low, high) in summary.intervals.items():
        assert low <= summary.values[name] <= high, name
    without = {"pixel/coverage", "image/threshold_at_100", "image/threshold_at_val", "image/sensitivity_at_val"}
    without |= {"image/threshold_at_youden", "instance/threshold_at_val", "instance/f1_best"}
    tests = {"refine/f1_p", "refine/accuracy_p"}
    equal_on_every_slide = {f"coarse/{name}" for name in ("accuracy", "tpr", "ppv", "f1")}
    bare = {name for name in summary.values if "@" not in name} - set(summary.intervals)
    assert bare <= without | tests | equal_on_every_slide


def test_cells_of_a_slide_whose_truth_has_gaps_count_nowhere_and_its_units_do():
    slides = cohort(subset=None)
    units = np.array([1, 0], np.int8), np.array([0.2, 0.9], np.float32)
    gap = uncounted(
        "gap", "q", scores=np.ones((3, 3), np.float32), unit_labels=units[0], unit_scores=units[1], objects=True
    )
    without, with_gap = summarise(slides, resamples=50), summarise([*slides, gap], resamples=50)
    assert with_gap.absent == without.absent
    for name, value in without.values.items():
        if not name.startswith("image/"):
            assert with_gap.values[name] == value, name
    assert with_gap.values["image/auc"] != without.values["image/auc"]
    row = with_gap.per_slide[-1]
    assert row["positive_units"] == 1
    assert {row[name] for name in ("tp", "fn", "valid", "pixel/miou", "coarse_f1")} == {None}
    assert row["object/f1"] is None and row["pixel/coverage"] == 1


def test_subsets_are_what_they_would_be_alone():
    slides = cohort()
    summary = summarise(slides, validation=slides[:2])
    for subset in "AB":
        alone = summarise([slide for slide in slides if slide.subset == subset], validation=slides[:2])
        values = {name: value for name, value in alone.values.items() if "@" not in name}
        assert values == {name: summary.values[f"{name}@{subset}"] for name in values}
        assert alone.intervals["pixel/miou"] == summary.intervals[f"pixel/miou@{subset}"]
    assert "pixel/miou@A" not in summarise([evidence()]).values


def test_subsets_say_only_what_is_peculiar_to_them():
    absent = summarise([evidence(units=[(0, 0.1)], subset="A"), evidence(units=[(1, 0.4)], subset="B")]).absent
    assert absent["image/auc@A"] == "all A units are negative, AUC is undefined"
    assert "object/f1" in absent
    assert "object/f1@A" not in absent


# --- what does not apply


@pytest.mark.parametrize(
    ("units", "name", "reason"),
    [
        ([(1, 0.2), (1, 0.9)], "image/auc", "all test units are positive, AUC is undefined"),
        ([(0, 0.2), (0, 0.9)], "image/auc", "all test units are negative, AUC is undefined"),
        ([(1, 0.2), (1, 0.9)], "image/specificity", "no test unit is negative"),
        ([(0, 0.2), (0, 0.9)], "image/sensitivity", "no test unit is positive"),
        ([(0, 0.2), (0, 0.9)], "image/threshold_at_100", "no test unit is positive"),
        ([(1, 0.2), (0, 0.9)], "image/threshold_at_val", "there are no validation slides"),
        ([(1, 0.2), (0, NAN)], "image/auc", "1 of 2 test units have no score (first: s#1)"),
        ([], "image/auc", "there are no test units"),
        ([(1, 0.2)], "object/f1", "1 of 1 slides lack numbered objects in the truth"),
        ([(1, 0.2)], "refine/cleaned", "1 of 1 slides lack a coarse annotation"),
    ],
)
def test_reasons_can_be_understood(units, name, reason):
    assert summarise([evidence(units=units)]).absent[name] == reason


def test_reasons_of_cell_metrics():
    absent = summarise([evidence(truth=[[0, 0]], scores=[[0.1, 0.1]])]).absent
    assert absent["pixel/iou"] == "no cell is positive, neither in the truth nor in the prediction"
    assert absent["pixel/tpr"] == "no cell of the truth is positive"
    assert absent["pixel/ppv"] == "no cell was predicted positive"
    assert summarise([evidence(scores=[[NAN, NAN]])]).absent["pixel/accuracy"] == "no tissue cell has a score"


def test_validation_that_sets_no_threshold_says_so():
    for units, reason in (
        ([(0, 0.3)], "no validation unit is positive, so none sets the threshold"),
        ([(1, NAN)], "1 of 1 validation units have no score (first: v)"),
    ):
        summary = summarise(cohort(4), validation=[evidence("v", "q", units=units)])
        assert summary.absent["image/sensitivity_at_val"] == reason
        assert "image/auc" in summary.values


def test_hidden_metrics_move_to_absent_everywhere():
    hidden = {"image/*": "the method sees where the coarse annotation is", "pixel/miou": "not here"}
    summary = summarise(cohort(), hidden=hidden)
    for name in (*summary.values, *summary.intervals, *summary.facts):
        assert not name.startswith(("image/", "pixel/miou"))
    assert summary.absent["image/auc"] == summary.absent["image/auc@A"] == hidden["image/*"]
    assert summary.absent["pixel/miou@B"] == "not here"
    assert all(row["pixel/miou"] is None and row["image/auc"] is None for row in summary.per_slide)
    assert "pixel/dice_from_miou" in summary.values
    with pytest.raises(ConfigError, match="no metric is called 'img/auc'"):
        summarise(cohort(2), hidden={"img/auc": "typo"})


# --- intervals and rows


def test_one_patient_gives_no_interval_and_says_so():
    summary = summarise([evidence(f"s{i}", "p", units=[(1, 0.9), (0, 0.1)]) for i in range(5)])
    assert summary.intervals == {}
    assert summary.facts["intervals"] == "none: all slides come from one patient"


def test_patients_are_drawn_not_slides():
    """Copies of a patient's slides bring no information, so the interval must not shrink."""
    slides = [
        evidence(f"s{i}", f"p{i}", truth=[[1] * 10], scores=[[0.9] * (i % 7 + 2) + [0.1] * (8 - i % 7)], units=())
        for i in range(14)
    ]
    once, often = summarise(slides), summarise([slide for slide in slides for _ in range(4)])
    assert often.intervals["pixel/tpr"] == pytest.approx(once.intervals["pixel/tpr"])
    low, high = once.intervals["pixel/tpr"]
    assert low < once.values["pixel/tpr"] < high


def test_interval_of_a_mean_is_that_of_theory():
    rng = np.random.default_rng(0)
    hits = rng.integers(20, 81, 60)
    slides = [
        evidence(f"s{i}", f"p{i}", truth=[[1] * 100], scores=[[0.9] * k + [0.1] * (100 - k)], units=())
        for i, k in enumerate(hits)
    ]
    low, high = summarise(slides, resamples=4000).intervals["pixel/tpr"]
    error = hits.std() / 100 / np.sqrt(60)
    assert (low, high) == pytest.approx((hits.mean() / 100 - 1.96 * error, hits.mean() / 100 + 1.96 * error), abs=0.01)


def test_too_few_patients_of_a_kind_give_no_image_interval():
    slides = [evidence(f"s{i}", f"p{i}", units=[(int(i == 0), 0.5), (0, 0.4)]) for i in range(5)]
    summary = summarise(slides)
    assert "image/auc" in summary.values
    assert "image/auc" not in summary.intervals
    assert summary.facts["image/auc:interval"].startswith("none: 1 patients with a positive unit, 4 without")


def test_patients_without_a_unit_are_none_of_the_image_level_wherever_they_stand():
    slides = [evidence(f"s{n}", f"p{n}", units=[(n % 2, 0.3 + 0.02 * n)]) for n in range(20)]
    empty = [evidence(f"e{n}", f"q{n}", units=[]) for n in range(20)]
    alone, decided = summarise(slides, resamples=200), calibrate(slides, resamples=200)
    assert (
        "image/specificity_at_100" in alone.intervals and alone.facts["image/specificity_at_100:threshold chosen again"]
    )
    for order in (empty + slides, slides + empty):
        summary, found = summarise(order, resamples=200), calibrate(order, resamples=200)
        for name in (name for name in alone.values if name.startswith("image/")):
            assert summary.intervals.get(name) == alone.intervals.get(name), name
        again = "image/specificity_at_100:threshold chosen again"
        assert summary.facts[again] == alone.facts[again]
        assert (found.decision, found.stability) == (decided.decision, decided.stability)
        assert found.levels["unit"] == decided.levels["unit"]


def test_rows_are_flat_and_none_where_undefined():
    single = evidence("a", "p", subset="x", units=[(1, 0.75)])
    many = evidence("b", "q", truth=[[0, 0]], scores=[[0.1, 0.2]], units=[(1, 0.7), (0, 0.3)])
    first, second = summarise([single, many]).per_slide
    assert (first["slide"], first["patient"], first["subset"], first["tp"]) == ("a", "p", "x", 1)
    assert (first["label"], first["score"], first["image/auc"]) == (1, 0.75, None)
    assert (second["label"], second["score"], second["image/auc"], second["positive_units"]) == (None, None, 1.0, 1)
    assert second["pixel/iou"] is None
    assert all(value is None or isinstance(value, str | int | float) for value in first.values())


def test_nothing_depends_on_chance_or_on_the_order_of_slides():
    slides = cohort()
    assert summarise(slides, validation=slides[:3]) == summarise(slides, validation=slides[:3])
    assert summarise(slides, seed=1).intervals != summarise(slides, seed=2).intervals
    forth, back = summarise(slides).values, summarise(slides[::-1]).values
    assert forth == pytest.approx(back)


@law
@given(st.permutations(range(6)))
def test_splitting_a_slide_does_not_change_pooled_cells(order):
    truth, scores = np.array([[1, 0, 1, 0, 1, 1]], np.int8), np.array([[0.9, 0.8, 0.2, 0.1, 0.7, 0.4]], np.float32)
    parts = [evidence(truth=truth[:, order[i : i + 2]], scores=scores[:, order[i : i + 2]]) for i in (0, 2, 4)]
    whole = summarise([evidence(truth=truth, scores=scores)]).values
    pooled = summarise(parts).values
    assert {n: v for n, v in whole.items() if n.startswith("pixel")} == {
        n: v for n, v in pooled.items() if n.startswith("pixel")
    }


# --- cost and catalogue


def test_importing_the_suite_is_light():
    code = (
        "import sys, benchmark.metrics.suite;"
        "print([m for m in ('scipy', 'sklearn', 'skimage', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


FAMILIES = {"image", "instance", "pixel", "object", "refine", "slide", "coarse", "class", "retrieval"}


def test_the_catalogue_is_complete():
    for name, info in METRICS.items():
        assert name.partition("/")[0] in FAMILIES
        assert info.title and info.definition and info.unit
        assert info.range[0] < info.range[1]
        assert (info.formula is None) == info.needs.startswith(
            ("units", "validation", "ranked", "classes", "embeddings")
        ), name
        assert info.formula is None or (info.undefined and info.formula.__doc__), name
    assert metric_info("pixel/miou@testA") is METRICS["pixel/miou"]
    assert METRICS["object/hausdorff"].direction == "down"
    assert METRICS["image/threshold_at_100"].direction == "none"
    with pytest.raises(KeyError):
        metric_info("pixel/mIoU")
    assert SCHEMA.partition("-")[0] == "2"
