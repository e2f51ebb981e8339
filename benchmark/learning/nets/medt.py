"""Medical Transformer (Valanarasu et al., MICCAI 2021): a shallow branch on the image, a deep one on its patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.axial_attention import EXPANSION, AxialBlock, AxialLayer

PATCH = 32
"""Side of the patches of the local branch; sides of an image are multiples of it."""
LAYERS = ((1, 16, 1), (2, 32, 2), (4, 64, 2), (1, 128, 2))
"""Blocks, width and stride of each layer."""
FEATURES = 16


class AxialBranch(nn.Module):
    """Images B × 3 × S × S → features B × 16 × S × S: a stem, `depth` layers of axial blocks, and a decoder.

    `side`: S, which the tables of positions are made for. With depth 4 and a 1 × 1 head it is the (gated) axial U-Net
    of the paper. `stem`: channels around its 128 wide middle.
    """

    def __init__(self, side: int, *, stem: int, depth: int, gated: bool = True, position: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_convolution(3, stem, 7, 2), *_convolution(stem, 128, 3, 1), *_convolution(128, stem, 3, 1)
        )
        self.layers = nn.ModuleList()
        channels, length = stem, side // 2
        for blocks, width, stride in LAYERS[:depth]:
            layer = []
            for number in range(blocks):
                step = stride if number == 0 else 1
                layer.append(AxialBlock(channels, width, length, stride=step, gated=gated, position=position))
                channels, length = EXPANSION * width, length // step
            self.layers.append(nn.Sequential(*layer))
        deepest = [nn.Conv2d(256, 256, 3, 2, 1), nn.Conv2d(256, 128, 3, 1, 1), nn.Conv2d(128, 64, 3, 1, 1)]
        shallow = [nn.Conv2d(64, 32, 3, 1, 1), nn.Conv2d(32, FEATURES, 3, 1, 1)]
        self.decoder = nn.ModuleList([*deepest, *shallow] if depth == len(LAYERS) else shallow)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        x: Tensor = self.stem(images)
        maps: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        skips = [*reversed(maps)] if len(maps) == len(LAYERS) else [*reversed(maps[:-1])]
        for convolution, skip in zip(self.decoder, [*skips, None], strict=True):
            up = functional.interpolate(convolution(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = functional.relu(up) if skip is None else functional.relu(up) + skip
        return x


class AxialUnet(nn.Module):
    """The (gated) axial U-Net: MedT's ablation without a local branch. Images B × 3 × S × S → logits B × K × S × S."""

    def __init__(self, classes: int, *, side: int, gated: bool = True) -> None:
        super().__init__()
        self.branch = AxialBranch(side, stem=8, depth=4, gated=gated)
        self.head = nn.Conv2d(FEATURES, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.head(self.branch(images))
        return logits


class MedT(nn.Module):
    """Images B × 3 × S × S → logits B × K × S × S, S a multiple of 32.

    The local branch has no positions, and sees every 32 × 32 patch by itself; both features are summed. While training,
    patches go through it one after another, so that BatchNorm has statistics of one place in all images at a time.
    1 524 570 parameters at S = 128; the released code has 35 570 more that it never uses.
    """

    def __init__(self, classes: int, *, side: int, gated: bool = True) -> None:
        super().__init__()
        self.whole = AxialBranch(side, stem=8, depth=2, gated=gated)
        self.local = AxialBranch(PATCH, stem=64, depth=4, position=False)
        self.merge = nn.Conv2d(FEATURES, FEATURES, 3, 1, 1)
        self.head = nn.Conv2d(FEATURES, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.head(functional.relu(self.merge(self.whole(images) + self._local(images))))
        return logits

    def train_gates(self, trained: bool) -> None:
        """Whether the gates learn; the paper's are constant for the first epochs."""
        for layer in self.modules():
            if isinstance(layer, AxialLayer) and layer.gates is not None:
                layer.gates.requires_grad_(trained)

    def _local(self, images: Tensor) -> Tensor:
        number, channels, height, width = images.shape
        rows, cols = height // PATCH, width // PATCH
        grid = images.reshape(number, channels, rows, PATCH, cols, PATCH).permute(2, 4, 0, 1, 3, 5)
        patches = grid.flatten(0, 1)  # rows·cols × B × 3 × 32 × 32
        if self.training:
            features = torch.stack([self.local(patch) for patch in patches])
        else:
            features = self.local(patches.flatten(0, 1)).unflatten(0, (rows * cols, number))
        tiled: Tensor = features.unflatten(0, (rows, cols)).permute(2, 3, 0, 4, 1, 5)
        return tiled.reshape(number, FEATURES, height, width)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
