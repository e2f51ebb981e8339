"""The ensemble of Khened et al. (Scientific Reports 2021), which the paper says it modified (sheet §2.10).

Two U-Nets and DeepLabv3+ on timm encoders, their tissue rule, and averaging over flips and turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ConfigError
from benchmark.learning.encoders.timm_nets import create_maps
from benchmark.learning.nets.heads import resize

from .deeplab import STRIDES, DeepLab, conv_block

Member = Literal["densenet121", "inception_resnet_v2", "xception65"]
MEMBERS: tuple[Member, ...] = get_args(Member)
"""The nets whose probabilities are averaged, by the name of their encoder; the last is DeepLabv3+."""
WIDTHS = (320, 256, 128, 96, 64)
"""Of the five stages of a U-Net's decoder, deepest first."""
UNET_STRIDES = [2, 4, 8, 16, 32]
FIX = "start at random with --set encoder_pretrained=false"
"""What to do when pretrained weights cannot be had."""
MULTIPLE = 32
CENTRE = 128.0
LEAST_CHANNEL = 50
"""Pixels at or below this in any channel are no tissue (pen, fold, what was not scanned)."""
CLOSING, OPENING = 20, 5
DILATION = {0: 60, 1: 60, 2: 60, 3: 35, 4: 10}
"""Side of the square by which tissue grows, px of the thumbnail, by the slide level that the thumbnail is."""


def scaled(images: Tensor) -> Tensor:
    """uint8 of any shape → float32, (v − 128) / 128: in [−1, 1)."""
    return (images.float() - CENTRE) / CENTRE


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
        self.enter = nn.ModuleList(conv_block(one, width, 3) for one, width in zip(inputs, WIDTHS, strict=True))
        self.merge = nn.ModuleList(
            conv_block(width + skip, width, 3) for width, skip in zip(WIDTHS, skips, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        *finer, found = self.encoder(images)
        for skip, enter, merge in zip([*reversed(finer), None], self.enter, self.merge, strict=True):
            size = (images if skip is None else skip).shape[-2:]
            found = enter(functional.interpolate(found, size=size, mode="nearest"))
            found = merge(found if skip is None else torch.cat([found, skip], dim=1))
        return found  # type: ignore[no-any-return]


class KhenedNet(nn.Module):
    """One member: scaled images B × 3 × H × W → logits B × 1 × H × W of positive against negative.

    A 1 × 1 convolution gives the scores of both classes; softmax over two classes is σ of their difference, which is
    returned, bilinearly enlarged where `body` ends at a coarser stride.
    """

    def __init__(self, body: Unet | DeepLab) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Conv2d(body.width, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Raises `ConfigError` unless H and W are multiples of 32."""
        height, width = images.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE:
            what = f"images of {width} × {height} px were given to a net that takes multiples of {MULTIPLE}"
            raise ConfigError(what, fix="--set patch=256")
        negative, positive = self.head(self.body(images)).float().split(1, dim=1)
        return resize(positive - negative, (height, width))


def create_khened(member: Member, *, pretrained: bool, encoder: str | None = None) -> KhenedNet:
    """The net `member`; `encoder` puts another timm model in the place of its own, for small ones in tests.

    `pretrained`: ImageNet weights, downloaded by timm; otherwise random. The release starts DeepLabv3+ from Pascal VOC,
    which timm does not have: here its encoder starts from ImageNet, too. All decoders start at random.

    Raises `ConfigError` for an unknown member, or an encoder without maps of the strides that the decoder needs;
    `WeightsError` when weights cannot be had.
    """
    if member not in MEMBERS:
        raise ConfigError(f"no member is called {member!r}, expected one of: {', '.join(MEMBERS)}")
    name = encoder or member
    if member == "xception65":
        options: dict[str, Any] = {"output_stride": STRIDES[-1], "out_indices": (1, 4)}
        maps = create_maps(name, STRIDES, pretrained=pretrained, fix=FIX, **options)
        return KhenedNet(DeepLab(maps, maps.feature_info.channels()))  # type: ignore[union-attr, operator]
    maps = create_maps(name, UNET_STRIDES, pretrained=pretrained, fix=FIX)
    if name == "inception_resnet_v2":
        _pad(maps)
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


def khened_tissue(thumbnail_rgb: NDArray[np.uint8], level: int) -> NDArray[np.bool_]:
    """Tissue of a thumbnail H × W × 3 that is the slide at `level`: H × W.

    Saturation above its Otsu threshold, red, green and blue not all above theirs, every channel above 50; then closing
    (20 × 20 px), opening (5 × 5), and dilation by a square of 60 px up to level 2, 35 at 3, 10 at 4, as released.
    Squares of even side are mirrored between the halves of closing and opening, so that nothing is shifted; what lies
    beyond the border of the picture changes nothing within.

    Raises `ConfigError` for other levels, which the release refuses as well.
    """
    from skimage.color import rgb2hsv
    from skimage.filters import threshold_otsu

    if level not in DILATION:
        what = f"level {level} was given to the tissue rule of Khened, which knows levels 0 to {max(DILATION)}"
        raise ConfigError(what, fix="make the thumbnail from one of these levels")
    saturation = rgb2hsv(thumbnail_rgb)[..., 1]
    bright = [thumbnail_rgb[..., channel] > threshold_otsu(thumbnail_rgb[..., channel]) for channel in range(3)]
    mask = (saturation > threshold_otsu(saturation)) & ~np.logical_and.reduce(bright)
    mask &= (thumbnail_rgb > LEAST_CHANNEL).all(axis=-1)
    mask = _eroded(_dilated(mask, CLOSING), CLOSING)
    mask = _dilated(_eroded(mask, OPENING), OPENING)
    return _dilated(mask, DILATION[level])


def _dilated(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    from scipy.ndimage import grey_dilation

    return np.asarray(grey_dilation(mask.astype(np.uint8), size=(side, side), mode="constant", cval=0) > 0)


def _eroded(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    from scipy.ndimage import grey_erosion

    return np.asarray(grey_erosion(mask.astype(np.uint8), size=(side, side), mode="constant", cval=1) > 0)


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
