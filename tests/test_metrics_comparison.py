"""DeLong's test, mean ranks, Friedman, Nemenyi and cliques, each against an independent way to the same number."""

import itertools
from math import inf, isinf, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from benchmark.metrics.classification import auc
from benchmark.metrics.comparison import cliques, critical_difference, delong, delong_interval, friedman, ranks

A_TIE = ([1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.6, 0.3, 0.5, 0.3, 0.2, 0.1, 0.05])
Q_005 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
Q_010 = {2: 1.645, 3: 2.052, 4: 2.291, 5: 2.459, 6: 2.589, 7: 2.693, 8: 2.780, 9: 2.855, 10: 2.920}

units = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=30)


def components(labels, scores):
    """AUC, V10 and V01 from all pairs of a positive and a negative: DeLong et al., 1988, as written."""
    positive = [s for y, s in zip(labels, scores, strict=True) if y == 1]
    negative = [s for y, s in zip(labels, scores, strict=True) if y == 0]
    psi = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in negative] for x in positive])
    return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)


def by_pairs(labels, one, other):
    """AUCs and the variance of their difference from the 2 × 2 covariance matrices S10 and S01."""
    (first, v10, v01), (second, w10, w01) = components(labels, one), components(labels, other)
    s = np.cov(np.stack([v10, w10])) / len(v10) + np.cov(np.stack([v01, w01])) / len(v01)
    return first, second, s[0, 0] + s[1, 1] - 2 * s[0, 1]


def columns(rows):
    labels, one, other = (np.array(column) for column in zip(*rows, strict=True))
    assume(min(labels.sum(), (1 - labels).sum()) >= 2)
    return labels, one, other


@given(units)
def test_delong_agrees_with_all_pairs(rows):
    labels, one, other = columns(rows)
    first, second, variance = by_pairs(labels, one, other)
    test = delong(labels, one, other)
    if test is None:
        assert first == pytest.approx(second) and variance == pytest.approx(0, abs=1e-12)
        return
    assert (test.one, test.other) == pytest.approx((first, second))
    assert test.one == pytest.approx(auc(labels, one)) and test.other == pytest.approx(auc(labels, other))
    assert test.difference == pytest.approx(first - second)
    assert test.standard_error**2 == pytest.approx(variance, abs=1e-12)
    assert (test.positives, test.negatives) == (labels.sum(), (1 - labels).sum())
    if test.standard_error:
        assert test.z == pytest.approx(test.difference / test.standard_error)
        assert test.p == pytest.approx(2 * stats.norm.sf(abs(test.z)))


@given(units)
def test_delong_is_antisymmetric(rows):
    labels, one, other = columns(rows)
    there, back = delong(labels, one, other), delong(labels, other, one)
    if there is None or back is None:
        assert there is back
        return
    assert (back.one, back.other, back.p) == (there.other, there.one, there.p)
    assert (back.difference, back.z) == (-there.difference, -there.z)


@given(units)
def test_delong_sees_only_the_order_of_the_scores(rows):
    labels, one, other = columns(rows)
    assert delong(labels, np.exp(one), other**3 - 5.0) == delong(labels, one, other)


def test_delong_of_a_set_worked_by_hand():
    # 2 positives, 2 negatives. One: 1.0, its placements all 1. Other: beats (1, 0.5) of the negatives,
    # and is beaten (1, 0.5): AUC 0.75; differences (0, 0.5) twice, variance 0.125 / 2 twice.
    test = delong([1, 1, 0, 0], [4, 3, 2, 1], [4, 2, 3, 1])
    assert (test.one, test.other, test.difference) == (1.0, 0.75, 0.25)
    assert test.standard_error == pytest.approx(sqrt(0.125))
    assert test.z == pytest.approx(0.25 / sqrt(0.125))
    assert test.p == pytest.approx(0.4795001)


def test_delong_of_equal_scores_and_of_one_class_is_none():
    labels, scores = A_TIE
    assert delong(labels, scores, scores) is None
    assert delong(labels, scores, [10 * score for score in scores]) is None
    assert delong([1, 1, 1], [1, 2, 3], [3, 1, 2]) is None
    assert delong([0, 0, 0], [1, 2, 3], [3, 1, 2]) is None
    assert delong([1, 0, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4]) is None, "one positive has no variance"


def test_delong_of_different_aucs_without_variance_is_certain():
    labels = [1] * 5 + [0] * 7
    test = delong(labels, labels, np.zeros(12))
    assert (test.difference, test.standard_error, test.p) == (0.5, 0.0, 0.0)
    assert isinf(test.z) and test.z > 0
    assert delong(labels, np.zeros(12), labels).z == -inf


def test_a_tiny_difference_among_many_units_is_not_taken_for_none():
    count = 300_000
    labels = np.arange(2 * count) % 2
    one = np.arange(2 * count, dtype=float)
    other = one.copy()
    other[[10, 11]] = other[[11, 10]]
    test = delong(labels, one, other)
    assert test is not None
    assert test.difference == pytest.approx(1 / count**2, rel=1e-9)


def test_delong_under_the_null_gives_a_uniform_p():
    rng = np.random.default_rng(5)
    labels = np.repeat([1, 0], [40, 80])
    found = []
    for _ in range(600):
        shared = rng.normal(size=120) + labels
        one, other = (shared + rng.normal(size=120) for _ in range(2))
        found.append(delong(labels, one, other).p)
    found = np.array(found)
    assert 0.02 < (found < 0.05).mean() < 0.08
    assert 0.42 < (found < 0.5).mean() < 0.58
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_delong_sees_a_real_difference():
    rng = np.random.default_rng(6)
    labels = np.repeat([1, 0], 100)
    assert delong(labels, rng.normal(size=200) + 2 * labels, rng.normal(size=200)).p < 1e-6


@pytest.mark.parametrize(
    ("labels", "one", "other", "what"),
    [
        ([1, 0], [1, 2, 3], [1, 2], "one score per unit"),
        ([1, 0], [1, 2], [1], "one score per unit"),
        ([[1, 0]], [[1, 2]], [[1, 2]], "one score per unit"),
        ([1, 0, 2], [1, 2, 3], [1, 2, 3], r"0 or 1, got \[0, 1, 2\]"),
        ([1, 0], [1, np.nan], [1, 2], "score 1 is not a number"),
        ([1, 0], [1, 2], [np.nan, 2], "score 0 is not a number"),
    ],
)
def test_delong_refuses_what_it_cannot_read(labels, one, other, what):
    with pytest.raises(ValueError, match=what):
        delong(labels, one, other)


def test_interval_of_the_published_vector():
    area, (low, high), variance = delong_interval(*A_TIE)
    assert area == pytest.approx(0.9)
    assert variance == pytest.approx(0.0144444, abs=1e-7)
    assert sqrt(variance) == pytest.approx(0.120185, abs=1e-6)
    assert (low, high) == pytest.approx((0.9 - 1.959964 * 0.120185, 1.0), abs=1e-5)  # cut at 1


def test_interval_narrows_with_its_level_and_is_none_where_undefined():
    (low, high), (inner, upper) = (delong_interval(*A_TIE, level=level)[1] for level in (0.5, 0.2))
    assert low < inner < 0.9 < upper < high
    assert delong_interval([1, 1], [1, 2]) is None
    assert delong_interval([1, 0, 0], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="level"):
        delong_interval(*A_TIE, level=95)
    with pytest.raises(ValueError, match="not a number"):
        delong_interval([1, 0], [np.nan, 1])


tables = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=1, max_size=6)
)


@given(tables, st.booleans())
def test_mean_ranks_count_the_better_ones(table, higher):
    sign = 1 if higher else -1
    expected = [
        np.mean([1 + sum(sign * v > sign * r[m] for v in r) + (r.count(r[m]) - 1) / 2 for r in table])
        for m in range(len(table[0]))
    ]
    assert ranks(table, higher_is_better=higher) == pytest.approx(expected)


def test_rounding_noise_is_a_tie_and_gaps_are_refused():
    assert ranks([[0.1 + 0.2, 0.3, 0.1]], higher_is_better=True) == pytest.approx([1.5, 1.5, 3])
    for bad in ([[1, np.nan]], [1, 2], []):
        with pytest.raises(ValueError, match="datasets × methods"):
            ranks(bad, higher_is_better=True)


def test_friedman_is_the_chi_square_of_the_mean_ranks():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(9, 4)) + np.arange(4) * 0.4
    n, k = table.shape
    mean = ranks(table, higher_is_better=True)
    chi = 12 * n / (k * (k + 1)) * (np.sum(mean**2) - k * (k + 1) ** 2 / 4)  # Demšar 2006, section 3.2.2
    assert friedman(table) == pytest.approx(stats.chi2.sf(chi, k - 1))
    assert friedman(table * 0 + 1) == 1.0
    assert friedman(table[:, :2]) is None
    assert friedman(table[:1]) is None


def test_critical_difference_is_that_of_the_published_table():
    for alpha, table in ((0.05, Q_005), (0.10, Q_010)):
        for k, q in table.items():
            assert critical_difference(k, 7, alpha) / sqrt(k * (k + 1) / 42) == pytest.approx(q, abs=1e-3)
    # Demšar's example: 4 classifiers on 14 datasets, 2.569 · √(4·5 / (6·14)) = 1.25
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    for methods, datasets in ((1, 5), (3, 0)):
        with pytest.raises(ValueError, match="two methods and a dataset"):
            critical_difference(methods, datasets)


def test_cliques_of_a_set_worked_by_hand():
    four = {"d": 3.9, "a": 1.0, "c": 2.4, "b": 1.6}
    assert cliques(four, 1.6) == [("a", "b", "c"), ("c", "d")]
    assert cliques(four, 1.45) == [("a", "b", "c")]
    assert cliques(four, 1.0) == [("a", "b"), ("b", "c")]
    assert cliques({"a": 1.0, "b": 2.0}, 1.0) == [], "as far apart as the difference is not closer than it"
    assert cliques(four, 9.0) == [("a", "b", "c", "d")]
    assert cliques({"b": 1.5, "a": 1.5, "c": 3.0}, 0.5) == [("a", "b")]
    assert cliques({}, 1.0) == []


@given(st.lists(st.integers(4, 32), min_size=1, max_size=8), st.integers(1, 16))
def test_cliques_are_the_maximal_groups(quarters, apart):
    mean = {f"m{number}": quarter / 4 for number, quarter in enumerate(quarters)}
    close = [
        set(group)
        for size in range(2, len(mean) + 1)
        for group in itertools.combinations(mean, size)
        if max(mean[name] for name in group) - min(mean[name] for name in group) < apart / 4
    ]
    maximal = [group for group in close if not any(group < other for other in close)]
    found = cliques(mean, apart / 4)
    assert sorted(map(sorted, found)) == sorted(map(sorted, maximal))
    assert all([mean[name] for name in group] == sorted(mean[name] for name in group) for group in found)
    assert [mean[group[0]] for group in found] == sorted(mean[group[0]] for group in found)
