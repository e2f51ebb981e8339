"""KiU-Net (Valanarasu et al., MICCAI 2020; journal IEEE TMI 2022): a U-Net and its opposite, which grows maps."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.heads import resize

STRIDE = 8
"""Sides of an image are multiples of it."""


class Step(nn.Module):
    """`ReLU(BN(scaled(conv(x))))`: one step of a branch, to half the side (max-pooling) or twice (bilinear)."""

    def __init__(self, inputs: int, outputs: int, to: Literal["half", "twice"]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.shrinks = to == "half"

    def forward(self, x: Tensor) -> Tensor:
        """B × `inputs` × h × w → B × `outputs` × h/2 × w/2, or 2h × 2w."""
        x = self.conv(x)
        scaled = functional.max_pool2d(x, 2) if self.shrinks else _double(x)
        return functional.relu(self.norm(scaled))


class Fusion(nn.Module):
    """Each branch is given the other's map, after convolution, BatchNorm and ReLU, at its own resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.from_u, self.from_k = (
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
            for _ in range(2)
        )

    def forward(self, u: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Both maps, B × C, at sizes of their own."""
        return u + resize(self.from_k(k), u.shape[-2:]), k + resize(self.from_u(u), k.shape[-2:])


class KiuNet(nn.Module):
    """Images B × 3 × H × W, sides multiples of 8 → logits B × K × H × W.

    The branch U goes down to H/8, the branch K up to 8H, and both come back; after each level but the last of the
    decoder they are fused. 217 122 parameters with width 16; the released code has 74 112 more that it never uses.
    `head_relu`: the ReLU behind the released head, which sets all negative logits to 0 and stops their gradients.
    """

    def __init__(self, classes: int, *, width: int = 16, head_relu: bool = False) -> None:
        super().__init__()
        down = (3, width, 2 * width, 4 * width)
        up = (4 * width, 2 * width, width, width // 2)
        self.u_down = nn.ModuleList(Step(i, o, "half") for i, o in pairwise(down))
        self.k_down = nn.ModuleList(Step(i, o, "twice") for i, o in pairwise(down))
        self.fuse_down = nn.ModuleList(Fusion(channels) for channels in down[1:])
        self.u_up = nn.ModuleList(Step(i, o, "twice") for i, o in pairwise(up))
        self.k_up = nn.ModuleList(Step(i, o, "half") for i, o in pairwise(up))
        self.fuse_up = nn.ModuleList(Fusion(channels) for channels in up[1:-1])
        self.head = nn.Conv2d(up[-1], classes, 1)
        self.head_relu = head_relu

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        u = k = images
        skips: list[tuple[Tensor, Tensor]] = []
        for u_step, k_step, fuse in zip(self.u_down, self.k_down, self.fuse_down, strict=True):
            u, k = fuse(u_step(u), k_step(k))
            skips.append((u, k))
        for level, fuse in zip((1, 0), self.fuse_up, strict=True):
            u, k = fuse(self.u_up[1 - level](u), self.k_up[1 - level](k))
            u, k = u + skips[level][0], k + skips[level][1]
        logits: Tensor = self.head(self.u_up[2](u) + self.k_up[2](k))
        return torch.relu(logits) if self.head_relu else logits


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
