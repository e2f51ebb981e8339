"""Bags: how many, how long, from where, in which order."""

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.methods.cleaning.lcmil import draw_bags, draw_length

POSITIVE, NEGATIVE = [np.arange(5), np.arange(100, 102)], [np.arange(10, 20), np.arange(0)]


def bags(seed=3, **changes):
    settings = {"bags": 1000, "per_round": 100, "mean": 10, "seed": seed, **changes}
    return draw_bags(POSITIVE, NEGATIVE, **settings)


def test_every_round_is_half_positive_and_shuffled():
    drawn = bags()
    labels = np.array([bag.positive for bag in drawn]).reshape(10, 100)
    assert labels.sum(axis=1).tolist() == [50] * 10
    assert all(np.count_nonzero(np.diff(row.astype(int))) > 0 for row in labels)
    assert len({row.tobytes() for row in labels}) == 10, "each round has an order of its own"


def test_instances_come_from_one_slide_of_the_bags_class():
    for bag in bags():
        pool = POSITIVE if bag.positive else NEGATIVE
        assert any(set(bag.cells) <= set(part) for part in pool)
    longest = max((bag for bag in bags() if bag.positive), key=lambda bag: bag.cells.size)
    assert len(set(longest.cells)) < longest.cells.size, "drawn with replacement"
    slides = {int(bag.cells[0]) >= 100 for bag in bags() if bag.positive}
    assert slides == {False, True}


def test_lengths_follow_the_binomial_distribution():
    rng = np.random.default_rng(0)
    lengths = np.array([draw_length(10, rng) for _ in range(20000)])
    assert lengths.mean() == pytest.approx(10, abs=0.06)
    assert lengths.var() == pytest.approx(5, abs=0.2)
    assert ((lengths >= 5) & (lengths <= 15)).mean() == pytest.approx(0.988182, abs=0.004)


def test_an_empty_bag_is_drawn_again():
    rng = np.random.default_rng(0)
    lengths = [draw_length(1, rng) for _ in range(1000)]
    assert set(lengths) == {1, 2}, "a quarter of Binomial(2, 0.5) is 0"


def test_the_seed_decides():
    first, same, other = bags(1), bags(1), bags(2)
    assert all(np.array_equal(a.cells, b.cells) for a, b in zip(first, same, strict=True))
    assert any(not np.array_equal(a.cells, b.cells) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(("positive", "negative", "side"), [([], NEGATIVE, "inside"), (POSITIVE, [[]], "outside")])
def test_without_cells_of_a_class_there_are_no_bags(positive, negative, side):
    with pytest.raises(DataError, match=side):
        draw_bags(positive, [np.array(cells) for cells in negative], bags=2, per_round=2, mean=1, seed=0)
