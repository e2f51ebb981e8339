"""DLA34up (Yu et al., CVPR 2018, §4.2): timm's DLA-34 encoder and four units of iterative aggregation, as released."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

STRIDE = 2
"""Of the logit map; its pixels are repeated to the size of the input (nearest neighbour, as released)."""


def _merged(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Aggregation(nn.Module):
    """One unit: a list of maps, finest first, the others of half its resolution → all intermediate merges.

    Maps of another width than `width` are projected (1 × 1), coarser ones doubled by a trainable depthwise
    transposed convolution that starts as bilinear interpolation; then x = ReLU(BN(conv3×3([x, z]))) map by map.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Identity() if number == width else _merged(number, width, 1) for number in channels
        )
        coarser = len(channels) - 1
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, groups=width, bias=False) for _ in range(coarser)
        )
        self.merge = nn.ModuleList(_merged(2 * width, width, 3) for _ in range(coarser))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """As many maps as there were coarser ones, each B × width × H × W of the finest."""
        merged, outputs = self.project[0](maps[0]), []
        for step, (double, merge) in enumerate(zip(self.upsample, self.merge, strict=True), start=1):
            merged = merge(torch.cat([merged, double(self.project[step](maps[step]))], dim=1))
            outputs.append(merged)
        return outputs


class DlaUp(nn.Module):
    """Images B × 3 × H × W (multiples of 32) → logits B × H/2 × W/2 of the positive class.

    `encoder`: gives five maps of stride 2 to 32; `channels`: of each. With timm's `dla34` this is DLA34up, with
    17,539,537 parameters.
    """

    def __init__(self, encoder: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        c2, c4, c8, c16, c32 = channels  # by stride
        self.units = nn.ModuleList(
            [
                Aggregation([c16, c32], c16),
                Aggregation([c8, c16, c16], c8),
                Aggregation([c4, c8, c8, c8], c4),
                Aggregation([c2, c4, c4, c4, c4], c2),
            ]
        )
        self.head = nn.Conv2d(c2, 1, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Convolutions N(0, √(2 / (k² c_out))), bilinear doubling, the head Xavier-normal."""
        for module in self.units.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))
            elif isinstance(module, nn.ConvTranspose2d):
                taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
                with torch.no_grad():
                    module.weight.copy_(torch.outer(taps, taps).expand_as(module.weight))
        nn.init.xavier_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        *finer, coarser = self.encoder(images)
        merged: list[Tensor] = []
        for finest, unit in zip(reversed(finer), self.units, strict=True):
            merged = unit([finest, coarser, *merged])
            coarser = finest
        return self.head(merged[-1])[:, 0]  # type: ignore[no-any-return]
