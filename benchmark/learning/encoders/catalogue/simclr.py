"""The encoder of DSMIL, ItS2CLR and HNM: trained without labels on the slides of the study itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from benchmark.encoder import EncoderCard
from benchmark.errors import ConfigError
from benchmark.learning.encoders.sources import ByHand
from benchmark.learning.encoders.timm_encoder import TimmEncoder

SMALLEST = 64
"""Side below which the last maps have a single pixel, which InstanceNorm cannot normalise."""
STAGES = {"0": "conv1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Places in the released file, a sequence of ResNet-18's children, and the names of the same layers in timm."""


class SimclrResnet18(TimmEncoder):
    """ResNet-18 with InstanceNorm, without affine or running statistics: 11 166 912 parameters and no buffers.

    Training and evaluation mode agree. Files are named as torchvision's or as those of DSMIL (`features.0.weight`).
    """

    name = "simclr-resnet18"
    card: ClassVar[EncoderCard] = EncoderCard(
        "ResNet-18 with InstanceNorm, SimCLR",
        seen="the slides of the study itself: DSMIL's files were trained on CAMELYON16 or TCGA lung slides",
        licence="MIT",
        citation="Li, Li, Eliceiri: Dual-stream Multiple Instance Learning Network, CVPR 2021",
        homepage="https://github.com/binli123/dsmil-wsi",
        notes="The released file was trained on RGB; ItS2CLR and HNM read patches as BGR when they go on with it.",
    )
    source = ByHand("https://github.com/binli123/dsmil-wsi")
    architecture = "resnet18"
    options: ClassVar[Mapping[str, Any]] = {"norm_layer": "torch.nn:InstanceNorm2d"}
    unused = ("l1.", "l2.")
    side, width = 224, 512
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    interpolation = "bilinear"

    @classmethod
    def network(cls, side: int) -> nn.Module:
        """The network without weights. Raises `ConfigError` for a side below 64."""
        if side < SMALLEST:
            problem = f"the encoder {cls.name} takes patches of at least {SMALLEST} px, got {side}"
            raise ConfigError(problem, fix=f"--set input_side={SMALLEST}, or --set encoder=imagenet-lite0")
        return super().network(side)

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a released file under timm's names."""
        renamed = {}
        for name, tensor in state.items():
            parts = name.split(".")
            if parts[0] == "features" and len(parts) > 1 and parts[1] in STAGES:
                name = ".".join([STAGES[parts[1]], *parts[2:]])
            renamed[name] = tensor
        return renamed
