"""Triplet loss on Euclidean distances, with the readings of "hard triplets"."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Mining = Literal["batch-hard", "batch-all", "hard-triplets"]
Reduction = Literal["mean", "nonzero"]


def distances(embeddings: Tensor, *, squared: bool) -> Tensor:
    """Distances of all pairs, n × n, by plain differences; the gradient of a distance of 0 is 0."""
    apart = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.square() if squared else apart


def triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float,
    mining: Mining = "batch-hard",
    squared: bool = False,
    normalise: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Scalar loss max(0, d_p - d_n + margin) of embeddings n × d with labels n; 0 where there is no triplet.

    'batch-hard': per anchor the farthest of its own label and the closest of another (Hermans et al., 2017), mean over
    anchors that have both. 'batch-all': all triplets. 'hard-triplets': those with d_n < d_p. `reduction`: mean over
    them, or over those with a loss above 0. `normalise`: embeddings of length 1.
    """
    if normalise:
        embeddings = functional.normalize(embeddings, dim=1)
    apart = distances(embeddings, squared=squared)
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if mining == "batch-hard":
        usable = positive.any(dim=1) & (~same).any(dim=1)
        farthest = apart.masked_fill(~positive, -torch.inf).amax(dim=1)[usable]
        losses = farthest - apart.masked_fill(same, torch.inf).amin(dim=1)[usable]
    else:
        losses = apart[:, :, None] - apart[:, None, :]
        triplets = positive[:, :, None] & ~same[:, None, :]
        losses = losses[triplets & (losses > 0) if mining == "hard-triplets" else triplets]
    losses = functional.relu(losses + margin)
    if reduction == "nonzero":
        losses = losses[losses > 0]
    return losses.mean() if losses.numel() else embeddings.sum() * 0.0
