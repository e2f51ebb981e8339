"""What nets that learn which classes a patch has, and then say where, have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import Tensor, nn

from benchmark.learning.encoders.weights import freeze_batchnorm
from benchmark.learning.nets.backbones import Backbone
from benchmark.learning.nets.resnet38 import ResNet38


class PatchNet(nn.Module):
    """A backbone and, in the classes below it, heads.

    With `frozen` the first convolution and every BatchNorm of the backbone stay as they were loaded; with
    `first_blocks` also the blocks of ResNet-38 before stride 4 (SEAM's and SC-CAM's released code).
    """

    def __init__(self, backbone: Backbone, *, frozen: bool, first_blocks: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen = frozen
        if frozen:
            backbone.stem.requires_grad_(False)
            body = backbone.body
            if first_blocks and isinstance(body, ResNet38):
                for name, block in body.named_children():
                    if name.startswith("b2"):
                        block.requires_grad_(False)
        self.train()

    @abstractmethod
    def score_maps(self, images: Tensor) -> Tensor:
        """How much speaks for each class at every position: B × 3 × S × S → B × K × h × w."""

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; frozen norms stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            freeze_batchnorm(self.backbone)
        return self
