"""DeepLabv3+ as HAMIL trains it: group norm in pyramid and decoder, fixed batch norm in an encoder with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from torch import Tensor, nn

from benchmark.learning.encoders.timm_nets import create_maps
from benchmark.learning.nets.deeplab import STRIDES, DeepLab
from benchmark.learning.nets.heads import resize

GROUPS = 4


class DeepLabNet(nn.Module):
    """Images B × 3 × H × W → logits B × K × H × W. With `fixed` the encoder's running statistics stay as loaded."""

    def __init__(self, body: DeepLab, classes: int, *, fixed: bool) -> None:
        super().__init__()
        self.body, self.fixed = body, fixed
        for part in (body.pyramid, body.reduce, body.refine):
            _group_norms(part)
        self.classifier = nn.Conv2d(body.width, classes, 1)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return resize(self.classifier(self.body(images)), images.shape[-2:], align_corners=True)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; fixed norms stay in evaluation mode."""
        super().train(mode)
        if self.fixed:
            for part in self.body.encoder.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        return self


def deeplab_net(name: str, classes: int, *, pretrained: bool, weights: Path | None, fix: str) -> DeepLabNet:
    """On an encoder of the catalogue or of timm, dilated to stride 16.

    Raises `ConfigError` for one without maps of stride 4 and 16, `WeightsError` when weights cannot be loaded.
    """
    options = {"output_stride": STRIDES[-1], "out_indices": (1, 4)}
    maps = create_maps(name, STRIDES, pretrained=pretrained, weights=weights, fix=fix, **options)
    channels: list[int] = maps.feature_info.channels()  # type: ignore[union-attr, operator]
    return DeepLabNet(DeepLab(maps, channels), classes, fixed=pretrained or weights is not None)


def _group_norms(part: nn.Module) -> None:
    """Every batch norm below becomes a group norm."""
    for name, child in part.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(part, name, nn.GroupNorm(GROUPS, child.num_features))
        else:
            _group_norms(child)
