"""U-Net (Ronneberger et al., MICCAI 2015) up to its classifier, on any encoder with maps of stride 2 to 32.

The decoder is that of Khened et al. (Scientific Reports 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.deeplab import conv_block

STRIDES = [2, 4, 8, 16, 32]
"""Of the maps that the decoder takes."""
WIDTHS = (320, 256, 128, 96, 64)
"""Of the five stages of the decoder, deepest first."""


class Unet(nn.Module):
    """Images B × 3 × H × W → features B × 64 × H × W.

    `encoder`: gives five maps of stride 2 to 32; `channels`: of each. A stage of the decoder repeats every pixel to the
    size of the next finer map, convolves, puts that map beside its own, and convolves again; the last has no such map.
    """

    def __init__(self, encoder: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = WIDTHS[-1]
        *finer, deepest = channels
        inputs, skips = (deepest, *WIDTHS[:-1]), (*reversed(finer), 0)
        self.enter = nn.ModuleList(
            conv_block(entering, width, 3) for entering, width in zip(inputs, WIDTHS, strict=True)
        )
        self.merge = nn.ModuleList(
            conv_block(width + skip, width, 3) for width, skip in zip(WIDTHS, skips, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        *finer, features = self.encoder(images)
        for skip, enter, merge in zip([*reversed(finer), None], self.enter, self.merge, strict=True):
            size = (images if skip is None else skip).shape[-2:]
            features = enter(functional.interpolate(features, size=size, mode="nearest"))
            features = merge(features if skip is None else torch.cat([features, skip], dim=1))
        return features  # type: ignore[no-any-return]
