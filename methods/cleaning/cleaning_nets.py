"""The trained layers on top of a frozen encoder (VGG16's FC layers, attention, classifiers), and the focal loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import WeightsError

from .cleaning_params import CleaningParams, LcmilParams

FcWeights = Sequence[Tensor]
"""Weight and bias of FC6, FC7 and FC8, in this order."""


class FullyConnected(nn.Module):
    """FC6, ReLU, dropout, FC7, ReLU, dropout, and FC8 where `embedding` is given: N × inputs → N × `outputs`."""

    def __init__(self, inputs: int, width: int, embedding: int | None, dropout: float) -> None:
        super().__init__()
        self.fc6 = nn.Linear(inputs, width)
        self.fc7 = nn.Linear(width, width)
        self.fc8 = None if embedding is None else nn.Linear(width, embedding)
        self.dropout = dropout
        self.outputs = width if embedding is None else embedding

    def forward(self, features: Tensor) -> Tensor:
        """Without FC8 the result is what the last dropout lets through."""
        for layer in (self.fc6, self.fc7):
            features = functional.dropout(functional.relu(layer(features)), self.dropout, self.training)
        return features if self.fc8 is None else self.fc8(features)

    def start_from(self, weights: FcWeights) -> None:
        """Take over ImageNet's layers, FC8 only where there is one. Raises `WeightsError` when a shape differs."""
        layers = [layer for layer in (self.fc6, self.fc7, self.fc8) if layer is not None]
        targets = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
        for number, (target, source) in enumerate(zip(targets, weights, strict=False)):
            if target.shape != source.shape:
                shapes = f"FC{6 + number // 2} has shape {tuple(target.shape)}, the weights {tuple(source.shape)}"
                raise WeightsError(shapes, fix="--set fc_pretrained=false")
            with torch.no_grad():
                target.copy_(source)


class MilNet(nn.Module):
    """Attention-based MIL: a_i = softmax_i(wᵀ tanh(V h_i + b_V) + b_w), z = Σ a_i h_i, P = σ(gᵀ z + b_g).

    Without `biases` the three b are absent, as in the paper's equations 7 and 8 (L16).
    """

    def __init__(self, body: FullyConnected, attention: int, *, biases: bool = True) -> None:
        super().__init__()
        self.body = body
        self.project = nn.Linear(body.outputs, attention, bias=biases)
        self.weigh = nn.Linear(attention, 1, bias=biases)
        self.classify = nn.Linear(body.outputs, 1, bias=biases)

    def forward(self, features: Tensor) -> Tensor:
        """Probability that a bag, N × inputs, is positive; a scalar."""
        return self.pooled(self.body(features).float())

    def pooled(self, instances: Tensor) -> Tensor:
        """The same of instances that went through FC8, N × L."""
        z = self.weights(instances) @ instances
        return torch.sigmoid(self.classify(z).float())[0]

    def weights(self, instances: Tensor) -> Tensor:
        """Attention of every instance, N; sums to 1."""
        scores = self.weigh(torch.tanh(self.project(instances)))
        return torch.softmax(scores[:, 0].float(), dim=0)

    def singletons(self, features: Tensor) -> Tensor:
        """Probability of every row as a bag of its own, whose attention is 1: N × inputs → N."""
        return torch.sigmoid(self.classify(self.body(features).float()).float())[:, 0]


class BinaryNet(nn.Module):
    """DkNN's net: fully connected layers up to FC7, and one logit that is only used in training."""

    def __init__(self, body: FullyConnected) -> None:
        super().__init__()
        self.body = body
        self.classify = nn.Linear(body.outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Probability of the positive class, N × inputs → N."""
        return torch.sigmoid(self.classify(self.body(features)).float())[:, 0]


def head_weights(params: CleaningParams) -> FcWeights | None:
    """ImageNet's FC layers, where the encoder is VGG16 with weights; None where the layers start at random."""
    from benchmark.learning.encoders.feature_params import folder_of
    from benchmark.learning.encoders.frozen import vgg16_head

    folder = folder_of(params)
    if folder is not None and folder.name != "vgg16:trunk":
        return None
    if params.encoder != "vgg16" or params.encoder_training != "none" or not params.fc_pretrained:
        return None
    return vgg16_head(pretrained=params.encoder_pretrained, weights=params.encoder_weights)


@dataclass(frozen=True)
class Focal:
    """The focal loss of LC-MIL, whose γ depends on how sure the net is (Mukhoti et al. 2020).

    L = -(1 - p_t)^γ ln p_t with p_t = P for a positive bag and 1 - P for a negative one.

    `gamma` for all, or none: `low` where the probability is below `limit`, else `high`. `by` names that
    probability: the true class's as in the released code, or the positive class's as the paper writes (L6; both agree
    for positive bags). γ is a constant for the gradient. P is clamped to [clamp, 1 - clamp]; beyond, no gradient flows.
    """

    gamma: float | None = None
    low: float = 5.0
    high: float = 3.0
    limit: float = 0.2
    by: Literal["true-class", "positive"] = "true-class"
    clamp: float = 1e-5

    def __call__(self, probability: Tensor, positive: bool) -> Tensor:
        """Element by element, the shape of `probability`."""
        kept = probability.clamp(self.clamp, 1 - self.clamp)
        true = kept if positive else 1 - kept
        loss: Tensor = -((1 - true) ** self.exponent(kept, true)) * torch.log(true)
        return loss

    def exponent(self, probability: Tensor, true: Tensor) -> Tensor:
        """γ of each element."""
        if self.gamma is not None:
            return torch.full_like(true, self.gamma)
        decides = (true if self.by == "true-class" else probability).detach()
        return torch.where(decides < self.limit, self.low, self.high).to(true.dtype)

    @classmethod
    def of(cls, params: LcmilParams) -> Focal:
        """As LC-MIL's parameters say."""
        return cls(params.gamma, params.gamma_low, params.gamma_high, params.gamma_limit, params.gamma_by, params.clamp)
