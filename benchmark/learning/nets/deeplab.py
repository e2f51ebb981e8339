"""DeepLabv3+ (Chen et al., ECCV 2018) up to its classifier, on any encoder with maps of stride 4 and 16.

Dropout and aligned corners are those of the net in Khened et al.'s package.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.errors import ConfigError
from benchmark.learning.nets.heads import resize

STRIDES = [4, 16]
"""Strides of the maps that the decoder takes: the low-level features and the encoder's output."""
RATES = (6, 12, 18)
"""Dilations of the pyramid at output stride 16."""
WIDTH = 256
LOW_WIDTH = 48
DROPOUT = 0.1
"""After the pyramid."""


def conv_block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size of the map, BatchNorm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def separable(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """A 3 × 3 convolution channel by channel, then one of 1 × 1 across channels, BatchNorm and ReLU after each."""
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), *conv_block(inputs, outputs, 1))


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: B × C × h × w → B × 256 × h × w.

    Side by side a 1 × 1 convolution, three dilated ones, and the mean of the whole map; a 1 × 1 convolution joins them,
    then dropout.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [conv_block(inputs, WIDTH, 1), *(separable(inputs, WIDTH, dilation) for dilation in RATES)]
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_block(inputs, WIDTH, 1))
        self.join = conv_block((len(RATES) + 2) * WIDTH, WIDTH, 1)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, features: Tensor) -> Tensor:
        """Raises `ConfigError` for a training batch of one, whose pooled map BatchNorm cannot normalise."""
        if self.training and len(features) == 1:
            raise ConfigError(
                "DeepLabv3+ was given a training batch of 1 patch, expected 2 or more: the mean of its map is one "
                "value per channel, which has no deviation to normalise by",
                fix="--set theta1_batch=2",
            )
        size = features.shape[-2:]
        maps = [branch(features) for branch in self.branches]
        whole = self.pooled(features).expand(-1, -1, *size)
        joined: Tensor = self.dropout(self.join(torch.cat([*maps, whole], dim=1)))
        return joined


class DeepLab(nn.Module):
    """Images B × 3 × H × W → features B × 256 × H/4 × W/4.

    `encoder`: gives its maps of stride 4 and 16; `channels`: of each. The convolutions of pyramid and decoder are
    depthwise separable, as the paper has them with Xception.
    """

    def __init__(self, encoder: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        low, deep = channels
        self.width = WIDTH
        self.encoder = encoder
        self.pyramid = Pyramid(deep)
        self.reduce = conv_block(low, LOW_WIDTH, 1)
        self.refine = nn.Sequential(separable(WIDTH + LOW_WIDTH, WIDTH), separable(WIDTH, WIDTH))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        low, deep = self.encoder(images)
        context = resize(self.pyramid(deep), low.shape[-2:], align_corners=True)
        refined: Tensor = self.refine(torch.cat([context, self.reduce(low)], dim=1))
        return refined
