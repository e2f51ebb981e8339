"""The bootstrap over patients, and tests between methods, each against an independent way to the same number."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.classification import auc
from benchmark.metrics.statistics import holm, patient_draws, percentile_interval, resampled_auc, wilcoxon

law = settings(deadline=None)  # the first call imports scikit-learn or SciPy


def test_draws_are_seeded_and_complete():
    draws = patient_draws(12, 300, seed=3)
    assert draws.shape == (300, 12)
    assert (draws.sum(axis=1) == 12).all()
    np.testing.assert_array_equal(draws, patient_draws(12, 300, seed=3))
    assert (draws != patient_draws(12, 300, seed=4)).any()
    assert draws.mean(axis=0) == pytest.approx(np.ones(12), abs=0.3)
    assert draws.var(axis=0).mean() == pytest.approx(11 / 12, rel=0.1)  # a multinomial's


def test_strata_keep_their_size():
    strata = np.array([1, 0, 0, 1, 1])
    draws = patient_draws(5, 200, seed=0, strata=strata)
    assert (draws[:, strata == 1].sum(axis=1) == 3).all()
    assert (draws[:, strata == 0].sum(axis=1) == 2).all()


def test_percentile_interval_leaves_out_what_is_undefined():
    samples = np.arange(1001) / 1000
    assert percentile_interval(samples) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(samples, [np.nan] * 10)) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(samples, [np.nan] * 100)) is None
    assert percentile_interval(np.ones(100)) is None
    assert percentile_interval(np.array([])) is None


@law
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=25),
    st.integers(1, 7),
)
def test_resampled_auc_is_the_auc_of_the_resample(rows, block):
    labels, scores, names = (np.array(column) for column in zip(*rows, strict=True))
    patients = np.unique(names, return_inverse=True)[1]
    draws = patient_draws(patients.max() + 1, 8, seed=1)
    values = resampled_auc(labels, scores, patients, draws, block=block)
    for value, drawn in zip(values, draws, strict=True):
        times = drawn[patients].astype(int)
        expected = auc(np.repeat(labels, times), np.repeat(scores, times))
        assert np.isnan(value) if expected is None else value == pytest.approx(expected)


def test_resampled_auc_of_many_units_brackets_the_auc():
    rng = np.random.default_rng(0)
    labels, patients = rng.integers(0, 2, 9000), rng.integers(0, 80, 9000)
    scores = rng.normal(size=9000) + labels
    draws = patient_draws(80, 1000, seed=0)
    low, high = percentile_interval(resampled_auc(labels, scores, patients, draws))
    assert low < auc(labels, scores) < high


def test_interval_of_the_auc_agrees_with_delong_when_units_are_independent():
    from benchmark.metrics.classification import delong_variance

    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 150)
    scores = rng.normal(size=300) + labels
    draws = patient_draws(300, 2000, seed=0, strata=labels)
    values = resampled_auc(labels, scores, np.arange(300), draws)
    assert values.std() == pytest.approx(np.sqrt(delong_variance(labels, scores)), rel=0.1)


def exact_p(differences):
    """Two-sided p by listing all signs: twice the smaller tail, at most 1."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(differences))
    observed = ranks[np.array(differences) > 0].sum()
    sums = [
        sum(r for r, up in zip(ranks, signs, strict=True) if up)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    tails = np.mean(np.array(sums) <= observed + 1e-9), np.mean(np.array(sums) >= observed - 1e-9)
    return min(1.0, 2 * min(tails)), min(observed, ranks.sum() - observed)


@law
@given(st.lists(st.integers(-9, 9).filter(bool), min_size=1, max_size=8))
def test_wilcoxon_agrees_with_listing_all_signs(differences):
    result = wilcoxon(np.array(differences) / 10, np.zeros(len(differences)))
    p, statistic = exact_p(differences)
    assert (result.p, result.statistic, result.pairs) == (pytest.approx(p), statistic, len(differences))
    assert wilcoxon(np.zeros(len(differences)), np.array(differences) / 10).direction == -result.direction
    assert result.direction or p == 1


def test_wilcoxon_points_where_the_ranks_do_not_where_the_mean_does():
    differences = np.r_[0.3, 0.3, np.full(18, -0.01)]
    assert differences.mean() > 0 and wilcoxon(differences, np.zeros(20)).direction == -1


@settings(law, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=75, max_size=99))
def test_wilcoxon_agrees_with_scipy_and_leaves_out_equal_pairs(pairs):
    from scipy import stats

    one, other = (np.array(column) for column in zip(*pairs, strict=True))
    result = wilcoxon(one / 10, other / 10)
    if (one == other).all():
        assert result is None
        return
    different = one != other
    if different.sum() > 50:
        expected = stats.wilcoxon(one[different], other[different], method="asymptotic")
        assert result.p == pytest.approx(expected.pvalue)
    assert result.pairs == different.sum()
    swapped = wilcoxon(other / 10, one / 10)
    assert (swapped.p, swapped.statistic) == (pytest.approx(result.p), result.statistic)


@settings(law, max_examples=15)
@given(st.integers(2, 50), st.integers(0, 99))
def test_wilcoxon_without_ties_is_scipys_exact_one(count, seed):
    from scipy import stats

    differences = np.random.default_rng(seed).normal(0.2, 1, count)
    assert wilcoxon(differences, np.zeros(count)).p == pytest.approx(stats.wilcoxon(differences).pvalue, rel=1e-12)


def test_wilcoxon_refuses_gaps():
    with pytest.raises(ValueError, match="gaps"):
        wilcoxon([0.1, np.nan], [0.2, 0.3])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([]) == []


@law
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni(p_values):
    corrected = holm(p_values)
    order = np.argsort(p_values)
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
    for raw, value in zip(p_values, corrected, strict=True):
        assert raw <= value <= min(1.0, len(p_values) * raw)
    assert min(corrected) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
