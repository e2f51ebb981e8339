"""Losses that more than one method uses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.learning.augment import IGNORE

PixelLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits B × K × H × W and labels B × H × W (255 = ignored) → a scalar to minimise."""


SMOOTH = 1e-5


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """`l = -log p_Y` of every pixel in float32, B × H × W; 0 where ignored."""
    losses: Tensor = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")
    return losses


def mean_over_labelled(losses: Tensor, labels: Tensor) -> Tensor:
    """Mean of the losses over the pixels that are not ignored, a scalar; 0 without any."""
    return losses.sum() / (labels != IGNORE).sum().clamp_min(1)


def mean_cross_entropy(logits: Tensor, labels: Tensor, *, count_padding: bool = False) -> Tensor:
    """Cross-entropy, every labelled pixel alike; with `count_padding` ignored pixels count as 0 in the mean."""
    losses = pixel_cross_entropy(logits, labels)
    return losses.mean() if count_padding else mean_over_labelled(losses, labels)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over classes of the cross-entropy of a class's pixels in the batch; a class without pixels gives 0."""
    losses = pixel_cross_entropy(logits, labels)
    classes = logits.shape[1]
    total = losses.new_zeros(())
    for number in range(classes):
        own = labels == number
        total = total + (losses * own).sum() / own.sum().clamp_min(1)
    return total / classes


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """`1 - (2 Σ p t + ε) / (Σ p² + Σ t² + ε)` per image and positive class, the mean of both; ε = 1e-5.

    p: probability, t: 1 where the label is the class; each is halved, which only shifts ε (UCTransNet's released
    code). Ignored pixels are left out.
    """
    valid = labels != IGNORE
    probabilities = logits.float().softmax(dim=1) if logits.dtype != torch.float64 else logits.softmax(dim=1)
    losses = []
    for number in range(1, logits.shape[1]):
        p = probabilities[:, number] * valid / 2
        t = (labels == number).to(p.dtype) / 2
        shared, both = (p * t).sum(dim=(1, 2)), (p**2).sum(dim=(1, 2)) + (t**2).sum(dim=(1, 2))
        losses.append(1 - (2 * shared + SMOOTH) / (both + SMOOTH))
    return torch.stack(losses).mean()
