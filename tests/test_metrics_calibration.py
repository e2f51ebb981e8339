"""Calibration: against scikit-learn, SciPy and loops that read like the definitions, on random input."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from benchmark.errors import PredictionError
from benchmark.metrics.calibration import (
    bins_for,
    brier_parts,
    brier_score,
    ece_by_chance,
    expected_calibration_error,
)
from benchmark.metrics.net_benefit import THRESHOLDS, net_benefit, net_benefit_of_all
from benchmark.metrics.score_sums import ScoreSums
from benchmark.metrics.temperature import fit_temperature, scaled

EXACT = 1e-12


def drawn(seed, n=None, ties=False):
    """Scores that are not calibrated, with both classes."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(3, 400))
    scores = rng.beta(0.6, 0.9, n)
    if ties:
        scores = np.round(scores, 1)
    labels = (rng.random(n) < np.clip(scores * 0.7 + 0.1, 0, 1)).astype(int)
    labels[:2] = 0, 1
    return labels, scores


def in_loops(labels, scores, bins, keys=None):
    """Bins of equal mass by the definition, one score after the other: [(scores, outcomes), …]."""
    keys = scores if keys is None else keys
    ordered = sorted(keys)
    places = [math.floor(bins * ordered.index(key) / len(keys)) for key in keys]
    return [
        [(float(scores[i]), int(labels[i])) for i in range(len(keys)) if places[i] == place]
        for place in sorted(set(places))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_units_against_loops_and_scikit_learn(seed):
    labels, scores = drawn(seed, ties=seed % 2 == 0)
    sums, n = ScoreSums.of(labels, scores), len(labels)
    bins = in_loops(labels, scores, bins_for(n))
    binned = sums.binned(sums.equal_mass(bins_for(n)))
    assert binned[0].tolist() == [len(bin_) for bin_ in bins]
    means = [(sum(p for p, _ in b) / len(b), sum(y for _, y in b) / len(b), len(b)) for b in bins]
    assert float(expected_calibration_error(binned)) == pytest.approx(
        sum(k * abs(y - p) for p, y, k in means) / n, abs=EXACT
    )
    parts, share = brier_parts(binned), sum(labels) / n
    assert parts.brier == pytest.approx(brier_score_loss(labels, scores), abs=EXACT)
    assert parts.reliability == pytest.approx(sum(k * (y - p) ** 2 for p, y, k in means) / n, abs=EXACT)
    assert parts.resolution == pytest.approx(sum(k * (y - share) ** 2 for _, y, k in means) / n, abs=EXACT)
    assert parts.uncertainty == pytest.approx(share * (1 - share), abs=EXACT)
    within = sum(
        (p - mean) ** 2 - 2 * (p - mean) * (y - rate)
        for bin_, (mean, rate, _) in zip(bins, means, strict=True)
        for p, y in bin_
    )
    assert parts.remainder == pytest.approx(within / n, abs=EXACT)
    assert parts.brier == pytest.approx(
        parts.reliability - parts.resolution + parts.uncertainty + parts.remainder, abs=EXACT
    )


def test_murphys_identity_needs_no_remainder_where_each_bin_is_one_score():
    labels, scores = drawn(3, 300, ties=True)
    sums = ScoreSums.of(labels, scores)
    parts = brier_parts(sums.sums)
    assert parts.remainder == pytest.approx(0, abs=EXACT)
    assert parts.brier == pytest.approx(parts.reliability - parts.resolution + parts.uncertainty, abs=EXACT)


def test_without_ties_the_bins_are_those_of_scikit_learn():
    labels, scores = drawn(5, 150)
    sums = ScoreSums.of(labels, scores)
    binned = sums.binned(sums.equal_mass(15))
    shares, means = calibration_curve(labels, scores, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(binned[1] / binned[0], shares, atol=EXACT)
    np.testing.assert_allclose(binned[2] / binned[0], means, atol=EXACT)


def test_cells_of_slides_pool_to_what_all_cells_together_give():
    rng = np.random.default_rng(7)
    parts, labels, scores = [], [], []
    for _ in range(4):
        values = np.where(rng.random((50, 60)) < 0.3, rng.random((50, 60)) ** 8, rng.random((50, 60)))
        values = values.astype(np.float32)
        values[0, :5] = 0, 1, 1e-30, 0.5, 1 - 2**-24
        truth, where = rng.random((50, 60)) < values, rng.random((50, 60)) < 0.9
        parts.append(ScoreSums.of_cells(truth, values, where))
        labels += truth[where].astype(int).tolist()
        scores += values[where].astype(float).tolist()
    pooled = ScoreSums.pooled(parts)
    assert (pooled.count, pooled.positive) == (len(labels), sum(labels))
    assert pooled.keys.size < 12_400
    bins = pooled.equal_mass(15)
    binned = pooled.binned(bins)
    assert float(brier_score(binned)) == pytest.approx(brier_score_loss(labels, scores), abs=EXACT)
    np.testing.assert_allclose(sum(part.binned(bins, pooled.keys) for part in parts), binned, rtol=EXACT)
    # The key by which cells are grouped, written down anew: the first 9 binary digits of the distance from 0 or 1.
    keys = []
    for p in scores:
        distance = min(p, 1 - p)
        step = 2.0 ** (math.floor(math.log2(distance)) - 8) if distance >= 2**-24 else math.inf
        cut = math.floor(distance / step) * step if step < 1 else 0.0
        keys.append(cut if p <= 0.5 else 1 - cut)
    error = sum(abs(sum(y - p for p, y in bin_)) for bin_ in in_loops(labels, scores, 15, keys)) / len(labels)
    assert float(expected_calibration_error(binned)) == pytest.approx(error, abs=EXACT)


def test_scores_that_are_no_probabilities_are_refused():
    for wrong in (1.2, -0.1, math.nan):
        with pytest.raises(PredictionError, match="no probability"):
            ScoreSums.of([0, 1], [0.3, wrong])
    assert brier_parts(np.zeros((5, 0))) is None


def test_chance_is_what_calibrated_scores_show():
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    sums = ScoreSums.of(rng.random(400) < scores, scores)
    bins = sums.equal_mass(15)
    chance = ece_by_chance(sums, bins, np.random.default_rng(1), 400)
    again = []
    for _ in range(400):
        redrawn = ScoreSums.of(rng.random(400) < scores, scores)
        again.append(float(expected_calibration_error(redrawn.binned(bins))))
    assert chance.mean() == pytest.approx(np.mean(again), abs=0.004)
    low, high = np.quantile(chance, [0.005, 0.995])
    assert low < float(expected_calibration_error(sums.binned(bins))) < high


@pytest.mark.parametrize("seed", range(8))
def test_the_temperature_minimises_the_log_loss(seed):
    labels, scores = drawn(seed, 200)
    scores = scores.clip(1e-4, 1 - 1e-4)
    found = fit_temperature(ScoreSums.of(labels, scores))

    def loss(logarithm):
        return log_loss(labels, 1 / (1 + np.exp(-np.log(scores / (1 - scores)) / np.exp(logarithm))))

    best = minimize_scalar(loss, bounds=(-2.9, 2.9), method="bounded", options={"xatol": 1e-9})
    assert np.log(found) == pytest.approx(best.x, abs=1e-5)


def test_the_temperature_of_scores_made_too_extreme_is_found_again_and_an_end_is_none():
    rng = np.random.default_rng(2)
    true = rng.beta(2, 2, 200_000)
    labels = rng.random(true.size) < true
    extreme = true**2.5 / (true**2.5 + (1 - true) ** 2.5)
    assert fit_temperature(ScoreSums.of(labels, extreme)) == pytest.approx(2.5, rel=0.02)
    for labels, scores, why in [
        ([0, 0, 1], [0.1, 0.4, 0.8], "separate the classes"),
        ([1, 1, 0], [0.1, 0.4, 0.8], "less than nothing"),
        ([1, 1], [0.1, 0.4], "of one class"),
        ([1, 1, 0], [0.1, 0.4, 0.0], "above 0 are of one class"),
        ([1, 0], [0.5, 0.5], "all score 0.5"),
    ]:
        assert why in fit_temperature(ScoreSums.of(labels, scores))


def test_hard_scores_become_the_share_that_is_right_and_a_zero_stays():
    labels, scores = [1] * 90 + [0] * 10 + [0] * 90 + [1] * 10, [1.0] * 100 + [0.0] * 100
    found = fit_temperature(ScoreSums.of(labels, scores))
    assert scaled(np.array([1.0, 0.0]), found).tolist() == pytest.approx([0.9, 0.0], abs=1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.7, 20.0])
def test_scaling_keeps_the_order_and_the_side_of_one_half(temperature):
    labels, scores = drawn(11, 300)
    scores = scores.astype(np.float32)
    scores[:5] = 0.5, np.nextafter(np.float32(0.5), np.float32(1)), np.nextafter(np.float32(0.5), np.float32(0)), 0, 1
    after = scaled(scores, temperature)
    np.testing.assert_array_equal(after > 0.5, scores > 0.5)
    np.testing.assert_array_equal(after < 0.5, scores < 0.5)
    assert after[0] == 0.5 and after[3] == 0
    assert after[4] == pytest.approx(1 / (1 + 2.0 ** (-25 / temperature)), abs=1e-6)
    assert roc_auc_score(labels, after) == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)
    wanted = [1 / (1 + ((1 - p) / p) ** (1 / temperature)) for p in scores[5:].astype(float)]
    np.testing.assert_allclose(after[5:], wanted, atol=1e-6)
    assert np.isnan(scaled(np.array([np.nan]), temperature)).all()


@pytest.mark.parametrize("seed", range(6))
def test_net_benefit_against_loops(seed):
    labels, scores = drawn(seed, ties=True)
    found, n = net_benefit(labels, scores), len(labels)
    for t, value in zip(THRESHOLDS.tolist(), found.tolist(), strict=True):
        hits = sum(1 for y, p in zip(labels, scores, strict=True) if p >= t and y)
        alarms = sum(1 for y, p in zip(labels, scores, strict=True) if p >= t and not y)
        assert value == pytest.approx(hits / n - alarms / n * t / (1 - t), abs=EXACT)
    everybody = net_benefit(labels, np.ones(n))
    np.testing.assert_allclose(everybody, net_benefit_of_all(labels.mean()), atol=EXACT)
    assert net_benefit(labels, np.zeros(n)).tolist() == [0.0] * THRESHOLDS.size


def test_a_stored_score_that_is_the_threshold_is_acted_on():
    for threshold in THRESHOLDS:
        stored = np.array([threshold], np.float32)
        assert net_benefit([1], stored, [threshold]).tolist() == [1.0], threshold
