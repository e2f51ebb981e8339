"""SEAM's net (Wang et al., CVPR 2020): a class activation map, and the same refined by the correlation of pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.backbones import Backbone
from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.patch_net import PatchNet

EPSILON = 1e-5
WIDTHS = (64, 128, 192)
"""Channels to which the two shallower maps, and all features together, are brought."""
DROPOUT = 0.5


class SeamNet(PatchNet):
    """Images B × 3 × H × W → CAM A and refined CAM R, each B × (1 + K) × H × W, the background first.

    A comes from the deepest map alone; R moves A's values between positions whose colours and shallower features are
    alike. Only A trains the backbone. The layers bear the names of the released code.
    """

    def __init__(
        self, backbone: Backbone, classes: int, *, frozen: bool = False, widths: tuple[int, int, int] = WIDTHS
    ) -> None:
        super().__init__(backbone, frozen=frozen, first_blocks=True)
        low, middle, deep = backbone.channels
        self.dropout = nn.Dropout2d(DROPOUT)
        self.fc8 = nn.Conv2d(deep, classes + 1, 1, bias=False)
        self.f8_3 = nn.Conv2d(low, widths[0], 1, bias=False)
        self.f8_4 = nn.Conv2d(middle, widths[1], 1, bias=False)
        self.f9 = nn.Conv2d(3 + widths[0] + widths[1], widths[2], 1, bias=False)
        nn.init.xavier_uniform_(self.fc8.weight)
        nn.init.kaiming_normal_(self.f8_3.weight)
        nn.init.kaiming_normal_(self.f8_4.weight)
        nn.init.xavier_uniform_(self.f9.weight, gain=4)

    @property
    def new_layers(self) -> tuple[nn.Module, ...]:
        """Those that do not start from published weights."""
        return self.fc8, self.f8_3, self.f8_4, self.f9

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        a, r = self.maps(images)
        size = images.shape[-2:]
        return resize(a, size, align_corners=True), resize(r, size, align_corners=True)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """A and R on the grid of the backbone's maps."""
        low, middle, deep = self.backbone(images)
        a = self.fc8(self.dropout(deep))
        return a, correlated(self.features(images, low, middle), separated(a))

    def features(self, images: Tensor, low: Tensor, middle: Tensor) -> Tensor:
        """By which pixels are compared, B × C × h × w; nothing of it trains the backbone."""
        colours = resize(images, low.shape[-2:], align_corners=True)
        low, middle = functional.relu(self.f8_3(low.detach())), functional.relu(self.f8_4(middle.detach()))
        compared: Tensor = self.f9(torch.cat([colours, low, middle], dim=1))
        return compared

    def score_maps(self, images: Tensor) -> Tensor:
        """R of the classes, without background, B × K × h × w."""
        return self.maps(images)[1][:, 1:]


def separated(a: Tensor) -> Tensor:
    """A with each channel stretched to 1, background what they leave, and only the strongest class per position.

    B × (1 + K) × h × w, without gradient. Of a class without any positive value 0 remains. Ties survive.
    """
    with torch.no_grad():
        positive = functional.relu(a)
        stretched = functional.relu(positive - EPSILON) / (positive.amax(dim=(2, 3), keepdim=True) + EPSILON)
        classes = stretched[:, 1:]
        best = classes.amax(dim=1, keepdim=True)
        return torch.cat([1 - best, classes.masked_fill(classes < best, 0)], dim=1)


def correlated(features: Tensor, maps: Tensor) -> Tensor:
    """Maps B × C × h × w with every position the mean of all, weighted by the positive cosine of the features."""
    f = features.flatten(2)
    f = f / (f.norm(dim=1, keepdim=True) + EPSILON)
    alike = functional.relu(f.transpose(1, 2) @ f)
    alike = alike / (alike.sum(dim=1, keepdim=True) + EPSILON)
    moved: Tensor = maps.flatten(2) @ alike
    return moved.reshape(maps.shape)
