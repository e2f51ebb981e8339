"""Losses that more than one method uses."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from benchmark.learning.augment import IGNORE

PixelLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits B × K × H × W and labels B × H × W (255 = ignored) → a scalar to minimise."""


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """`l = -log p_Y` of every pixel in float32, B × H × W; 0 where ignored."""
    losses: Tensor = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")
    return losses


def mean_over_labelled(losses: Tensor, labels: Tensor) -> Tensor:
    """Mean of the losses over the pixels that are not ignored, a scalar; 0 without any."""
    return losses.sum() / (labels != IGNORE).sum().clamp_min(1)


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, every labelled pixel alike."""
    return mean_over_labelled(pixel_cross_entropy(logits, labels), labels)
