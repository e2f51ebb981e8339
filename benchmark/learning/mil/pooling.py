"""The Pooling contract, and the three simplest: mean, maximum, attention (Ilse et al., ICML 2018)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import DataError


@dataclass(frozen=True)
class Pooled:
    """What a pooling makes of one bag of n instances.

    `logit`: of the bag, a scalar. `instance_logits` (n): of the instances alone. `attention` (n): their weights in the
    bag, None where the pooling has none. `embedded` (n × width): hidden features, for losses of the pooling's own.
    """

    logit: Tensor
    instance_logits: Tensor
    attention: Tensor | None = None
    embedded: Tensor | None = None


class Pooling(nn.Module):
    """Features of a bag → its logit. Subclasses implement `pool`; `dim` is the width of the features.

    The result does not depend on the order of the instances (where their order means something it is that of `numbers`)
    nor on rows that `mask` leaves out.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    @abstractmethod
    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """Pool n × dim features; `numbers` (n) are the cells of the instances, row-major."""

    def own_loss(self, pooled: Pooled, label: int) -> Tensor | None:
        """A loss that belongs to the pooling, beside that of the bag; None without one."""
        return None

    def forward(self, features: Tensor, numbers: Tensor | None = None, mask: Tensor | None = None) -> Pooled:
        """Pool n × dim features. `mask` (n): false for padding, which gets logit −inf and attention 0.

        Raises `DataError` for an empty bag or features of another width.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            problem = f"features of shape {tuple(features.shape)} were given to a pooling of width {self.dim}"
            raise DataError(problem, fix="use the encoder that the pooling was trained with")
        if mask is not None:
            inside = self.forward(features[mask], None if numbers is None else numbers[mask])
            spread = inside.instance_logits.new_full((len(features),), -torch.inf)
            spread[mask] = inside.instance_logits
            attention = inside.attention
            if attention is not None:
                weights = attention.new_zeros(len(features))
                weights[mask] = attention
                attention = weights
            return replace(inside, instance_logits=spread, attention=attention)
        if not len(features):
            raise DataError("an empty bag cannot be pooled", fix="leave units without tissue patches out")
        return self.pool(features, numbers)


def embedding(dim: int, width: int, dropout: float) -> nn.Sequential:
    """One fully connected layer with ReLU in front of a pooling."""
    return nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Dropout(dropout))


class InstancePooling(Pooling):
    """A classifier of embedded instances, whose logits a subclass pools."""

    def __init__(self, dim: int, width: int = 512, dropout: float = 0.25) -> None:
        super().__init__(dim)
        self.embedding = embedding(dim, width, dropout)
        self.classifier = nn.Linear(width, 1)

    def instance_logits(self, features: Tensor) -> Tensor:
        """One logit per instance."""
        logits: Tensor = self.classifier(self.embedding(features)).squeeze(1)
        return logits


class MeanPooling(InstancePooling):
    """The mean of the embedded instances, classified; equal to the mean of the instances' logits."""

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """Σ h_i / n."""
        logits = self.instance_logits(features)
        return Pooled(logits.mean(), logits)


class MaxPooling(InstancePooling):
    """A bag is as positive as its most positive instance."""

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """The highest instance logit."""
        logits = self.instance_logits(features)
        return Pooled(logits.max(), logits)


class Attention(nn.Module):
    """Attention logits of n × width embeddings: w·tanh(V h), gated by σ(U h) on request (Ilse et al., Eq. 8 and 9)."""

    def __init__(self, width: int, hidden: int, *, gated: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.tanh = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Dropout(dropout))
        self.gate = nn.Sequential(nn.Linear(width, hidden), nn.Sigmoid(), nn.Dropout(dropout)) if gated else None
        self.weight = nn.Linear(hidden, 1)

    def forward(self, embedded: Tensor) -> Tensor:
        """N × width → n."""
        hidden = self.tanh(embedded)
        if self.gate is not None:
            hidden = hidden * self.gate(embedded)
        logits: Tensor = self.weight(hidden).squeeze(1)
        return logits


class AttentionPooling(Pooling):
    """Attention-based pooling, gated or plain.

    Attention is how much an instance counts, not for which class: where the net tells slides by their normal tissue, it
    is highest there. An instance's logit is therefore what it adds to the bag's, n · a_i w·h_i + b: their mean is the
    bag's logit (Javed et al., Additive MIL, NeurIPS 2022; the classifier is linear, so nothing has to be changed).
    """

    def __init__(
        self, dim: int, width: int = 512, hidden: int = 128, *, gated: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__(dim)
        self.embedding = embedding(dim, width, dropout)
        self.attention = Attention(width, hidden, gated=gated)
        self.classifier = nn.Linear(width, 1)

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """Σ a_i h_i with a = softmax of the attention logits (Eq. 7)."""
        embedded = self.embedding(features)
        attention = torch.softmax(self.attention(embedded), dim=0)
        logit = self.classifier(attention @ embedded).squeeze()
        evidence = functional.linear(embedded, self.classifier.weight).squeeze(1)
        return Pooled(logit, len(embedded) * attention * evidence + self.classifier.bias, attention)
