"""Strategies, retrieval, refinement and the triplet loss against hand-worked vectors."""

import numpy as np
import pytest
import torch

from benchmark.methods.interactive.retrieval import closest_first, refined, squared_distances
from benchmark.methods.interactive.strategies import STRATEGIES, Ranking, front_mid_end
from benchmark.methods.interactive.triplet import distances, triplet_loss

IDS = "abcdefghijkl"
P = np.array([0.97, 0.91, 0.40, 0.88, 0.15, 0.52, 0.49, 0.75, 0.05, 0.60, 0.30, 0.02])


def ranking(positive=None):
    probabilities = np.stack([1 - P, P], axis=1).astype(np.float32)
    return Ranking(np.arange(12), probabilities, P >= 0.5 if positive is None else positive)


def chosen(name, k, positive=None, seed=0):
    return "".join(IDS[n] for n in STRATEGIES[name].select(ranking(positive), k, np.random.default_rng(seed)))


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("top-k", 3, "abc"),
        ("top-k", 5, "abcde"),
        ("front-mid-end", 3, "agl"),
        ("front-mid-end", 4, "abgl"),
        ("front-mid-end", 5, "abfgl"),
        ("front-mid-end", 6, "abfgkl"),
        ("front-mid-end", 10, "abcdfghjkl"),
        ("cnfp", 4, "cejh"),
        ("cnfp", 5, "cegjh"),
        ("cnfp", 6, "cegjhf"),
        ("cnfp", 10, "cegikjhfdb"),
        ("entropy", 3, "gfc"),
        ("entropy", 5, "gfcjk"),
        ("margin", 3, "gfc"),
        ("cnfp-fme", 4, "cjag"),
        ("cnfp-fme", 5, "cejag"),
        ("cnfp-fme", 6, "cejagl"),
    ],
)
def test_strategies_choose_what_the_vectors_say(name, k, expected):
    assert chosen(name, k) == expected


def test_entropy_of_the_vectors():
    stated = [0.134742, 0.302538, 0.673012, 0.366925, 0.422709, 0.692347, 0.692947, 0.562335, 0.198515, 0.673012]
    stated += [0.610864, 0.098039]
    order = np.argsort(-np.round(stated, 6), kind="stable")
    assert chosen("entropy", 12) == "".join(IDS[n] for n in order)


@pytest.mark.parametrize(
    ("positive", "k", "expected"),
    [(np.ones(12, bool), 4, "lkji"), (np.zeros(12, bool), 4, "abcd"), (np.arange(12) == 2, 6, "abdefc")],
)
def test_cnfp_fills_up_from_the_other_side(positive, k, expected):
    assert chosen("cnfp", k, positive) == expected


def test_random_is_numpys_choice_by_seed():
    assert chosen("random", 5, seed=0) == "fjcdg"
    assert chosen("random", 5, seed=1) == "eahkd"
    mixed = Ranking(np.random.default_rng(9).permutation(12))
    assert STRATEGIES["random"].select(mixed, 5, np.random.default_rng(0)).tolist() == [5, 9, 2, 3, 6]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_takes_all_that_is_left_and_none_twice(name):
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 7):
        p = rng.random((size, 2)).astype(np.float32)
        points = rng.normal(size=(size, 4)).astype(np.float32)
        left = Ranking(np.arange(size) * 3, p, p[:, 1] > 0.5, points, points[:1] + 1)
        for k in (1, 2, 5, 9):
            items = STRATEGIES[name].select(left, k, rng).tolist()
            assert len(items) == len(set(items)) == min(k, size) and set(items) <= set(range(0, 3 * size, 3))


def test_front_middle_and_end_never_overlap():
    for size in range(1, 40):
        for k in range(1, size + 2):
            items = front_mid_end(Ranking(np.arange(size)), k, np.random.default_rng(0))
            assert len(set(items.tolist())) == min(k, size)


def test_coreset_goes_where_nothing_was_reviewed():
    points = np.array([[0, 0], [1, 0], [9, 0], [9, 1], [0, 5]], np.float32)
    left = Ranking(np.array([10, 11, 12, 13, 14]), embeddings=points, reviewed=np.zeros((1, 2), np.float32))
    assert STRATEGIES["coreset"].select(left, 3, np.random.default_rng(0)).tolist() == [13, 14, 11]


GALLERY = np.array([[0, 0], [1, 0], [0, 2], [3.5, 0], [2, 2.5]], np.float32)
QUERY = np.array([0.9, 0.1], np.float32)


def test_retrieval_and_refinement():
    np.testing.assert_allclose(squared_distances(QUERY, GALLERY), [0.82, 0.02, 4.42, 6.77, 6.97], rtol=1e-5)
    assert closest_first(QUERY, GALLERY).tolist() == [1, 0, 2, 3, 4]
    flat = refined(QUERY, GALLERY[[1, 4]], "flat")
    np.testing.assert_allclose(flat, [1.3, 0.8666667], rtol=1e-6)
    np.testing.assert_allclose(refined(QUERY, GALLERY[[1, 4]], "two-level"), [1.2, 0.675], rtol=1e-6)
    assert closest_first(flat, GALLERY).tolist() == [1, 0, 2, 4, 3]
    assert [n for n in closest_first(flat, GALLERY).tolist() if n not in (1, 4)] == [0, 2, 3]
    assert np.array_equal(refined(QUERY, GALLERY[:0], "flat"), QUERY)
    assert np.array_equal(refined(QUERY, GALLERY, "off"), QUERY)


def test_equal_distances_are_ordered_by_number():
    points = np.random.default_rng(0).integers(0, 3, (5000, 3)).astype(np.float32)
    order = closest_first(np.ones(3, np.float32), points)
    squares = ((points - 1) ** 2).sum(axis=1)
    assert np.array_equal(order, np.lexsort([np.arange(5000), squares]))
    assert squared_distances(QUERY, GALLERY[:0]).shape == (0,)
    with pytest.raises(ValueError, match="does not fit"):
        squared_distances(QUERY, np.zeros((2, 3), np.float32))


POINTS = torch.tensor([[0, 0], [1, 0], [0.6, 0.3], [2, 0], [2, 1]], dtype=torch.float64)
LABELS = torch.tensor([0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, 0.695449),
        ({"squared": True}, 1.2),
        ({"mining": "batch-all"}, 0.392467),
        ({"mining": "batch-all", "reduction": "nonzero"}, 0.706441),
        ({"mining": "hard-triplets"}, 0.833052),
    ],
)
def test_triplet_loss(switches, expected):
    assert triplet_loss(POINTS, LABELS, margin=0.2, **switches).item() == pytest.approx(expected, abs=1e-6)


def test_batch_hard_is_taken_per_anchor():
    apart, same = distances(POINTS, squared=False).numpy(), (LABELS[:, None] == LABELS[None]).numpy()
    alone = ~np.eye(5, dtype=bool)
    hardest = [apart[n][same[n] & alone[n]].max() for n in range(5)]
    nearest = [apart[n][~same[n]].min() for n in range(5)]
    np.testing.assert_allclose(hardest, [1.0, 1.0, 1.565248, 1.431782, 1.565248], atol=1e-6)
    np.testing.assert_allclose(nearest, [0.670820, 0.5, 0.5, 1.0, 1.414214], atol=1e-6)
    losses = np.maximum(0, np.array(hardest) - nearest + 0.2)
    np.testing.assert_allclose(losses, [0.529180, 0.7, 1.265248, 0.631782, 0.351034], atol=1e-6)
    assert triplet_loss(POINTS, LABELS, margin=0.2).item() == pytest.approx(losses.mean(), abs=1e-6)


def test_triplet_loss_without_triplets_is_zero_and_its_gradient_finite():
    alone = POINTS.clone().requires_grad_()
    triplet_loss(alone, torch.zeros(5, dtype=torch.long), margin=0.2).backward()
    assert alone.grad is not None and torch.equal(alone.grad, torch.zeros_like(alone))
    twins = torch.zeros(4, 2, requires_grad=True)
    triplet_loss(twins, torch.tensor([0, 0, 1, 1]), margin=0.2).backward()
    assert twins.grad is not None and torch.isfinite(twins.grad).all()
    scaled = triplet_loss(POINTS + 1, LABELS, margin=0.2, normalise=True)
    assert triplet_loss(5 * (POINTS + 1), LABELS, margin=0.2, normalise=True).item() == pytest.approx(scaled.item())
