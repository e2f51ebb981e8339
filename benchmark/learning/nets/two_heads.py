"""A backbone with a head of classes and one of sub-classes on the same feature (SC-CAM; Chang et al., CVPR 2020)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.nets.backbones import Backbone
from benchmark.learning.nets.patch_net import PatchNet

DROPOUT = 0.5


class TwoHeads(PatchNet):
    """Images B × 3 × H × W → logits of K classes and of `subclasses`, from the mean of the deepest map; no biases."""

    def __init__(self, backbone: Backbone, classes: int, subclasses: int, *, frozen: bool = False) -> None:
        super().__init__(backbone, frozen=frozen, first_blocks=True)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.parents = nn.Conv2d(backbone.channels[-1], classes, 1, bias=False)
        self.subclasses = nn.Conv2d(backbone.channels[-1], subclasses, 1, bias=False) if subclasses else None
        for head in self.new_layers:
            nn.init.xavier_uniform_(head.weight)

    @property
    def new_layers(self) -> tuple[nn.Conv2d, ...]:
        """Those that do not start from published weights."""
        return (self.parents,) if self.subclasses is None else (self.parents, self.subclasses)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits B × K and B × subclasses; None without sub-classes."""
        mean = self.dropout(self.backbone(images)[-1]).mean(dim=(2, 3), keepdim=True)
        return self.parents(mean).flatten(1), None if self.subclasses is None else self.subclasses(mean).flatten(1)

    def features(self, images: Tensor) -> Tensor:
        """What patches are clustered by, B × C."""
        deep: Tensor = self.backbone(images)[-1]
        return deep.mean(dim=(2, 3))

    def score_maps(self, images: Tensor) -> Tensor:
        """The CAM of the classes, B × K × h × w, at least 0."""
        return functional.relu(self.parents(self.backbone(images)[-1]))
