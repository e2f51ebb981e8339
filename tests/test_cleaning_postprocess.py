"""Blur, threshold, small objects and small holes, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.methods.cleaning.postprocess import blurred, cleaned_up, gaussian_taps

TOLERANCE = 2e-6


def smooth(scores, tissue=None, kernel=9, border="zeros"):
    tissue = np.ones(scores.shape, bool) if tissue is None else tissue
    return blurred(scores.astype(np.float32), tissue, sigma=1.0, kernel=kernel, border=border)


@pytest.mark.parametrize(
    ("kernel", "taps"),
    [
        (3, [0.274069, 0.451863, 0.274069]),
        (9, [0.000134, 0.004432, 0.053991, 0.241971, 0.398943, 0.241971, 0.053991, 0.004432, 0.000134]),
    ],
)
def test_taps(kernel, taps):
    np.testing.assert_allclose(gaussian_taps(1.0, kernel), taps, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("kernel", "profile"),
    [
        (9, [0.999866, 0.995434, 0.941443, 0.699472, 0.300528, 0.058557, 0.004566]),
        (3, [1.0, 1.0, 1.0, 0.725931, 0.274069, 0.0, 0.0]),
    ],
)
def test_half_plane_of_ones(kernel, profile):
    plane = np.zeros((41, 41))
    plane[:, :20] = 1
    np.testing.assert_allclose(smooth(plane, kernel=kernel)[20, 16:23], profile, atol=TOLERANCE)


def test_a_corner_of_tissue_can_never_be_positive_with_zeros():
    tissue = np.zeros((41, 41), bool)
    tissue[:20, :20] = True
    ones = np.where(tissue, 1.0, np.nan)
    assert smooth(ones, tissue)[19, 19] == pytest.approx(0.489261, abs=TOLERANCE)
    assert smooth(ones, tissue, border="normalised")[19, 19] == pytest.approx(1.0, abs=TOLERANCE)


def test_scores_spill_onto_glass_with_zeros_and_not_when_normalised():
    """0.3005 beside a straight border, as the docstring says; never above the threshold of 0.6."""
    tissue = np.zeros((41, 41), bool)
    tissue[:, :20] = True
    ones = np.where(tissue, 1.0, np.nan)
    assert smooth(ones, tissue)[20, 20] == pytest.approx(0.300528, abs=TOLERANCE)
    assert not smooth(ones, tissue, border="normalised")[~tissue].any()


@pytest.mark.parametrize(("score", "passes"), [(0.857785, False), (0.857795, True)])
def test_uniform_score_that_passes_at_a_straight_edge(score, passes):
    tissue = np.zeros((41, 41), bool)
    tissue[:, :20] = True
    value = smooth(np.where(tissue, score, np.nan), tissue)[20, 19]
    assert (value > 0.6) == passes


def test_the_lattice_ends_without_a_border_effect():
    assert smooth(np.ones((12, 12))) == pytest.approx(np.ones((12, 12)))


def test_without_blur_only_the_missing_become_zero():
    scores = np.array([[0.2, np.nan], [0.9, 0.4]], np.float32)
    tissue = np.array([[True, False], [True, True]])
    found = blurred(scores, tissue, sigma=0.0, kernel=9, border="zeros")
    np.testing.assert_allclose(found, [[0.2, 0.0], [0.9, 0.4]], rtol=1e-6)


def square(cells, inside, outside):
    """A plane of `outside` with one region of `cells` cells of `inside`, ten per row."""
    plane = np.full((30, 30), outside)
    for number in range(cells):
        plane[5 + number // 10, 5 + number % 10] = inside
    return plane


@pytest.mark.parametrize(("cells", "kept"), [(100, True), (99, False)])
def test_objects_below_the_limit_go(cells, kept):
    assert cleaned_up(square(cells, True, False), min_object=100, min_hole=100).sum() == (cells if kept else 0)


@pytest.mark.parametrize(("cells", "kept"), [(100, True), (99, False)])
def test_holes_below_the_limit_are_filled(cells, kept):
    assert (~cleaned_up(square(cells, False, True), min_object=100, min_hole=100)).sum() == (cells if kept else 0)


def test_cells_that_share_a_corner_are_apart():
    mask = np.eye(6, dtype=bool)
    assert not cleaned_up(mask, min_object=2, min_hole=0).any()


def test_objects_go_before_holes_are_filled():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    mask[3:6, 3:6] = False
    assert cleaned_up(mask, min_object=17, min_hole=10).sum() == 0, "16 cells around a hole of 9"
    assert cleaned_up(mask, min_object=16, min_hole=10).sum() == 25


@given(arrays(bool, (9, 9)), st.integers(0, 12), st.integers(0, 12))
def test_cleaning_up_twice_changes_no_holes(mask, small, hole):
    once = cleaned_up(mask, min_object=small, min_hole=hole)
    np.testing.assert_array_equal(cleaned_up(once, min_object=0, min_hole=hole), once)
    np.testing.assert_array_equal(cleaned_up(mask, min_object=0, min_hole=0), mask)
