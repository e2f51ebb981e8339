"""A U-Net's decoder (segmentation-models-pytorch) on the stages of an encoder of the catalogue or of timm."""

from __future__ import annotations

from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from benchmark.learning.encoders.stage_maps import Stages

WIDTHS = (256, 128, 64, 32, 16)
"""Channels of the steps of the decoder, deepest first (the library's)."""


class EncoderUnet(nn.Module):
    """Images B × 3 × H × W → logits B × K × H × W, of any side. `stages`: an encoder's maps."""

    def __init__(self, stages: Stages, classes: int) -> None:
        super().__init__()
        self.stages = stages
        widths = WIDTHS[-len(stages.channels) :]
        self.decoder = UnetDecoder((3, *stages.channels), widths, n_blocks=len(widths))
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.head(self.decoder([images, *self.stages(images)]))
        return logits
