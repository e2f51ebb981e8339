"""P@10 in its two readings."""

import numpy as np
import pytest

from benchmark.metrics.retrieval import BLUR, _closest, mean_precision_at_10, neighbour_hits, perfect_share_at_10


def test_two_tight_classes_are_retrieved_perfectly():
    features = np.concatenate([np.zeros((11, 2)), np.full((11, 2), 9.0)]) + np.linspace(0, 1, 22)[:, None]
    labels = np.repeat([0, 1], 11)
    hits = neighbour_hits(features, labels)
    assert (hits == 10).all()
    assert mean_precision_at_10(hits, labels) == perfect_share_at_10(hits, labels) == 1.0


def test_both_readings_are_macro_averages():
    hits, labels = np.array([10, 10, 10, 5, 0]), np.array([0, 0, 0, 1, 1])
    assert mean_precision_at_10(hits, labels) == pytest.approx((1.0 + 0.25) / 2)
    assert perfect_share_at_10(hits, labels) == pytest.approx((1.0 + 0.0) / 2)
    assert mean_precision_at_10(np.array([], int), np.array([], int)) is None


def test_small_galleries_still_divide_by_ten():
    hits = neighbour_hits(np.arange(4.0)[:, None], np.zeros(4, int))
    assert hits.tolist() == [3, 3, 3, 3]
    assert mean_precision_at_10(hits, np.zeros(4, int)) == pytest.approx(0.3)
    assert perfect_share_at_10(hits, np.zeros(4, int)) == 0.0


def test_against_sorting_all_distances():
    rng = np.random.default_rng(0)
    features, labels = rng.integers(-3, 4, (60, 3)), rng.integers(0, 3, 60)  # integers: many exact ties
    distances = ((features[:, None] - features[None]) ** 2).sum(-1).astype(float)
    np.fill_diagonal(distances, np.inf)
    expected = [
        sum(labels[j] == labels[i] for j in sorted(range(60), key=lambda j, i=i: (distances[i, j], j))[:10])
        for i in range(60)
    ]
    for block in (7, 1024):
        assert neighbour_hits(features, labels, block).tolist() == expected


def test_rounding_of_products_breaks_no_tie():
    """Products of matrices round by where a row stands, and by how many threads there are."""
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(size=(2, 512)) * 50, [30, 30], axis=0)
    distances = ((points[:, None] - points) ** 2).sum(-1) - (points**2).sum(-1)[:, None]
    np.fill_diagonal(distances, np.inf)
    expected = np.sort(np.argsort(distances, axis=1, kind="stable")[:, :10])
    blur = BLUR * 512 * (points**2).sum(-1).max()
    noisy = distances + rng.uniform(-blur, blur, distances.shape) / 4
    np.testing.assert_array_equal(np.sort(_closest(points, np.arange(60), noisy, blur)), expected)
    assert (np.sort(_closest(points, np.arange(60), noisy, 0.0)) != expected).any()


def test_against_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(200, 5)) + 50, rng.integers(0, 4, 200)
    closest = NearestNeighbors(n_neighbors=11).fit(features).kneighbors(features)[1][:, 1:]
    expected = (labels[closest] == labels[:, None]).sum(axis=1)
    np.testing.assert_array_equal(neighbour_hits(features, labels), expected)
