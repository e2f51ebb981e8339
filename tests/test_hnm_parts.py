"""Parts of ItS2CLR and HNM, worked out by hand: contrastive loss, pseudo labels, pools, schedules, batches, views."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from benchmark.errors import DataError
from benchmark.methods.mil.contrastive import anchor_losses, supervised_contrastive
from benchmark.methods.mil.finetuning import Epoch, Mix, rate_at
from benchmark.methods.mil.pools import (
    Pools,
    Shares,
    accepted,
    averaged,
    batches_of,
    highest_share,
    lowest_share,
    pools_of,
    pseudo_labels,
    share_at,
)
from benchmark.methods.mil.views import crop_box, two_views

ANGLES = ((0, 35, 80, 120), (20, 50, 100, 95))
"""Degrees on the unit circle: the first views of four instances, then their second views."""
UNITS = torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for views in ANGLES for a in views])
LABELS, BAGS = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
NEGATIVES = np.array([0.02, 0.05, 0.11, 0.11, 0.20, 0.33, 0.41, 0.41, 0.41, 0.90], np.float32)
POSITIVES = np.array([0.10, 0.31, 0.29, 0.55, 0.62, 0.30, 0.97, 0.44], np.float32)


def contrast(units=UNITS, tau=0.07, pairs="all", masked=False):
    return anchor_losses(units, LABELS, BAGS, pairs=pairs, temperature=tau, masked=masked)


@pytest.mark.parametrize(
    ("tau", "pairs", "masked", "loss"),
    [
        (0.07, "all", False, 1.629071),
        (0.07, "all", True, 1.140378),
        (0.07, "positive", False, 0.713786),
        (0.07, "positive", True, 0.694590),
        (0.07, "negative", False, 0.915285),
        (0.07, "negative", True, 0.445787),
        (0.5, "all", False, 10.705379),
        (0.5, "positive", False, 5.290232),
        (0.5, "negative", False, 5.415147),
        (0.5, "negative", True, 3.679489),
    ],
)
def test_supervised_contrastive_loss(tau, pairs, masked, loss):
    settings = {"pairs": pairs, "temperature": tau, "masked": masked}
    assert supervised_contrastive(UNITS, LABELS, BAGS, **settings).item() == pytest.approx(loss, abs=2e-6)


def test_loss_of_every_anchor():
    plain = [2.164400, 1.464091, 1.775399, 1.519187, 1.257527, 2.436258, 1.179410, 1.236295]
    masked = [0.000018, 1.187586, 1.634225, 1.519069, 0.001946, 2.376749, 1.175878, 1.227547]
    assert contrast().tolist() == pytest.approx(plain, abs=2e-6)
    assert contrast(masked=True).tolist() == pytest.approx(masked, abs=2e-6)


@pytest.mark.parametrize(("pairs", "mean"), [("positive", 1.427573), ("negative", 1.830569)])
def test_anchors_without_partners_count_as_zero(pairs, mean):
    losses = contrast(pairs=pairs)
    active = losses[losses != 0]
    assert len(active) == 4
    assert active.mean().item() == pytest.approx(mean, abs=2e-6)
    assert losses.mean().item() == pytest.approx(mean / 2, abs=2e-6)


@pytest.mark.parametrize(
    ("mix", "pairs", "scale"), [((25, 486), "positive", 0.048924), ((102, 409), "negative", 0.800391)]
)
def test_the_mix_of_a_batch_scales_the_loss(mix, pairs, scale):
    labels = torch.arange(sum(mix)) < mix[0]
    units = functional.normalize(torch.randn(2 * sum(mix), 4, generator=torch.Generator().manual_seed(0)), dim=1)
    losses = anchor_losses(units, labels.long(), labels.long(), pairs=pairs, temperature=0.07)
    assert (losses > 0).float().mean().item() == pytest.approx(scale, abs=1e-6)


def test_a_low_temperature_does_not_overflow():
    units = UNITS.clone().requires_grad_()
    loss = contrast(units, tau=1e-3).mean()
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(units.grad).all()


def test_one_label_alone_or_only_masked_instances_give_no_loss():
    same = torch.zeros(4, dtype=torch.long)
    assert not anchor_losses(UNITS, same, same, pairs="positive", temperature=0.07).any()
    hidden = anchor_losses(UNITS, same, torch.ones(4, dtype=torch.long), pairs="all", temperature=0.07, masked=True)
    assert hidden.tolist() == [0.0] * 8


@given(data=st.data(), size=st.integers(2, 5))
def test_loss_is_that_of_its_definition(data, size):
    labels = torch.tensor(data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    bags = torch.maximum(labels, torch.tensor(data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))))
    masked, pairs = data.draw(st.booleans()), data.draw(st.sampled_from(["all", "positive", "negative"]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    units = functional.normalize(torch.randn(2 * size, 3, generator=generator, dtype=torch.float64), dim=1)
    losses = anchor_losses(units, labels, bags, pairs=pairs, temperature=0.2, base_temperature=0.1, masked=masked)
    twice, bag = labels.repeat(2).tolist(), bags.repeat(2).tolist()
    for a in range(2 * size):
        allowed = [c for c in range(2 * size) if c != a and not (masked and bag[c] == 1 and twice[c] == 0)]
        wanted = {"all": (0, 1), "positive": (1,), "negative": (0,)}[pairs]
        partners = [c for c in allowed if twice[c] == twice[a] and twice[a] in wanted]
        expected = 0.0
        if partners:
            alike = {c: float(units[a] @ units[c]) / 0.2 for c in allowed}
            total = math.log(sum(map(math.exp, alike.values())) + (1e-10 if masked else 0))
            expected = -2 * sum(alike[c] - total for c in partners) / len(partners)
        assert losses[a].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("share", "threshold", "chosen"),
    [
        (0.05, 0.6795, [9]),
        (0.1, 0.459, [9]),
        (0.2, 0.41, [6, 7, 8, 9]),
        (0.3, 0.41, [6, 7, 8, 9]),
        (1.0, 0.02, list(range(10))),
    ],
)
def test_hard_negatives(share, threshold, chosen):
    assert np.quantile(NEGATIVES.astype(np.float64), 1 - share) == pytest.approx(threshold, abs=1e-6)
    assert highest_share(NEGATIVES, share).tolist() == chosen


@pytest.mark.parametrize(("share", "chosen"), [(0.05, [9]), (0.2, [6, 9]), (0.3, [6, 7, 9]), (1.0, list(range(10)))])
def test_capped_hard_negatives_take_the_first_of_equal_scores(share, chosen):
    assert highest_share(NEGATIVES, share, "cap").tolist() == chosen


def test_ties_that_would_select_everything():
    same = np.full(1000, 0.5, np.float32)
    assert highest_share(same, 0.05).size == 1000
    assert highest_share(same, 0.05, "cap").tolist() == list(range(50))


@pytest.mark.parametrize(
    ("share", "chosen"), [(0.2, [6]), (0.5, [3, 4, 6]), (0.8, [3, 4, 6, 7]), (1.0, [1, 3, 4, 6, 7])]
)
def test_surest_positives(share, chosen):
    positive = np.ones(8, np.bool_)
    shares = Shares(positive=share, negative=1.0, uncertain=0.5)
    pools = pools_of(
        POSITIVES, positive, threshold=0.3, shares=shares, uncertain_in_negative=True, uncertain_in_augmented=True
    )
    assert pools.positive.tolist() == [1, 3, 4, 6, 7]
    assert pools.surest.tolist() == chosen


@pytest.mark.parametrize(("share", "chosen"), [(0.0, [0]), (0.2, [0]), (0.5, [0, 2]), (0.8, [0, 2])])
def test_surest_of_the_uncertain(share, chosen):
    unsure = np.flatnonzero(~(POSITIVES > 0.3))
    assert unsure[lowest_share(POSITIVES[unsure], share)].tolist() == chosen


def test_uncertain_instances_join_the_pools_they_may():
    scores, positive = np.concatenate([NEGATIVES, POSITIVES]), np.arange(18) >= 10
    shares = Shares(positive=0.5, negative=0.1, uncertain=0.5)
    settings = {"threshold": 0.3, "shares": shares}
    plain = pools_of(scores, positive, **settings, uncertain_in_negative=False, uncertain_in_augmented=True)
    assert plain.negative.tolist() == [9]
    assert plain.augmented.tolist() == [9, 10, 12]
    assert (plain.surest.tolist(), plain.hard) == ([13, 14, 16], 1)
    unmasked = pools_of(scores, positive, **settings, uncertain_in_negative=True, uncertain_in_augmented=False)
    assert unmasked.negative.tolist() == [9, 10, 12]
    assert unmasked.augmented.tolist() == [9]


def test_pseudo_labels_of_negative_slides_are_zero_whatever_they_score():
    scores, positive = np.array([0.9, 0.3, 0.31], np.float32), np.array([False, True, True])
    assert pseudo_labels(scores, positive, 0.3).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("warmup", "shares"),
    [
        (5, {0: 0.2, 5: 0.2, 6: 0.206316, 20: 0.294737, 50: 0.484211, 95: 0.768421, 99: 0.793684}),
        (15, {15: 0.2, 16: 0.207059, 20: 0.235294, 50: 0.447059, 95: 0.764706, 99: 0.792941}),
    ],
)
def test_self_paced_share(warmup, shares):
    for epoch, share in shares.items():
        assert share_at(epoch, first=0.2, last=0.8, warmup=warmup, epochs=100) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.01), (10, 0.01), (11, 0.0099975), (50, 0.0065451), (99, 0.0002956)])
def test_learning_rate_of_the_encoder(epoch, rate):
    assert rate_at(epoch, lr=0.01, epochs=100, decay_from=10) == pytest.approx(rate, abs=5e-8)


@pytest.mark.parametrize(("share", "mix"), [(0.2, (102, 409)), (0.05, (25, 486)), (0.5, (256, 256))])
def test_mixes_are_rounded_down(share, mix):
    assert Mix.of(512, share) == Mix(*mix)
    assert Mix.of(20, 0.9) == Mix(18, 2), "and not by errors of binary fractions"


def test_the_gate():
    assert accepted(0.7, 0.7), "as good as the best is good enough"
    assert not accepted(0.69, 0.7)
    assert accepted(None, 0.7), "nothing to compare with"
    assert accepted(0.1, None)
    assert averaged(np.array([1.0]), np.array([0.0])).tolist() == pytest.approx([0.3])


def test_batches_restart_when_used_up_and_drop_rests():
    batches = batches_of(np.arange(10), 4, 5, np.random.default_rng(0))
    assert batches.shape == (5, 4)
    for start in (0, 2):
        assert len(np.unique(batches[start : start + 2])) == 8, "within a pass nothing comes twice"
    again = batches_of(np.arange(10), 4, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(batches, again)


def test_a_pool_smaller_than_its_share_of_a_batch_is_repeated():
    batches = batches_of(np.array([7, 8, 9]), 7, 2, np.random.default_rng(0))
    for batch in batches:
        assert sorted(np.unique(batch, return_counts=True)[1]) == [2, 2, 3]


def pools(**changes):
    made = {
        "positive": np.arange(5),
        "surest": np.arange(2),
        "negative": np.arange(5, 30),
        "augmented": np.arange(5, 40),
    }
    return Pools(**(made | changes), hard=25)


def test_an_epoch_is_one_pass_over_the_negative_pool():
    epoch = Epoch.of(pools(), Mix(2, 6), Mix(1, 7), np.random.default_rng(0), both=True)
    assert (len(epoch), epoch.a.shape, epoch.b.shape) == (4, (4, 8), (4, 8))
    assert np.unique(epoch.a[:, 2:]).size == 24, "a rest of one is left out, nothing comes twice"
    assert set(epoch.a[:, :2].ravel()) <= set(range(5))
    assert set(epoch.b[:, 0]) <= {0, 1}
    order = list(epoch.order(3))
    np.testing.assert_array_equal(order, [epoch.a[3], epoch.b[3]])
    assert Epoch.of(pools(), Mix(2, 6), Mix(1, 7), np.random.default_rng(0), both=False).b is None


def test_fewer_negatives_than_a_batch_needs():
    with pytest.raises(DataError, match=r"25 negative instances do not fill the 26") as raised:
        Epoch.of(pools(), Mix(2, 26), Mix(1, 27), np.random.default_rng(0), both=False)
    assert "neg_ratio" in raised.value.fix


def test_no_instance_above_the_threshold():
    empty = np.array([], np.int64)
    with pytest.raises(DataError, match="above the threshold") as raised:
        Epoch.of(pools(positive=empty, surest=empty), Mix(2, 6), Mix(1, 7), np.random.default_rng(0), both=False)
    assert "threshold" in raised.value.fix


def test_views_follow_the_generator_and_differ():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    views = two_views(pixels, 32, np.random.default_rng(1), "cpu")
    assert views.shape == (6, 3, 32, 32)
    assert views.min() >= 0
    assert views.max() <= 1 + 1e-6
    torch.testing.assert_close(views, two_views(pixels, 32, np.random.default_rng(1), "cpu"), rtol=0, atol=0)
    assert not torch.equal(views[:3], views[3:])


def test_crops_take_8_to_100_percent_of_the_patch():
    rng = np.random.default_rng(0)
    boxes = [crop_box(100, 100, rng) for _ in range(500)]
    assert all(top >= 0 and left >= 0 and top + h <= 100 and left + w <= 100 for top, left, h, w in boxes)
    areas = [h * w / 1e4 for _, _, h, w in boxes]
    assert min(areas) > 0.07
    assert 0.4 < np.mean(areas) < 0.6
