"""Neighbours and votes of DkNN against values worked out by hand, and against a plain search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.methods.cleaning.cells import Cells
from benchmark.methods.cleaning.cleaning_params import DKNN_FIELDS, DknnParams
from benchmark.methods.cleaning.dknn import Dknn, nearest, normalised, votes

FEATURES = np.array([[1, 0], [2, 0.1], [0.9, 0.2], [3, 0.5], [0, 1], [0.1, 2], [0.3, 1.5], [1, 0.8]], np.float32)
LABELS = np.array([1, 1, 0, 1, 0, 0, 1, 0], bool)


def vote(k, *, unit=True, own=False):
    features = normalised(FEATURES) if unit else FEATURES
    return votes(LABELS, nearest(features, features, k, own=own))


@pytest.mark.parametrize(
    ("settings", "expected", "positive"),
    [
        ({"k": 5}, [3, 3, 3, 3, 1, 1, 1, 3], [1, 1, 1, 1, 0, 0, 0, 1]),
        ({"k": 5, "unit": False}, [2, 3, 2, 3, 1, 1, 1, 2], [0, 1, 0, 1, 0, 0, 0, 0]),
        ({"k": 5, "own": True}, [3, 3, 4, 3, 2, 2, 1, 4], [1, 1, 1, 1, 0, 0, 0, 1]),
        ({"k": 4}, [3, 3, 3, 3, 1, 1, 1, 2], [1, 1, 1, 1, 0, 0, 0, 0]),
    ],
)
def test_votes(settings, expected, positive):
    found = vote(**settings)
    assert found.tolist() == expected
    assert (found / settings["k"] > 0.5).astype(int).tolist() == positive


def test_three_neighbours():
    assert (vote(3) / 3 > 0.5).astype(int).tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_distances_of_unit_features():
    gap = normalised(FEATURES) - normalised(FEATURES)[0]
    expected = [0.0, 0.002495, 0.047626, 0.027212, 2.0, 1.900125, 1.607768, 0.438262]
    np.testing.assert_allclose((gap**2).sum(axis=1), expected, atol=2e-6)


def test_a_row_of_zeros_stays():
    assert normalised(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_ties_go_to_the_lower_number():
    same = np.ones((40, 6), np.float32)
    assert (nearest(same, same, 5) == np.arange(5)).all()
    assert nearest(same, same, 3, own=True)[:3].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3]]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.booleans())
def test_the_neighbours_are_those_of_a_plain_search(seed, k, own):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, (60, 5)).astype(np.float32)
    distances = ((points[:, None].astype(float) - points[None]) ** 2).sum(axis=2)
    if own:
        np.fill_diagonal(distances, np.inf)
    found = nearest(points, points, k, own=own)
    exact = np.sort(distances, axis=1)[:, :k]
    np.testing.assert_array_equal(np.take_along_axis(distances, found, axis=1), exact)


def test_more_neighbours_than_cells_are_refused():
    with pytest.raises(ConfigError, match="7 cells") as caught:
        nearest(FEATURES, FEATURES, 8, own=True)
    assert "k=7" in str(caught.value)


def test_a_database_that_would_fill_the_memory_is_refused_before_it_is_made():
    parts = [(None, Cells(None, np.ones((1024, 1024), bool)), None)]
    method = Dknn(DknnParams(scope="cohort"))
    method._require_room(1024 * 1024)
    with pytest.raises(ConfigError, match="4096 numbers of each of 2097152 cells, 32.0 GiB; at most 16 GiB") as refused:
        method.learn(parts * 2, "cohort", None)
    assert "scope=slide" in str(refused.value)


def test_every_parameter_decides_on_votes_or_on_the_mask():
    after = {"min_object", "min_hole"}
    assert set(DKNN_FIELDS) | after == set(Dknn.Params.model_fields)
    assert not set(DKNN_FIELDS) & after


def test_the_released_preset_has_both_quirks():
    params = DknnParams(**Dknn.presets["released"])
    assert params.feature_dropout and params.patch_shift
    assert params.weight_decay == 1e-3 and params.epochs == 1 and params.batch == 64
