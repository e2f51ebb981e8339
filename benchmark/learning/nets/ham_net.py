"""HAM-Net (Zhong et al., TMI 2023): class activation maps of three depths of a net with stride 8."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.encoders.timm_nets import create_net
from benchmark.learning.encoders.weights import fit_state, load_state
from benchmark.learning.nets.backbones import Backbone, weights_fix
from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.patch_net import PatchNet

VGG16 = "vgg16"
VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
EXTRA_WIDTH = 512
EPSILON = 1e-5


class Vgg16(nn.Module):
    """VGG16 without its last two poolings: the maps behind blocks 3, 4 and 5, shallow to deep.

    Layers bear the numbers of the published weights (`features.0` … `features.28`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        self._ends: list[str] = []
        inputs, number = 3, 0
        for widths in VGG_WIDTHS:
            for width in widths:
                self.features[str(number)] = nn.Conv2d(inputs, width, 3, padding=1)
                inputs, number = width, number + 2
            self._ends.append(str(number - 2))
            number += 1  # the pooling

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps; a pooling follows blocks 1 to 3 alone."""
        x, maps = images, []
        for name, convolution in self.features.items():
            x = functional.relu(convolution(x))
            if name in self._ends:
                block = self._ends.index(name)
                if block >= 2:
                    maps.append(x)
                if block < 3:
                    x = functional.max_pool2d(x, 2)
        return maps


def vgg16(*, pretrained: bool, weights: Path | None) -> Backbone:
    """Its backbone: from a local file, from timm's weights, or at random. Raises `WeightsError`."""
    body = Vgg16()
    if weights is not None or pretrained:
        fix = weights_fix("cam", "vgg16.pth")
        state = load_state(weights) if weights else create_net(VGG16, pretrained=True, fix=fix).state_dict()
        head = ("classifier.", "pre_logits.", "head.")
        fit_state(body, state, origin=weights or "timm's vgg16", unused=head)
    return Backbone(body, (256, 512, 512))


class HamNet(PatchNet):
    """Images B × 3 × H × W → three logits B × K, each the mean of a map: of two depths and behind three convolutions.

    `width`: of those convolutions (published: 512). New layers start as N(0, 0.01), as in the released code, whose
    first tap this moves behind the ReLU of block 4.
    """

    def __init__(self, backbone: Backbone, classes: int, *, frozen: bool = False, width: int = EXTRA_WIDTH) -> None:
        super().__init__(backbone, frozen=frozen)
        _, middle, deep = backbone.channels
        layers: list[nn.Module] = []
        for inputs in (deep, width, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        self.extra = nn.Sequential(*layers, nn.Conv2d(width, classes, 1))
        self.classifier_middle = nn.Conv2d(middle, classes, 1)
        self.classifier_deep = nn.Conv2d(deep, classes, 1)
        for part in (self.extra, self.classifier_middle, self.classifier_deep):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                    nn.init.normal_(layer.weight, std=0.01)
                    nn.init.zeros_(layer.bias)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The class maps, shallow to deep, each B × K × h × w."""
        _, middle, deep = self.backbone(images)
        return self.classifier_middle(middle), self.classifier_deep(deep), self.extra(deep)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        first, second, third = (maps.mean(dim=(2, 3)) for maps in self.maps(images))
        return first, second, third

    def score_maps(self, images: Tensor) -> Tensor:
        """The mean of the three CAMs, each positive and over its maximum: B × K × H × W."""
        size = images.shape[-2:]
        total = images.new_zeros(())
        for maps in self.maps(images):
            cam = resize(functional.relu(maps), size, align_corners=True)
            total = total + cam / (cam.amax(dim=(2, 3), keepdim=True) + EPSILON)
        return total / 3
