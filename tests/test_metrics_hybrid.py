"""Specificity at 100 % sensitivity and what goes with it: the vectors of the hybrid-supervision study, and laws."""

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import PredictionError
from benchmark.metrics.at_sensitivity import resampled_specificity, reselected
from benchmark.metrics.at_sensitivity import some_patients as drawn_of
from benchmark.metrics.classification import (
    auc,
    clopper_pearson,
    delong_variance,
    sensitivity,
    spec_at_sensitivity,
    specificity,
)
from benchmark.metrics.comparison import delong_interval
from benchmark.metrics.mcnemar import McNemar, compare_specificity, mcnemar
from benchmark.metrics.statistics import patient_draws
from benchmark.metrics.suite import gather, summarise
from benchmark.reporting import curves
from benchmark.reporting.published_points import PublishedPoint, published_points

law = settings(deadline=None)  # the first call imports SciPy

A = ([1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.6, 0.3, 0.5, 0.3, 0.2, 0.1, 0.05])
SPEC_AT_100 = {
    "A_tie": (*A, 0.3, 0.6, 0.9),
    "B_no_tie": (A[0], [0.9, 0.6, 0.31, 0.5, 0.3, 0.2, 0.1, 0.05], 0.31, 0.8, 0.9333333),
    "C_positive_lowest": ([1, 1, 0, 0, 0], [0.9, 0.01, 0.5, 0.2, 0.1], 0.01, 0.0, 0.5),
    "D_all_equal": ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5, 0.0, 0.5),
    "E_separable": ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 0.8, 1.0, 1.0),
    "F_zero_scores": ([1, 1, 0, 0, 0], [0.7, 0.0, 0.0, 0.0, 0.4], 0.0, 0.0, 0.6666667),
}


def group(labels, scores, patients=None):
    """One slide per unit, each of a patient of its own unless told otherwise."""
    maps = {"truth": np.zeros((1, 2), np.int8), "scores": np.zeros((1, 2), np.float32)}
    owners = range(len(labels)) if patients is None else patients
    return [
        gather(f"s{i}", f"p{owner}", **maps, unit_labels=np.array([label], np.int8), unit_scores=np.float32([score]))
        for i, (label, score, owner) in enumerate(zip(labels, scores, owners, strict=True))
    ]


# --- vectors


@pytest.mark.parametrize(("labels", "scores", "tau", "spec", "area"), SPEC_AT_100.values(), ids=SPEC_AT_100)
def test_vectors_of_specificity_at_100(labels, scores, tau, spec, area):
    point = spec_at_sensitivity(labels, scores)
    assert (point.threshold, point.sensitivity) == (tau, 1.0)
    assert point.specificity == pytest.approx(spec)
    assert auc(labels, scores) == pytest.approx(area, abs=1e-7)
    values = summarise(group(labels, scores), resamples=50).values
    assert values["image/specificity_at_100"] == pytest.approx(spec)
    assert values["image/threshold_at_100"] == pytest.approx(tau)
    assert values["image/auc"] == pytest.approx(area, abs=1e-7)


def test_counting_a_tie_as_a_true_negative_would_give_the_wrong_number():
    labels, scores = np.array(A[0]), np.array(A[1])
    assert np.mean(scores[labels == 0] <= 0.3) == 0.8 != spec_at_sensitivity(*A).specificity


@pytest.mark.parametrize(
    ("tau", "sens", "spec"), [(0.1, 1.0, 0.2), (0.25, 1.0, 0.6), (0.300001, 0.6666667, 0.8), (0.6, 0.6666667, 1.0)]
)
def test_vectors_at_fixed_thresholds(tau, sens, spec):
    assert sensitivity(*A, tau) == pytest.approx(sens, abs=1e-7)
    assert specificity(*A, tau) == pytest.approx(spec)


def test_vectors_of_the_intervals_on_a():
    assert delong_variance(*A) == pytest.approx(0.0144444, abs=1e-7)
    area, interval, variance = delong_interval(*A)
    assert sqrt(variance) == pytest.approx(0.120185, abs=1e-6)
    assert (area, interval) == (pytest.approx(0.9), pytest.approx((0.9 - 1.959964 * 0.120185, 1.0), abs=1e-6))
    assert clopper_pearson(3, 5) == pytest.approx((0.146633, 0.947255), abs=1e-6)
    assert clopper_pearson(3, 3) == pytest.approx((0.292402, 1.0), abs=1e-6)


@pytest.mark.parametrize(
    ("rejected", "interval"),
    [(5104, (0.8849, 0.9011)), (4807, (0.8315, 0.8507)), (4594, (0.7935, 0.8142)), (5171, (0.8971, 0.9125))],
    ids=["hybrid", "pixel", "image", "hybrid_alt"],
)
def test_intervals_of_the_published_specificities(rejected, interval):
    assert clopper_pearson(rejected, 5714) == pytest.approx(interval, abs=5e-5)


def test_full_sensitivity_of_499_slides_is_at_least_this():
    low, high = clopper_pearson(499, 499)
    assert (low, high) == (pytest.approx(0.9926, abs=5e-5), 1.0)


# --- what a reader is told


def test_facts_of_vector_a():
    facts = summarise(group(*A)).facts
    assert facts["image/auc:DeLong"].startswith(
        "95 % interval 0.6644 to 1.0000, assuming that the 8 units are independent: each"
    )
    for ending in ("100", "99_5", "99"):
        name = f"image/specificity_at_{ending}"
        assert (facts[f"{name}:threshold"], facts[f"{name}:unit"]) == ("0.3", "s2")
        assert facts[f"{name}:sensitivity"] == "3 of 3, 95 % interval 0.2924 to 1.0000"
        again = facts[f"{name}:threshold chosen again"]
        assert "1000 resamples of 4 of 8 patients" in again and again.startswith("95 % interval ")
    rates = facts["image/specificity:at declared thresholds"]
    assert rates.startswith("at 0.1: 1 of 5 (0.0051 to 0.7164); at 0.25: 3 of 5 (0.1466 to 0.9473); at 0.75: 5 of 5")
    # A score stored as the float nearest to 0.9 is at least 0.9.
    assert facts["image/sensitivity:at declared thresholds"].endswith("at 0.9: 1 of 3 (0.0084 to 0.9057)")


def test_specificity_at_a_fixed_sensitivity_draws_patients_where_they_have_several_units():
    rng = np.random.default_rng(0)
    patients, labels = np.repeat(np.arange(20), 50), (rng.random(1000) < 0.5).astype(int)
    scores = np.repeat(rng.random(20) * 0.6, 50) + 0.35 * labels + rng.normal(0, 0.02, 1000)
    summary = summarise(group(labels, scores, patients=patients))
    for ending in ("100", "99"):
        name = f"image/specificity_at_{ending}"
        low, high = summary.intervals[name]
        exact = clopper_pearson(round(summary.values[name] * int((labels == 0).sum())), int((labels == 0).sum()))
        assert low < summary.values[name] < high and high - low > 3 * (exact[1] - exact[0])
    assert summary.facts["image/specificity_at_100:sensitivity"] == f"{labels.sum()} of {labels.sum()}"


def test_delong_is_told_apart_where_patients_have_several_units():
    facts = summarise(group(*A, patients=[0, 1, 1, 2, 2, 3, 3, 3])).facts
    assert "assuming that the 8 units are independent, but they come from 4 patients" in facts["image/auc:DeLong"]
    assert "the figure shows the bootstrap over patients" in facts["image/auc:DeLong"]


@pytest.mark.parametrize(
    ("labels", "scores", "patients", "reason"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], None, "there is no variance"),
        ([1, 0, 0], [0.9, 0.2, 0.1], None, "fewer than two positive"),
        ([1, 1, 0, 0], [0.9, 0.1, 0.2, 0.1], [0] * 4, "all units come from one patient"),
    ],
)
def test_no_delong_interval_without_a_reason(labels, scores, patients, reason):
    fact = summarise(group(labels, scores, patients)).facts["image/auc:DeLong"]
    assert fact.startswith("none: ") and reason in fact


def test_hidden_metrics_take_their_facts_along():
    facts = summarise(group(*A), hidden={"image/specificity_at_100": "x", "image/sensitivity": "y"}).facts
    assert not [name for name in facts if name.startswith(("image/specificity_at_100", "image/sensitivity:"))]
    assert "image/specificity:at declared thresholds" in facts


# --- the threshold chosen again


@law
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=20),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
    st.sampled_from([1.0, 0.9, 0.5]),
)
def test_a_resample_is_the_units_repeated(units, counts, target):
    labels, scores, patients = (np.array(column) for column in zip(*units, strict=True))
    (found,) = resampled_specificity(labels, scores, patients, np.array([counts], float), target)
    times = np.array(counts)[patients]
    point = spec_at_sensitivity(np.repeat(labels, times), np.repeat(scores, times), target)
    if point is None or point.specificity is None:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(point.specificity)


def test_blocks_do_not_change_the_resamples(monkeypatch):
    rng = np.random.default_rng(0)
    labels, scores, patients = rng.integers(0, 2, 60), rng.random(60), rng.integers(0, 20, 60)
    draws = patient_draws(20, 37, 0)
    whole = resampled_specificity(labels, scores, patients, draws)
    monkeypatch.setattr("benchmark.metrics.at_sensitivity.BLOCK", 200)
    assert np.array_equal(whole, resampled_specificity(labels, scores, patients, draws), equal_nan=True)


def test_patients_are_drawn_in_proportion_and_the_interval_is_within_its_range():
    labels = np.r_[np.ones(10, int), np.zeros(90, int)]
    rng = np.random.default_rng(1)
    scores = np.r_[0.4 + 0.6 * rng.random(10), rng.random(90)]
    found = reselected(labels, scores, np.arange(100), resamples=200)
    assert (found.drawn, found.patients, found.resamples) == (25, 100, 200)  # 100^0.7 = 25.1
    strata = labels == 1
    draws = drawn_of(strata, 50, 0)
    assert (draws[:, strata].sum(axis=1) == 2).all() and (draws[:, ~strata].sum(axis=1) == 23).all()
    assert not np.array_equal(draws, drawn_of(strata, 50, 1))
    assert drawn_of(np.array([True, False]), 4, 0).tolist() == [[1, 1]] * 4
    low, high = found.interval
    assert 0 <= low < high <= 1
    assert found == reselected(labels, scores, np.arange(100), resamples=200)


def test_no_interval_where_nothing_can_be_said():
    assert reselected([1, 1], [0.2, 0.3], np.arange(2)) is None
    assert reselected([0, 0], [0.2, 0.3], np.arange(2)) is None
    assert reselected(*A, np.zeros(8, np.int64)) is None
    assert reselected([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], np.arange(4), resamples=50).interval is None
    with pytest.raises(PredictionError, match="not a number"):
        reselected([1, 0], [np.nan, 0.3], np.arange(2))


def test_it_covers_where_the_ordinary_bootstrap_does_not():
    """Few positives score near the lowest possible 0.5, so the sample's lowest lies above it; negatives are uniform."""
    rng = np.random.default_rng(0)
    labels, patients, times = np.r_[np.ones(200, int), np.zeros(400, int)], np.arange(600), 40
    covered = ordinary = 0
    for trial in range(times):
        scores = np.r_[0.5 + 0.5 * rng.beta(4, 2, 200), rng.random(400)]
        low, high = reselected(labels, scores, patients, resamples=200, seed=trial).interval
        covered += low <= 0.5 <= high
        samples = resampled_specificity(labels, scores, patients, patient_draws(600, 200, trial, labels))
        low, high = np.quantile(samples, [0.025, 0.975])
        ordinary += low <= 0.5 <= high
    assert covered >= 0.9 * times
    assert ordinary < 0.5 * times


# --- two specificities


@pytest.mark.parametrize(
    ("only_one", "only_other", "p"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (1, 7, 2 * 9 / 256), (3, 3, 1.0), (10, 2, 2 * (1 + 12 + 66) / 4096)],
)
def test_mcnemar_by_hand(only_one, only_other, p):
    one = np.r_[np.ones(only_one), np.zeros(only_other), np.ones(4), np.zeros(3)]
    other = np.r_[np.zeros(only_one), np.ones(only_other), np.ones(4), np.zeros(3)]
    assert mcnemar(one, other) == McNemar(only_one, only_other, pytest.approx(p))


@law
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(b, c):
    from scipy.stats import binomtest

    found = mcnemar(np.r_[np.ones(b), np.zeros(c)], np.r_[np.zeros(b), np.ones(c)])
    assert found.p == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1.0)
    assert found.p == pytest.approx(min(1.0, 2 * sum(comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)))


def test_mcnemar_wants_pairs():
    with pytest.raises(ValueError, match="equally long"):
        mcnemar([True], [True, False])


def test_specificities_are_compared_on_negatives_alone_each_at_its_own_threshold():
    labels = [1, 0, 0, 0, 0, 0]
    one, other = [0.1, 0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 10, 20, 30, 40, 50]
    found = compare_specificity(labels, one, other, (0.5, 20), list("abcdef"))
    assert (found.one, found.other, found.difference) == (0.8, 0.2, pytest.approx(0.6))  # a tie is an alarm
    assert found.test == McNemar(3, 0, 0.25)
    assert (found.negatives, found.patients) == (5, 5)
    swapped = compare_specificity(labels, other, one, (20, 0.5), list("abcdef"))
    assert swapped.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert swapped.test.p == found.test.p


def test_the_interval_is_that_of_theory_and_draws_patients():
    rng = np.random.default_rng(0)
    one, other = rng.random(300), rng.random(300)
    labels, patients = np.zeros(300, int), np.arange(300)
    found = compare_specificity(labels, one, other, (0.8, 0.6), patients, resamples=4000)
    gains = (one < 0.8).astype(float) - (other < 0.6)
    half = 1.96 * gains.std() / sqrt(300)
    assert found.interval == pytest.approx((gains.mean() - half, gains.mean() + half), abs=0.01)
    again = [np.tile(each, 4) for each in (labels, one, other, patients)]
    copied = compare_specificity(*again[:3], (0.8, 0.6), again[3], resamples=4000)
    assert copied.interval == pytest.approx(found.interval)
    assert copied.test.p < found.test.p


def test_comparisons_that_cannot_be_made():
    assert compare_specificity([1, 1], [0.1, 0.2], [0.3, 0.4], (0.5, 0.5), ["a", "b"]) is None
    assert compare_specificity([0, 0], [0.1, 0.9], [0.9, 0.1], (0.5, 0.5), ["a", "a"]).interval is None
    assert compare_specificity([0, 0], [0.1, 0.2], [0.3, 0.4], (0.5, 0.5), ["a", "b"]).interval is None
    with pytest.raises(PredictionError, match="per unit"):
        compare_specificity([0, 0], [0.1], [0.3, 0.4], (0.5, 0.5), ["a", "b"])
    with pytest.raises(PredictionError, match="not a number"):
        compare_specificity([0, 0], [0.1, np.nan], [0.3, 0.4], (0.5, 0.5), ["a", "b"])


# --- published operating points


def test_published_points_are_those_of_the_method_or_the_dataset():
    found = published_points("hybrid", "glas")
    assert [(point.label, point.sensitivity, point.specificity) for point in found] == [
        ("hybrid", 1.0, 0.8932),
        ("pixel-level", 1.0, 0.8412),
        ("image-level", 1.0, 0.8040),
    ]
    assert not any(point.same_data for point in found)
    assert published_points("topk-mil", "camelyon16") == found
    assert published_points("oeem", "glas") == ()


def test_the_roc_figure_names_published_points_and_their_letters_do_not_touch():
    labels, scores = np.array(A[0], np.int8), np.array(A[1])
    points = (*published_points("hybrid", "glas"), PublishedPoint("B 2030", "near", 1.0, 0.8935, True))
    drawn = curves.roc(labels, scores, title="t", auc=0.9, published=points)
    drawn.canvas.draw()
    (axes,) = drawn.axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "100 % sensitivity: specificity 60.0% at score ≥ 0.3" in texts
    (other,) = [text for text in texts if text.startswith("published, other data: Li et al. 2021")]
    assert "a hybrid: 89.3% at 100%" in other and "c image-level: 80.4% at 100%" in other
    assert any(text.startswith("published: B 2030") and "d near: 89.3% at 100%" in text for text in texts)
    places = [text.get_window_extent() for text in (*axes.texts, axes._left_title)]
    assert [text.get_text() for text in axes.texts] == ["d", "a", "b", "c"]
    assert not any(one.overlaps(other) for i, one in enumerate(places) for other in places[i + 1 :])
