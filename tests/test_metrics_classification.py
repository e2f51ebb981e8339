"""Image-level metrics: published vectors, independent implementations, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import PredictionError
from benchmark.metrics.classification import (
    auc,
    clopper_pearson,
    delong_variance,
    sensitivity,
    spec_at_sensitivity,
    specificity,
    youden,
)

law = settings(deadline=None)  # the first call imports scikit-learn or SciPy

A = ([1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.6, 0.3, 0.5, 0.3, 0.2, 0.1, 0.05])

VECTORS = {
    "tie": (*A, 0.3, 0.6, 0.9, 2),
    "no tie": ([1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.6, 0.31, 0.5, 0.3, 0.2, 0.1, 0.05], 0.31, 0.8, 0.9333333, 2),
    "positive lowest": ([1, 1, 0, 0, 0], [0.9, 0.01, 0.5, 0.2, 0.1], 0.01, 0.0, 0.5, 1),
    "all equal": ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5, 0.0, 0.5, 0),
    "separable": ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 0.8, 1.0, 1.0, 1),
    "zero scores": ([1, 1, 0, 0, 0], [0.7, 0.0, 0.0, 0.0, 0.4], 0.0, 0.0, 0.6666667, 1),
}

# few distinct values, so that ties are common
units = st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4)), min_size=2, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def split(rows):
    return [label for label, _ in rows], [float(score) for _, score in rows]


@pytest.mark.parametrize(("labels", "scores", "tau", "spec", "area", "unit"), VECTORS.values(), ids=VECTORS)
def test_vectors_of_specificity_at_full_sensitivity(labels, scores, tau, spec, area, unit):
    point = spec_at_sensitivity(labels, scores)
    assert (point.threshold, point.specificity, point.sensitivity, point.unit) == (tau, pytest.approx(spec), 1.0, unit)
    assert auc(labels, scores) == pytest.approx(area, abs=1e-7)


@pytest.mark.parametrize(
    ("tau", "sens", "spec"), [(0.1, 1.0, 0.2), (0.25, 1.0, 0.6), (0.300001, 0.6666667, 0.8), (0.6, 0.6666667, 1.0)]
)
def test_vectors_at_a_fixed_threshold(tau, sens, spec):
    assert sensitivity(*A, tau) == pytest.approx(sens, abs=1e-7)
    assert specificity(*A, tau) == pytest.approx(spec)


def test_vectors_of_the_intervals():
    assert delong_variance(*A) == pytest.approx(0.0144444, abs=1e-7)
    assert clopper_pearson(3, 5) == pytest.approx((0.146633, 0.947255), abs=1e-6)
    assert clopper_pearson(3, 3) == pytest.approx((0.292402, 1.0), abs=1e-6)
    assert clopper_pearson(5104, 5714) == pytest.approx((0.8849, 0.9011), abs=5e-5)
    assert clopper_pearson(0, 0) is None


def test_companions_allow_as_many_misses_as_their_level_says():
    labels = np.r_[np.ones(400, int), np.zeros(10, int)]
    scores = np.r_[np.arange(400) / 400, np.arange(10) / 400 + 1 / 800]
    for target, misses in ((1.0, 0), (0.995, 2), (0.99, 4)):
        point = spec_at_sensitivity(labels, scores, target)
        assert point.unit == misses
        assert point.threshold == misses / 400
        assert (point.true_positives, point.positives) == (400 - misses, 400)
        assert (point.true_negatives, point.specificity) == (misses, misses / 10)
    assert spec_at_sensitivity([1] * 199 + [0], [0.5] * 199 + [0.1], 0.995).true_positives == 199


def test_float32_scores_meet_their_own_threshold():
    scores = np.array([0.3, 0.1], np.float32)
    assert spec_at_sensitivity([1, 0], scores).sensitivity == 1.0
    assert spec_at_sensitivity([1, 0], scores).specificity == 1.0


def test_undefined_is_none():
    assert auc([1, 1], [0.2, 0.3]) is None
    assert auc([], []) is None
    assert delong_variance([1, 0, 0], [0.2, 0.3, 0.1]) is None
    assert sensitivity([0, 0], [0.2, 0.3], 0.5) is None
    assert specificity([1, 1], [0.2, 0.3], 0.5) is None
    assert spec_at_sensitivity([0, 0], [0.2, 0.3]) is None
    assert spec_at_sensitivity([1, 1], [0.2, 0.3]).specificity is None
    assert youden([1, 1], [0.2, 0.3]) is None


@pytest.mark.parametrize(
    "function",
    [auc, delong_variance, spec_at_sensitivity, youden, lambda y, s: sensitivity(y, s, 0.5)],
    ids=["auc", "delong", "spec", "youden", "sensitivity"],
)
def test_refusals_say_what_is_wrong(function):
    with pytest.raises(PredictionError, match="2 of 3 unit scores are not a number, first at 1"):
        function([1, 0, 1], [0.5, math.nan, math.nan])
    with pytest.raises(PredictionError, match=r"must be 0 or 1, got \[0, 2\]"):
        function([2, 0], [0.5, 0.4])
    with pytest.raises(PredictionError, match="one score per unit"):
        function([1, 0], [0.5])


def test_bad_targets_and_trials_are_refused():
    with pytest.raises(ValueError, match="sensitivity"):
        spec_at_sensitivity(*A, 0.0)
    with pytest.raises(ValueError, match="trials"):
        clopper_pearson(4, 3)


@law
@given(units)
def test_auc_agrees_with_scikit_learn(rows):
    from sklearn.metrics import roc_auc_score

    assert auc(*split(rows)) == pytest.approx(roc_auc_score(*split(rows)))


@law
@given(units)
def test_auc_does_not_change_under_monotone_maps(rows):
    labels, scores = split(rows)
    assert auc(labels, np.exp(scores)) == auc(labels, scores)
    assert auc(labels, [-score for score in scores]) == pytest.approx(1 - auc(labels, scores))


@law
@given(units)
def test_specificity_at_full_sensitivity_is_the_best_vertex_with_full_sensitivity(rows):
    from sklearn.metrics import roc_curve

    labels, scores = split(rows)
    false_positive_rate, true_positive_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    best = max(1 - false_positive_rate[true_positive_rate == 1])
    assert spec_at_sensitivity(labels, scores).specificity == pytest.approx(best)


@law
@given(units, st.integers(-5, 5))
def test_lower_thresholds_never_have_more_specificity(rows, tau):
    labels, scores = split(rows)
    point = spec_at_sensitivity(labels, scores)
    if tau <= point.threshold:
        assert specificity(labels, scores, tau) <= point.specificity
        assert sensitivity(labels, scores, tau) == 1.0
    else:
        assert sensitivity(labels, scores, tau) < 1.0


@law
@given(units)
def test_allowing_misses_never_costs_specificity(rows):
    labels, scores = split(rows)
    points = [spec_at_sensitivity(labels, scores, target) for target in (1.0, 0.9, 0.5)]
    assert points[0].specificity <= points[1].specificity <= points[2].specificity
    assert all(point.sensitivity >= target for point, target in zip(points, (1.0, 0.9, 0.5), strict=True))


@law
@given(units)
def test_delong_agrees_with_the_pairwise_kernel(rows):
    labels, scores = (np.array(values) for values in split(rows))
    kernel = np.sign(scores[labels == 1][:, None] - scores[labels == 0][None, :]) / 2 + 0.5
    if min(kernel.shape) < 2:
        assert delong_variance(labels, scores) is None
        return
    expected = kernel.mean(1).var(ddof=1) / len(kernel) + kernel.mean(0).var(ddof=1) / kernel.shape[1]
    assert delong_variance(labels, scores) == pytest.approx(expected, abs=1e-12)


@law
@given(units)
def test_youden_agrees_with_scikit_learn(rows):
    from sklearn.metrics import roc_curve

    labels, scores = split(rows)
    false_positive_rate, true_positive_rate, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    gain = np.round(true_positive_rate - false_positive_rate, 12)
    point = youden(labels, scores)
    assert point.threshold == thresholds[np.argmax(gain)]
    assert point.sensitivity - (1 - point.specificity) == pytest.approx(gain.max())


@law
@given(st.integers(0, 40), st.integers(1, 40))
def test_clopper_pearson_agrees_with_scipy(successes, more):
    from scipy.stats import binomtest

    trials = successes + more
    interval = binomtest(successes, trials).proportion_ci(method="exact")
    assert clopper_pearson(successes, trials) == pytest.approx((interval.low, interval.high), abs=1e-9)
