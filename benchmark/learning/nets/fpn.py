"""A light feature pyramid (Lin et al., CVPR 2017) for segmentation: stages, lateral and top-down connections."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.learning.encoders.stage_maps import Stages
from benchmark.learning.nets.heads import FcnHead, resize


class FpnNet(nn.Module):
    """The stages' maps, each through a 1 × 1 convolution, summed from the deepest up on the finest one's grid.

    A 3 × 3 convolution and the classifier follow, on the sum alone: a single map is enough where objects are of one
    size.
    """

    def __init__(self, stages: Stages, classes: int, *, channels: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.stages = stages
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in stages.channels)
        self.head = FcnHead(channels, channels, classes, dropout=dropout)

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """Images B × 3 × H × W → logits B × K × h × w on the grid of the finest stage; no auxiliary logits."""
        maps = [lateral(stage) for lateral, stage in zip(self.laterals, self.stages(images), strict=True)]
        total = maps.pop()
        while maps:
            finer = maps.pop()
            total = finer + resize(total, finer.shape[-2:])
        return self.head(total), None
