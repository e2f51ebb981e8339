"""UCTransNet (Wang et al., AAAI 2022): a U-Net whose skips go through a channel transformer and are gated."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.channel_transformer import ChannelTransformer
from benchmark.learning.nets.unet import UnetEncoder, decoder_widths, level_widths, unit


class ChannelCrossAttention(nn.Module):
    """A skip's channels are weighed by means of the skip and of the map from below: `ReLU(skip · sigmoid(a))`.

    `a = (L1(mean of skip) + L2(mean of up)) / 2`, one number per image and channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_skip, self.of_up = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """`skip` and `up`, B × C × h × w → the skip weighed."""
        a = (self.of_skip(skip.mean(dim=(2, 3))) + self.of_up(up.mean(dim=(2, 3)))) / 2
        return functional.relu(skip * a.sigmoid()[:, :, None, None])


class UctUp(nn.Module):
    """A map is doubled in size by repeating pixels, put behind its weighed skip, and goes through two units."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.attention = ChannelCrossAttention(channels)
        self.merge = nn.Sequential(unit(2 * channels, outputs), unit(outputs, outputs))

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """`deep` B × C × h × w and `skip` B × C × 2h × 2w → B × O × 2h × 2w."""
        up = functional.interpolate(deep, scale_factor=2, mode="nearest")
        merged: Tensor = self.merge(torch.cat([self.attention(skip, up), up], dim=1))
        return merged


class UcTransNet(nn.Module):
    """Images B × 3 × S × S, S a multiple of 16 → logits B × `outputs` × S × S.

    66.43 M parameters with width 64 and S = 224.
    """

    def __init__(self, outputs: int, *, side: int, width: int = 64) -> None:
        super().__init__()
        self.encoder = UnetEncoder(width)
        self.transformer = ChannelTransformer(side, level_widths(width)[:4])
        self.ups = nn.ModuleList(UctUp(channels, narrowed) for channels, narrowed in decoder_widths(width))
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        *maps, deep = self.encoder(images)
        for up, skip in zip(self.ups, reversed(self.transformer(maps)), strict=True):
            deep = up(deep, skip)
        logits: Tensor = self.head(deep)
        return logits
