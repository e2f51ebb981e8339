"""DSMIL (Li, Li, Eliceiri, CVPR 2021): an instance stream and a bag stream that attends from the critical instance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmark.learning.mil.pooling import Pooled, Pooling

QUERY = 128


class DsmilPooling(Pooling):
    """The copy that ItS2CLR and HNM use; 592 002 parameters at 512 features.

    Instance logits c_i = w·h_i + b on raw features; the critical instance m has the highest. The bag stream sees
    g = ReLU(L h): a_i = softmax(q_i·q_m / √128) with q = tanh(Q g), and the bag's logit is f·Σ a_i U g_i, computed as
    f·U Σ a_i g_i: the a_i sum to 1, so that U meets one vector instead of n.
    """

    def __init__(self, dim: int, query: int = QUERY, dropout: float = 0.0) -> None:
        super().__init__(dim)
        self.instance = nn.Linear(dim, 1)
        self.projection = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, query)
        self.dropout = nn.Dropout(dropout)
        self.value = nn.Linear(dim, dim)
        self.bag = nn.Linear(dim, 1)

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """The bag's logit; attention is that of the bag stream."""
        logits = self.instance(features).squeeze(1)
        hidden = torch.relu(self.projection(features))
        queries = torch.tanh(self.query(hidden))
        attention = _attention(queries, logits)
        bag = self.bag(self.value(attention @ self.dropout(hidden))).squeeze()
        return Pooled(bag, logits, attention)


class RepositoryDsmilPooling(Pooling):
    """DSMIL as its authors' repository has it today.

    Queries come from two layers, values are the features themselves, weights start orthogonal and biases at 0.
    """

    def __init__(self, dim: int, query: int = QUERY) -> None:
        super().__init__(dim)
        self.instance = nn.Linear(dim, 1)
        self.query = nn.Sequential(nn.Linear(dim, query), nn.ReLU(), nn.Linear(query, query), nn.Tanh())
        self.bag = nn.Linear(dim, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """The bag's logit; attention is that of the bag stream."""
        logits = self.instance(features).squeeze(1)
        attention = _attention(self.query(features), logits)
        return Pooled(self.bag(attention @ features).squeeze(), logits, attention)


def _attention(queries: Tensor, logits: Tensor) -> Tensor:
    """Softmax over instances of the scaled product with the critical instance's query: n."""
    critical = queries[logits.argmax()]
    return torch.softmax(queries @ critical / math.sqrt(queries.shape[1]), dim=0)
