"""CLAM, single branch (Lu et al., Nature Biomedical Engineering 2021): attention with instance-level clustering."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.mil.mil_losses import smooth_svm
from benchmark.learning.mil.pooling import Attention, Pooled, Pooling, embedding


class ClamPooling(Pooling):
    """Gated attention whose top instances are pulled apart from its bottom ones by one classifier per class.

    `cluster`: B, instances at either end; at most half of a bag, so that none is both (the released code needs at least
    B instances). The bag's logit is the difference of the two classes' logits. An instance's logit is that of the
    clustering classifier of the positive class.
    """

    def __init__(
        self,
        dim: int,
        width: int = 512,
        hidden: int = 256,
        *,
        dropout: float = 0.25,
        cluster: int = 8,
        instance_loss: Literal["svm", "ce"] = "svm",
    ) -> None:
        super().__init__(dim)
        self.cluster, self.instance_loss = cluster, instance_loss
        self.embedding = embedding(dim, width, dropout)
        self.attention = Attention(width, hidden, gated=True, dropout=dropout)
        self.classifier = nn.Linear(width, 2)
        self.clusters = nn.ModuleList(nn.Linear(width, 2) for _ in range(2))

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """Σ a_i h_i, classified."""
        embedded = self.embedding(features)
        attention = torch.softmax(self.attention(embedded), dim=0)
        logits = self.classifier(attention @ embedded)
        instances = self.clusters[1](embedded)
        return Pooled(logits[1] - logits[0], instances[:, 1] - instances[:, 0], attention, embedded)

    def own_loss(self, pooled: Pooled, label: int) -> Tensor | None:
        """Clustering loss of the bag's own class: its B instances of highest attention are 1, the B lowest 0."""
        assert pooled.attention is not None and pooled.embedded is not None
        k = min(self.cluster, len(pooled.attention) // 2)
        if not k:
            return None
        ends = torch.cat([torch.topk(pooled.attention, k, largest=side).indices for side in (True, False)])
        targets = torch.arange(2, device=ends.device).flip(0).repeat_interleave(k)
        logits = self.clusters[label](pooled.embedded[ends])
        return smooth_svm(logits, targets) if self.instance_loss == "svm" else functional.cross_entropy(logits, targets)
