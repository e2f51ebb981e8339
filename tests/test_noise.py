"""Wrong annotations: every kind of mistake does what it says, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from benchmark.annotations import LabelImage, NoiseOptions, noisy_coarse
from benchmark.slides import Grid

Cells = NDArray[np.bool_]
CELL = 4
masks = st.tuples(st.integers(3, 30), st.integers(3, 30)).flatmap(lambda shape: arrays(np.bool_, shape))
SQUARE = np.ones((3, 3))


def noisy(real: Cells, seed: int = 0, tissue: Cells | None = None, **options: Any) -> Cells:
    size = (real.shape[1] * CELL, real.shape[0] * CELL)
    truth = LabelImage(real, downsample=CELL)
    rng = np.random.default_rng(seed)
    found = noisy_coarse(truth, size, NoiseOptions(**options), rng, cell=CELL, tissue=tissue)
    return found.labels(Grid.regular(size, CELL)) > 0


def lesions(number: int = 12) -> Cells:
    real = np.zeros((120, 120), np.bool_)
    for index in range(number):
        row, col = 5 + 28 * (index // 4), 5 + 28 * (index % 4)
        real[row : row + 6 + index, col : col + 8] = True
    return real


@given(masks)
def test_without_noise_it_is_the_truth(real: Cells) -> None:
    np.testing.assert_array_equal(noisy(real), real)


@settings(max_examples=30)
@given(masks, st.integers(0, 1000))
def test_the_seed_decides(real: Cells, seed: int) -> None:
    options = {"flip_positive": 0.3, "flip_negative": 0.1, "shift": 1, "missed": 0.3, "invented": 2}
    np.testing.assert_array_equal(noisy(real, seed, **options), noisy(real, seed, **options))


@pytest.mark.parametrize(("positive", "negative"), [(0.1, 0.0), (0.0, 0.05), (0.3, 0.2), (1.0, 1.0)])
def test_flips_come_at_their_rates(positive: float, negative: float) -> None:
    real = np.zeros((300, 300), np.bool_)
    real[:, :120] = True
    found = noisy(real, flip_positive=positive, flip_negative=negative)
    for cells, rate in ((real, positive), (~real, negative)):
        number, flipped = int(cells.sum()), int((found != real)[cells].sum())
        assert abs(flipped - rate * number) <= 5 * np.sqrt(number * rate * (1 - rate))


def test_flips_stay_on_tissue() -> None:
    tissue = np.zeros((120, 120), np.bool_)
    tissue[:60] = True
    found = noisy(np.zeros((120, 120), np.bool_), tissue=tissue, flip_negative=0.5)
    assert found[:60].any()
    assert not found[60:].any()


@settings(max_examples=40)
@given(masks, st.floats(0.5, 4))
def test_outlines_move_outwards_and_inwards_by_a_distance(real: Cells, shift: float) -> None:
    wider, narrower = noisy(real, shift=shift), noisy(real, shift=-shift)
    assert not (real & ~wider).any()
    assert not (narrower & ~real).any()
    if real.any() and not real.all():
        away, deep = ndimage.distance_transform_edt(~real), ndimage.distance_transform_edt(real)
        np.testing.assert_array_equal(wider, away <= shift)
        np.testing.assert_array_equal(narrower, deep > shift)


@pytest.mark.parametrize(("share", "left_out"), [(0.01, 1), (0.25, 3), (0.5, 6), (1.0, 12)])
@pytest.mark.parametrize("seed", range(3))
def test_lesions_are_missed_whole(share: float, left_out: int, seed: int) -> None:
    real = lesions()
    found = noisy(real, seed, missed=share)
    numbers, count = ndimage.label(real, structure=SQUARE)
    shown = [found[numbers == number].mean() for number in range(1, count + 1)]
    assert set(shown) <= {0.0, 1.0}
    assert shown.count(0.0) == left_out
    assert not (found & ~real).any()


def test_which_lesions_are_missed_depends_on_the_seed() -> None:
    assert any((noisy(lesions(), seed, missed=0.25) != noisy(lesions(), 0, missed=0.25)).any() for seed in range(1, 5))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_invented_lesions_lie_on_tissue_apart_from_the_truth(seed: int, number: int) -> None:
    real, tissue = lesions(4), np.zeros((120, 120), np.bool_)
    tissue[:, 10:110] = True
    found = noisy(real, seed, tissue, invented=number)
    new = found & ~real
    assert (found & real).sum() == real.sum()
    assert not (new & ~tissue).any()
    assert not (new & ndimage.binary_dilation(real, structure=SQUARE)).any()
    _, count = ndimage.label(new, structure=SQUARE)
    assert count == number
    areas = np.bincount(ndimage.label(real, structure=SQUARE)[0].ravel())[1:]
    assert new.sum() <= number * areas.max() * 1.3


def test_an_invented_lesion_without_a_place_is_left_out() -> None:
    real = np.zeros((12, 12), np.bool_)
    real[2:10, 2:10] = True
    np.testing.assert_array_equal(noisy(real, invented=3), real)
    np.testing.assert_array_equal(noisy(real, tissue=np.zeros((12, 12), np.bool_), invented=3), real)


@pytest.mark.parametrize(
    ("field", "value"),
    [("flip_positive", 1.1), ("flip_negative", -0.1), ("shift", 51), ("missed", 2), ("invented", -1), ("flip", 0)],
)
def test_options_have_legal_ranges(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        NoiseOptions.model_validate({field: value})
