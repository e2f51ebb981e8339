"""Networks of hybrid supervision as they predict: folded, side by side, with statistics of their own."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.config import resolve
from benchmark.identity import facts_of
from benchmark.learning.encoders.pace import hold, paced
from benchmark.methods.hybrid import hybrid_nets, m_step, slide_model
from benchmark.methods.hybrid.hybrid import Pixel
from benchmark.methods.hybrid.hybrid_nets import (
    PatchModel,
    patch_head,
    patch_net,
    scaled,
    settle,
    slide_head,
    slide_net,
)
from benchmark.methods.hybrid.hybrid_params import ROUND0_FIELDS, ROUND_FIELDS, SCORE_FIELDS, THETA2_FIELDS
from benchmark.methods.hybrid.side_by_side import begun
from benchmark.methods.hybrid.slide_model import SlideModel

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)


def params(**changes):
    return resolve(Pixel, "smoke", changes)


def some_net(**changes):
    """A net whose BatchNorm statistics are not those it was born with."""
    torch.manual_seed(0)
    net = patch_net(params(**changes), 0, initialise=False)
    net.train()
    with torch.no_grad():
        net(torch.randn(4, 3, 64, 64) + 0.3)
    return net.eval()


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050", "resnet10t"])
def test_a_patch_model_predicts_what_its_net_predicts(encoder):
    net = some_net(encoder=encoder)
    folded = PatchModel(params(encoder=encoder), [net.state_dict()], "cpu")
    with torch.inference_mode():
        plain = net(scaled(PIXELS, params(encoder=encoder), "cpu")).numpy()
    found = folded.logits(PIXELS)
    assert found.shape == (5, 32, 32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain, atol=2e-4 * np.abs(plain).max())
    assert any(isinstance(module, nn.Identity) for module in folded._nets[0].units.modules())


def test_the_number_of_cores_does_not_change_a_bit(monkeypatch):
    model = PatchModel(params(), [some_net().state_dict()], "cpu")
    before = torch.get_num_threads()
    pixels = np.random.default_rng(1).integers(0, 256, (40, 64, 64, 3), np.uint8)
    try:
        torch.set_num_threads(1)
        alone = model.logits(pixels)
        torch.set_num_threads(2)
        together = model.logits(pixels)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(alone, together)


def test_parts_are_worked_on_by_one_core_each_in_their_order():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        found = begun(lambda part: (part, torch.get_num_threads(), threading.get_ident()), range(6), "cpu")()
        assert [part for part, _, _ in found] == list(range(6))
        assert {threads for _, threads, _ in found} == {1}
        assert threading.get_ident() not in {thread for _, _, thread in found}
        later = []
        other = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert (torch.get_num_threads(), later) == (2, [2])
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_part_reaches_the_one_who_waits():
    def work(part):
        raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 0"):
        begun(work, [0], "cpu")()


def test_statistics_taken_anew_are_those_of_the_batches():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    batches = [torch.randn(8, 3, 6, 6) * 3 + 1 for _ in range(5)]
    settle(net, iter(batches))
    with torch.no_grad():
        seen = [net[0](batch) for batch in batches]
    expected = torch.stack([one.mean(dim=(0, 2, 3)) for one in seen]).mean(dim=0)
    torch.testing.assert_close(net[1].running_mean, expected, atol=1e-5, rtol=1e-4)
    net.eval()
    with torch.no_grad():
        made = torch.cat([net(batch) for batch in batches])
    assert made.mean().abs() < 0.05
    assert abs(float(made.std()) - 1) < 0.05


def test_without_them_a_short_training_predicts_with_statistics_that_lag():
    """Three steps at momentum 0.1 leave 73 % of the initial mean; that is why `quick` takes them anew."""
    net = nn.BatchNorm2d(2)
    for _ in range(3):
        net(torch.full((2, 2, 2, 2), 10.0) + torch.randn(2, 2, 2, 2))
    assert float(net.running_mean.mean()) == pytest.approx(2.71, abs=0.3)
    settle(net, iter([torch.full((2, 2, 2, 2), 10.0) + torch.randn(2, 2, 2, 2)]))
    assert float(net.running_mean.mean()) == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("amp", "training", "scoring"), [("none", False, False), ("training", True, False), ("all", True, True)]
)
def test_scores_have_full_precision_unless_asked_otherwise(monkeypatch, amp, training, scoring):
    asked = []
    for module in (hybrid_nets, slide_model):
        monkeypatch.setattr(module, "autocast", lambda device, half: asked.append(half) or nullcontext())
    trained = []
    monkeypatch.setattr(m_step, "train_steps", lambda net, optimiser, plan, context: trained.append(plan.half))
    given = params(amp=amp)
    PatchModel(given, [some_net().state_dict()], "cpu").logits(PIXELS)
    SlideModel(given, slide_net(given, initialise=False).state_dict(), "cpu").probabilities(PIXELS)
    assert asked and set(asked) == {scoring}
    m_step.train_patch_model(FewBatches(), given, Silent(), name="theta1_0", start=None)
    assert trained == [training]


def test_amp_counts_in_the_run_and_in_every_stage_that_computes():
    assert facts_of(params(amp="all")) != facts_of(params())
    for fields in (SCORE_FIELDS, ROUND0_FIELDS, ROUND_FIELDS, THETA2_FIELDS):
        assert "amp" in fields


class Silent:
    """As much of a context as the training of a patch model asks for."""

    device = "cpu"

    def seed_for(self, *axes):
        return 0

    def generator(self, *axes):
        return np.random.default_rng(0)

    def log(self, *words):
        pass


class FewBatches:
    """Batches of noise."""

    steps_per_epoch = 2

    def batch(self, step, rng):
        return PIXELS[:4], rng.random((4, 64, 64), np.float32).round()


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_an_encoder_is_frozen_with_its_statistics_or_learns_slowly(rate):
    net = patch_net(params(), 0, initialise=False).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    head = patch_head(net)
    hold(net, head, rate=rate)
    optimiser = torch.optim.SGD(paced(net, head, rate=rate), 0.1)
    assert [group.get("lr_scale", 1.0) for group in optimiser.param_groups] == ([1.0] if rate == 0 else [1.0, rate])
    net(torch.randn(4, 3, 64, 64)).square().mean().backward()
    optimiser.step()
    settle(net, (torch.randn(4, 3, 64, 64) for _ in range(2)))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("units.") for name in changed) and "head.weight" in changed
    assert any(name.startswith("encoder.") for name in changed) is (rate > 0)
    assert len(slide_head(slide_net(params(), initialise=False))) == 1


@pytest.mark.parametrize("encoder", ["dla34", "tf_efficientnet_lite0", "mobilenetv3_small_050", "test_resnet"])
def test_the_slide_model_starts_undecided(encoder):
    """By timm's rule the one logit of DLA and EfficientNet starts with weights around ± 1."""
    torch.manual_seed(0)
    net = slide_net(params(encoder=encoder), initialise=True)
    (head,) = slide_head(net)
    assert head.weight.abs().max() <= 1 / head.weight.shape[1] ** 0.5
