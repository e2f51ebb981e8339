"""The ensemble of Khened et al. (Scientific Reports 2021): two U-Nets and DeepLabv3+, averaged over flips and turns.

Hybrid supervision (Li et al., MICCAI 2021) says that it modified their code: docs/methods/hybrid.md, `nets=khened`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from benchmark.errors import ConfigError
from benchmark.learning.encoders.timm_nets import create_maps
from benchmark.learning.nets import deeplab, unet_decoder
from benchmark.learning.nets.deeplab import DeepLab
from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.unet_decoder import Unet

Member = Literal["densenet121", "inception_resnet_v2", "xception65"]
MEMBERS: tuple[Member, ...] = get_args(Member)
"""The nets whose probabilities are averaged, by the name of their encoder; the last is DeepLabv3+."""
FIX = "start at random with --set encoder_pretrained=false"
"""What to do when pretrained weights cannot be loaded."""
MULTIPLE = 32
CENTRE = 128.0


def scaled(images: Tensor) -> Tensor:
    """uint8 of any shape → float32, (v − 128) / 128: in [−1, 1)."""
    return (images.float() - CENTRE) / CENTRE


class KhenedNet(nn.Module):
    """One member: scaled images B × 3 × H × W → logits B × 1 × H × W of positive against negative.

    A 1 × 1 convolution gives the scores of both classes; softmax over two classes is σ of their difference, which is
    returned, bilinearly enlarged, corners aligned, where `body` ends at a coarser stride.
    """

    def __init__(self, body: Unet | DeepLab) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Conv2d(body.width, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Raises `ConfigError` unless H and W are multiples of 32."""
        height, width = images.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE:
            problem = f"images of {width} × {height} px were given to a net that takes multiples of {MULTIPLE}"
            raise ConfigError(problem, fix="--set method.patch=256")
        negative, positive = self.head(self.body(images)).float().split(1, dim=1)
        return resize(positive - negative, (height, width), align_corners=True)


def create_khened(member: Member, *, pretrained: bool, encoder: str | None = None) -> KhenedNet:
    """The net `member`; `encoder` puts another timm model in the place of its own, for small ones in tests.

    `pretrained`: ImageNet weights, downloaded by timm; otherwise random. The release starts DeepLabv3+ from Pascal VOC,
    which timm does not have; here its encoder starts from ImageNet, too. All decoders start at random.

    Raises `ConfigError` for an unknown member, or an encoder without maps of the strides that the decoder needs;
    `WeightsError` when weights cannot be loaded.
    """
    if member not in MEMBERS:
        raise ConfigError(f"no member is called {member!r}, expected one of: {', '.join(MEMBERS)}")
    name = encoder or member
    if member == "xception65":
        options: dict[str, Any] = {"output_stride": deeplab.STRIDES[-1], "out_indices": (1, 4)}
        maps = create_maps(name, deeplab.STRIDES, pretrained=pretrained, fix=FIX, **options)
        return KhenedNet(DeepLab(maps, maps.feature_info.channels()))  # type: ignore[union-attr, operator]
    maps = create_maps(name, unet_decoder.STRIDES, pretrained=pretrained, fix=FIX)
    if name == "inception_resnet_v2":
        _pad(maps)
    if name == "densenet121":
        maps.features_norm5.act = nn.Identity()  # type: ignore[union-attr]  # in the package no ReLU ends the encoder
    return KhenedNet(Unet(maps, maps.feature_info.channels()))  # type: ignore[union-attr, operator]


def _pad(encoder: nn.Module) -> None:
    """Give every 3 × 3 convolution and pooling its border, so that the maps of Inception-ResNet-v2 halve exactly.

    Without it a 64 px image leaves nothing to the last stage, and skip maps are shifted against the decoder's.
    No weight changes its shape.
    """
    for part in encoder.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
            part.padding = (1, 1)
        elif isinstance(part, nn.MaxPool2d):
            part.padding = 1


@dataclass(frozen=True)
class Turn:
    """A turn by so many quarters, then perhaps a mirroring of columns, of maps … × H × W."""

    quarters: int
    mirrored: bool

    def there(self, images: Tensor) -> Tensor:
        """A turned copy; the images themselves stay as they are."""
        turned = torch.rot90(images, self.quarters, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned

    def back(self, maps: Tensor) -> Tensor:
        """What `there` did, undone."""
        maps = maps.flip(-1) if self.mirrored else maps
        return torch.rot90(maps, -self.quarters, (-2, -1))


def views() -> tuple[Turn, ...]:
    """The eight flips and turns by 90°, first the one that changes nothing."""
    return tuple(Turn(quarters, mirrored) for mirrored in (False, True) for quarters in range(4))


def mean_over_views(net: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Probabilities B × 1 × H × W, averaged over the eight views of the images.

    Every view starts from the images as given; in the released package each starts from the one before, by mistake.
    """
    return torch.stack([turn.back(torch.sigmoid(net(turn.there(images)))) for turn in views()]).mean(dim=0)
