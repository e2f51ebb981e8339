"""The training loop: schedule, logging, and the same bits after a kill."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.context import Context
from benchmark.errors import ConfigError
from benchmark.learning.training import Training, autocast, place, poly_rate, seed_torch, train_steps
from benchmark.method import Method, MethodCard, Params
from benchmark.supervision import Ledger


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.005), (1000, 0.00455671), (5000, 0.00272584), (9000, 0.00071687), (9999, 0.00010123)]
)
def test_poly_schedule_of_the_released_code(step, rate):
    assert poly_rate(step, 10_000, 5e-3, 1e-4) == pytest.approx(rate, abs=1e-8)


def test_poly_schedule_ends_at_the_minimum():
    assert poly_rate(10_000, 10_000, 5e-3, 1e-4) == 1e-4
    assert poly_rate(20_000, 10_000, 5e-3, 1e-4) == 1e-4


class Killed(Exception):
    """Stands for `kill -9`: nothing of the process survives but its files."""


class Learner(Method):
    """Fits a small net with dropout and BatchNorm; may be killed at a step."""

    name = "learner"
    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Params
    presets = {"paper": {}}
    killed_at = None
    rate = 0.1
    seen: list

    def fit(self, train, validation, context):
        self.seen = []
        self.weights = context.stage("learning", lambda: self.learn(context))

    def learn(self, context):
        seed_torch(context, "learning", "weights")
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.5), nn.Conv2d(4, 1, 3))
        place(net, "cpu")
        optimiser = torch.optim.SGD(net.parameters(), 1.0, momentum=0.9)

        def batch(step, rng):
            if step == self.killed_at:
                raise Killed
            self.seen.append(step)
            return torch.from_numpy(rng.standard_normal((4, 3, 8, 8), dtype=np.float32))

        def loss(images):
            return net(images).square().mean()

        rate = self.rate
        train_steps(
            net, optimiser, Training("learning", 12, batch, loss, lambda step: rate, log_every=4, save_every=3), context
        )
        return net.state_dict()

    def predict(self, slide, labels, context):
        raise NotImplementedError

    def state(self):
        return self.weights

    def restore(self, state, context):
        self.weights = state


def run(folder, *, killed_at=None, rate=0.1):
    method = Learner(Params())
    method.killed_at, method.rate = killed_at, rate
    context = Context(geometry=None, folder=folder, ledger=Ledger()).bind(method)
    method.fit(None, None, context)
    return method, context


def losses(context):
    return [entry for entry in context.reporter.history if entry[0] == "learning/loss"]


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    straight, whole = run(tmp_path / "straight")
    with pytest.raises(Killed):
        run(tmp_path / "killed", killed_at=8)
    resumed, context = run(tmp_path / "killed")
    assert resumed.seen == list(range(6, 12))
    for name, value in straight.weights.items():
        assert torch.equal(value, resumed.weights[name]), name
    assert losses(context) == losses(whole)
    assert [step for _, _, step in losses(whole)] == [3, 7, 11]


def test_the_rate_is_logged_and_applied(tmp_path):
    frozen, context = run(tmp_path, rate=0.0)
    assert ("learning/lr", 0.0, 3) in context.reporter.history
    moving, _ = run(tmp_path / "b", rate=0.1)
    assert not torch.equal(frozen.weights["0.weight"], moving.weights["0.weight"])


def test_a_training_that_diverges_says_so(tmp_path):
    with pytest.raises(ConfigError, match="lower the learning rate"):
        run(tmp_path, rate=float("nan"))


def test_a_parameter_group_can_scale_the_rate(tmp_path):
    class Scaled(Learner):
        def learn(self, context):
            first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
            model = nn.ParameterList([first, second])
            groups = [{"params": [first]}, {"params": [second], "lr_scale": 10.0}]
            training = Training(
                "learning", 1, lambda step, rng: None, lambda _: (first + second).sum(), lambda step: 0.5
            )
            train_steps(model, torch.optim.SGD(groups, lr=1.0), training, context)
            return {"first": first.item(), "second": second.item()}

    method = Scaled(Params())
    method.fit(None, None, Context(geometry=None, folder=tmp_path, ledger=Ledger()).bind(method))
    assert method.weights == {"first": -0.5, "second": -5.0}


@pytest.mark.parametrize("groups", [1, 2])
def test_networks_are_placed_channels_last_and_so_is_what_they_return(groups):
    net = nn.Conv2d(8, 8, 3, groups=groups)
    images = torch.rand(2, 8, 16, 16)
    before = net(images)
    place(net, "cpu")
    assert net(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(net(images), before)


def test_half_precision_is_asked_for_never_assumed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    asked = []
    monkeypatch.setattr("torch.autocast", lambda *words, **options: asked.append((words, options)) or nullcontext())
    for device, half in (("cuda:0", False), ("cpu", True), ("cuda:0", True)):
        with autocast(device, half):
            assert asked == ([(("cuda",), {"dtype": torch.bfloat16})] if (device, half) == ("cuda:0", True) else [])
    assert Training("t", 1, lambda step, rng: None, lambda batch: torch.zeros(()), lambda step: 0.1).half is False
