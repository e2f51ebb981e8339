"""Segmentation heads on a backbone's feature maps: pyramid pooling (PSPNet) and a plain convolutional one (FCN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def resize(maps: Tensor, size: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Bilinear: B × C × h × w → B × C × size. `align_corners`: the centres of corner pixels coincide."""
    target = [int(side) for side in size]
    if list(maps.shape[-2:]) == target:
        return maps
    return functional.interpolate(maps, size=target, mode="bilinear", align_corners=align_corners)


class PspHead(nn.Module):
    """Pyramid pooling (Zhao et al., CVPR 2017): features B × C × h × w → logits B × K × h × w.

    The map is average-pooled to 1 × 1, 2 × 2, 3 × 3, 6 × 6 (`pool_scales`); each goes through a 1 × 1 convolution
    and back to h × w; beside the map itself they enter a 3 × 3 convolution, dropout, and the classifier.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        classes: int,
        *,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), *convolution(inputs, channels, 1)) for scale in pool_scales
        )
        self.bottleneck = nn.Sequential(*convolution(inputs + len(pool_scales) * channels, channels, 3))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits at the resolution of the features."""
        size = features.shape[-2:]
        pooled = [resize(branch(features), size) for branch in self.branches]
        merged = self.bottleneck(torch.cat([features, *pooled], dim=1))
        logits: Tensor = self.classifier(self.dropout(merged))
        return logits


class FcnHead(nn.Module):
    """One 3 × 3 convolution, dropout, classifier: features B × C × h × w → logits B × K × h × w."""

    def __init__(self, inputs: int, channels: int, classes: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = nn.Sequential(*convolution(inputs, channels, 3))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits at the resolution of the features."""
        logits: Tensor = self.classifier(self.dropout(self.body(features)))
        return logits


def initialise_released(head: nn.Module) -> None:
    """Initial weights of a head as in the framework of OEEM's code.

    Convolutions: Kaiming's normal distribution by fan-out; the classifier: N(0, 0.01); biases: 0.
    """
    for name, module in head.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if name == "classifier":
            nn.init.normal_(module.weight, std=0.01)
        else:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def convolution(inputs: int, channels: int, side: int) -> tuple[nn.Module, ...]:
    """Convolution, BatchNorm, ReLU. One device holds the batch, so plain BatchNorm stands for the synchronised one."""
    layer = nn.Conv2d(inputs, channels, side, padding=side // 2, bias=False)
    return layer, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
