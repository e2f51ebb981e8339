"""U-Net (Ronneberger et al., MICCAI 2015) as UCTransNet's authors compare with it (Wang et al., AAAI 2022)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 16
"""Sides of an image are multiples of it."""


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """3 × 3 convolution with bias, BatchNorm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def level_widths(width: int) -> tuple[int, int, int, int, int]:
    """Channels of the five levels, at stride 1, 2, 4, 8 and 16."""
    return width, 2 * width, 4 * width, 8 * width, 8 * width


def decoder_widths(width: int) -> tuple[tuple[int, int], ...]:
    """Channels in (of the map below and of the skip, each) and out of the four steps up, deepest first."""
    return (8 * width, 4 * width), (4 * width, 2 * width), (2 * width, width), (width, width)


class UnetEncoder(nn.Module):
    """Images B × 3 × H × W → five maps, level l at stride 2^l: one unit, then four times max-pooling and two units."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = level_widths(width)
        self.enter = unit(3, width)
        self.down = nn.ModuleList(nn.Sequential(unit(i, o), unit(o, o)) for i, o in pairwise(widths))

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps, finest first."""
        maps = [self.enter(images)]
        for down in self.down:
            maps.append(down(functional.max_pool2d(maps[-1], 2)))
        return maps


class UnetUp(nn.Module):
    """A map is doubled in size by a transposed convolution, put before its skip, and goes through two units."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.merge = nn.Sequential(unit(2 * channels, outputs), unit(outputs, outputs))

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """`deep` B × C × h × w and `skip` B × C × 2h × 2w → B × O × 2h × 2w."""
        merged: Tensor = self.merge(torch.cat([self.up(deep), skip], dim=1))
        return merged


class UnetNet(nn.Module):
    """Images B × 3 × H × W → logits B × `outputs` × H × W. 14.75 M parameters with width 64."""

    def __init__(self, outputs: int, *, width: int = 64) -> None:
        super().__init__()
        self.encoder = UnetEncoder(width)
        self.ups = nn.ModuleList(UnetUp(channels, narrowed) for channels, narrowed in decoder_widths(width))
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        *skips, deep = self.encoder(images)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            deep = up(deep, skip)
        logits: Tensor = self.head(deep)
        return logits
