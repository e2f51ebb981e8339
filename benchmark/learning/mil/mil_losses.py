"""Losses of multiple-instance learning on logits of bags and instances."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

ScoreKind = Literal["logit", "prob"]


def bag_loss(logit: Tensor, label: int, pos_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of one logit; positives weigh `pos_weight`."""
    return functional.softplus(-logit) * pos_weight if label else functional.softplus(logit)


def top_mean(scores: Tensor, k: int) -> Tensor:
    """Mean of the min(k, n) highest of n scores."""
    return torch.topk(scores, min(k, scores.numel())).values.mean()


def ranking_loss(
    positive: Tensor, negative: Tensor, k: int = 10, margin: float = 1.0, kind: ScoreKind = "logit"
) -> Tensor:
    """Hinge between the top instances of a positive and a negative bag, given by their logits (n and m).

    max(0, margin − mean(top-K of positive) + mean(top-K of negative)), K being at most each bag's own length.
    `kind`: "prob" ranks probabilities, where the hinge is never 0 with margin 1. Source: HNM-WSI (arXiv 2410.02212).
    """
    if kind == "prob":
        positive, negative = torch.sigmoid(positive), torch.sigmoid(negative)
    return torch.relu(margin - top_mean(positive, k) + top_mean(negative, k))


def smooth_svm(logits: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    """Smooth top-1 SVM of n × 2 logits with temperature 1, mean over n (Berrada et al., ICLR 2018), as CLAM uses it.

    log Σ_j exp(s_j + margin · [j ≠ y]) − s_y.
    """
    own = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return (torch.logsumexp(logits + margin * (1 - own), dim=1) - (logits * own).sum(dim=1)).mean()
