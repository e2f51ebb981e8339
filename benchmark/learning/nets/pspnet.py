"""PSPNet (Zhao et al., CVPR 2017) on a backbone of output stride 8, with an auxiliary head for training."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from benchmark.learning.nets.backbones import Backbone
from benchmark.learning.nets.heads import FcnHead, PspHead


class PspNet(nn.Module):
    """Backbone, pyramid pooling head on its last map, auxiliary head on the one before (none with 0 `aux_channels`)."""

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        *,
        head_channels: int = 512,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        aux_channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        _, middle, deep = backbone.channels
        self.head = PspHead(deep, head_channels, classes, pool_scales=pool_scales, dropout=dropout)
        self.aux_head = FcnHead(middle, aux_channels, classes, dropout=dropout) if aux_channels else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images B × 3 × H × W → logits B × K × H/8 × W/8 of the head and, in training, of the auxiliary head."""
        _, middle, deep = self.backbone(images)
        aux = self.aux_head(middle) if self.training and self.aux_head is not None else None
        return self.head(deep), aux
