"""The parts of LC-MIL against values worked out by hand: focal loss, rates, attention pooling."""

import pytest
import torch
from pydantic import ValidationError

from benchmark.errors import WeightsError
from benchmark.methods.cleaning.cleaning_nets import Focal, FullyConnected, MilNet, head_weights
from benchmark.methods.cleaning.cleaning_params import LCMIL_FIELDS, LcmilParams
from benchmark.methods.cleaning.lcmil import Lcmil, rate_at

TOLERANCE = 2e-6


def loss(probability, positive, **changes):
    return Focal(**changes)(torch.tensor(probability, dtype=torch.float64), bool(positive)).item()


@pytest.mark.parametrize(
    ("probability", "positive", "expected"),
    [
        (0.9, 1, 0.00010536),
        (0.5, 1, 0.08664340),
        (0.2, 1, 0.82403221),
        (0.199999, 1, 0.52738555),
        (0.1, 1, 1.35965347),
        (0.9, 0, 1.35965347),
        (0.85, 0, 0.84176222),
        (0.1, 0, 0.00010536),
        (0.0, 1, 11.51234983),
        (1.0, 1, 0.0),
    ],
)
def test_focal_loss(probability, positive, expected):
    assert loss(probability, positive) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.9, 1.67858453), (0.85, 1.16506881), (0.1, 0.00000105)],
)
def test_focal_loss_of_a_negative_bag_as_the_paper_writes(probability, expected):
    assert loss(probability, 0, by="positive") == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_one_gamma_for_all(gamma):
    for probability in (0.05, 0.5, 0.95):
        expected = -((1 - probability) ** gamma) * torch.tensor(probability, dtype=torch.float64).log().item()
        assert loss(probability, 1, gamma=gamma) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("logit", "positive", "expected", "slope"),
    [
        (-2.0, 1, 1.12754041, -1.13896423),
        (0.0, 1, 0.08664340, -0.19246510),
        (2.0, 1, 0.00021499, -0.00076999),
        (2.0, 0, 1.12754041, 1.13896423),
        (-12.0, 1, 11.51234983, 0.0),
    ],
)
def test_slope_of_the_focal_loss(logit, positive, expected, slope):
    variable = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    found = Focal()(torch.sigmoid(variable), bool(positive))
    found.backward()
    assert found.item() == pytest.approx(expected, abs=TOLERANCE)
    assert variable.grad.item() == pytest.approx(slope, abs=TOLERANCE)


def test_the_focal_loss_follows_the_parameters():
    params = LcmilParams(gamma_low=4, gamma_high=1, gamma_limit=0.3, gamma_by="positive", clamp=1e-3)
    assert Focal.of(params) == Focal(None, 4, 1, 0.3, "positive", 1e-3)
    assert Focal.of(LcmilParams()) == Focal()


def test_the_rate_halves_after_every_round():
    rates = [5.0e-5, 2.5e-5, 1.25e-5, 6.25e-6, 3.125e-6, 1.5625e-6, 7.8125e-7, 3.90625e-7, 1.953125e-7, 9.765625e-8]
    params = LcmilParams()
    assert [rate_at(100 * epoch, params) for epoch in range(10)] == pytest.approx(rates, rel=1e-9)
    assert [rate_at(100 * epoch + 99, params) for epoch in range(10)] == pytest.approx(rates, rel=1e-9)


H = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 1.0], [0.5, 0.5, 0.5]])
VALUES = {
    True: ([0.943827, 0.009252, 0.046921], 0.420676, [0.413382, 0.46257, 0.562177]),
    False: ([0.947159, 0.009937, 0.042904], 0.407993, [0.401312, 0.450166, 0.549834]),
}


class Untouched(torch.nn.Module):
    """Stands for layers whose result is known."""

    outputs = 3

    def forward(self, features):
        return features


def attention_net(biases):
    net = MilNet(Untouched(), 2, biases=biases)
    weights = {
        "project.weight": [[0.5, -0.5, 0.0], [0.0, 0.25, 1.0]],
        "weigh.weight": [[1.0, -2.0]],
        "classify.weight": [[0.2, -0.4, 0.6]],
    }
    if biases:
        weights |= {"project.bias": [0.1, -0.1], "weigh.bias": [0.3], "classify.bias": [0.05]}
    net.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return net


@pytest.mark.parametrize("biases", [True, False])
def test_attention_pooling(biases):
    net = attention_net(biases)
    weights, probability, singletons = VALUES[biases]
    torch.testing.assert_close(net.weights(H), torch.tensor(weights), atol=TOLERANCE, rtol=0)
    assert net(H).item() == pytest.approx(probability, abs=TOLERANCE)
    torch.testing.assert_close(net.singletons(H), torch.tensor(singletons), atol=TOLERANCE, rtol=0)


def test_pooled_features():
    z = attention_net(True).weights(H) @ H
    torch.testing.assert_close(z, torch.tensor([0.967287, 0.041965, -0.911114]), atol=TOLERANCE, rtol=0)


def test_a_singleton_is_a_bag_of_one():
    torch.manual_seed(0)
    net = MilNet(FullyConnected(6, 5, 4, 0.5), 3).eval()
    features = torch.randn(7, 6)
    alone = torch.stack([net(row[None]) for row in features])
    torch.testing.assert_close(net.singletons(features), alone)


def test_number_of_trained_weights():
    with torch.device("meta"):
        net = MilNet(FullyConnected(25088, 4096, 1000, 0.5), 64)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    assert sizes["project"] + sizes["weigh"] == 64_129
    assert sizes["classify"] == 1_001
    assert sizes["body"] == 123_642_856


def test_fully_connected_layers_start_from_given_weights():
    body = FullyConnected(6, 5, 4, 0.0)
    given = [torch.randn(p.shape) for p in body.parameters()]
    body.start_from(given)
    for own, wanted in zip(body.parameters(), given, strict=True):
        torch.testing.assert_close(own.data, wanted)
    headless = FullyConnected(6, 5, None, 0.0)
    headless.start_from(given)
    torch.testing.assert_close(headless.fc7.bias.data, given[3])
    with pytest.raises(WeightsError, match="FC6"):
        FullyConnected(7, 5, 4, 0.0).start_from(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder_pretrained", False),
        ("encoder", "resnet18"),
        ("encoder_training", "self-supervised"),
        ("fc_pretrained", False),
    ],
)
def test_there_are_no_imagenet_layers_for_these(name, value):
    assert head_weights(LcmilParams(**{name: value})) is None


@pytest.mark.parametrize("wrong", [{"bags": 150}, {"blur_kernel": 4}, {"gamma": -1}, {"dropout": 1.0}])
def test_illegal_parameters(wrong):
    with pytest.raises(ValidationError):
        LcmilParams(**wrong)


def test_every_parameter_decides_on_scores_or_on_the_mask():
    after = {"min_object", "min_hole", "blur_sigma", "blur_kernel", "blur_border", "threshold"}
    assert set(LCMIL_FIELDS) | after == set(Lcmil.Params.model_fields)
    assert not set(LCMIL_FIELDS) & after
