"""Res-UNet (Xiao et al., ITME 2018): the U-Net of `unet.py` with one residual block for the units of each level.

The authors released no code. Their weight map, which restricts the loss to the field of view of a retina, is 1
everywhere on histology slides and left out.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.unet import decoder_widths, level_widths


class ResidualBlock(nn.Module):
    """`ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x))`, convolutions 3 × 3 with bias.

    The shortcut is x itself, or its 1 × 1 convolution with bias and BatchNorm where the number of channels changes.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs))
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """B × `inputs` × H × W → B × `outputs` × H × W."""
        return functional.relu(self.second(functional.relu(self.first(x))) + self.shortcut(x))


class ResUnetNet(nn.Module):
    """Images B × 3 × H × W, sides multiples of 16 → logits B × `outputs` × H × W. 15.32 M parameters with width 64."""

    def __init__(self, outputs: int, *, width: int = 64) -> None:
        super().__init__()
        self.down = nn.ModuleList(ResidualBlock(i, o) for i, o in pairwise((3, *level_widths(width))))
        steps = decoder_widths(width)
        self.up = nn.ModuleList(nn.ConvTranspose2d(channels, channels, 2, 2) for channels, _ in steps)
        self.merge = nn.ModuleList(ResidualBlock(2 * channels, narrowed) for channels, narrowed in steps)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        maps = [self.down[0](images)]
        for block in self.down[1:]:
            maps.append(block(functional.max_pool2d(maps[-1], 2)))
        *skips, deep = maps
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            deep = merge(torch.cat([up(deep), skip], dim=1))
        logits: Tensor = self.head(deep)
        return logits
