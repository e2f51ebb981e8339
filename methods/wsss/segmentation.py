"""The segmentation stage: a PSPNet that learns from pseudo-masks (paper §2.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.learning.augment import Augmentation, recompressed
from benchmark.learning.nets.backbones import Backbone, create_backbone
from benchmark.learning.nets.heads import FcnHead, PspHead, resize
from benchmark.learning.training import Training, place, poly_rate, seed_torch, train_steps
from benchmark.slides import Grid

from .weighting import Weighting, single_class, weighted_loss

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

STAGE = "segmentation"


class SegNet(nn.Module):
    """Backbone of output stride 8, pyramid pooling head on its last map, auxiliary head on the one before."""

    def __init__(self, backbone: Backbone, params: Any, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        _, middle, deep = backbone.channels
        self.head = PspHead(
            deep, params.head_channels, classes, pool_scales=params.pool_scales, dropout=params.head_dropout
        )
        self.aux_head = (
            FcnHead(middle, params.aux_channels, classes, dropout=params.head_dropout)
            if params.aux_weight > 0
            else None
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images B × 3 × H × W → logits B × K × H/8 × W/8 of the head and, in training, of the auxiliary head."""
        _, middle, deep = self.backbone(images)
        aux = self.aux_head(middle) if self.training and self.aux_head is not None else None
        return self.head(deep), aux


def create_net(params: Any, classes: int, *, initialise: bool) -> SegNet:
    """The net with initial weights as the parameters say, or at random when trained ones will be loaded."""
    backbone = create_backbone(
        params.seg_backbone,
        pretrained=params.seg_pretrained and initialise,
        weights=params.seg_weights if initialise else None,
        purpose="segmentation",
        b7_dilation=params.seg_b7_dilation,
    )
    return SegNet(backbone, params, classes)


class Tiles:
    """Training tiles, cut on the fly from whole images in memory; every epoch in a new order.

    `images`: uint8 H × W × 3, `masks`: class per pixel, H × W, negative = ignored; both by slide id.
    """

    def __init__(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        masks: Mapping[str, NDArray[np.int8]],
        params: Any,
        context: Context,
    ) -> None:
        self._images = images
        self._masks = {name: masks[name].astype(np.uint8) for name in images}  # -1 becomes 255, which is ignored
        self._side, self._quality = params.tile, params.jpeg_quality
        self._batch = params.seg_batch
        self._augment = Augmentation(
            (params.ratio_min, params.ratio_max), params.crop, params.seg_flip, params.seg_distortion
        )
        self._context = context
        self._places = [
            (name, x, y)
            for name, image in images.items()
            for _, _, x, y in Grid.windows(image.shape[1::-1], params.tile, params.tile_stride).patches()
        ]

    def __len__(self) -> int:
        return len(self._places)

    def batch(self, step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Augmented crops of one step: images B × 3 × crop × crop and labels B × crop × crop."""
        numbers = range(step * self._batch, (step + 1) * self._batch)
        pairs = [self._augment(*self._tile(number), rng) for number in numbers]
        return torch.stack([image for image, _ in pairs]), torch.stack([labels for _, labels in pairs])

    def _tile(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        epoch, place = divmod(number, len(self))
        order = self._context.generator(STAGE, "order", epoch).permutation(len(self))
        name, x, y = self._places[order[place]]
        area = (slice(y, y + self._side), slice(x, x + self._side))
        return recompressed(self._images[name][area], self._quality), self._masks[name][area]


def train_segmentation(
    images: Mapping[str, NDArray[np.uint8]],
    masks: Mapping[str, NDArray[np.int8]],
    params: Any,
    weighting: Weighting,
    context: Context,
) -> dict[str, Tensor]:
    """Train on masks and return the weights, on the CPU.

    Loss = that of the head + `aux_weight` · that of the auxiliary head, each with weights from its own losses;
    logits are brought to the size of the labels first. Every BatchNorm is trained (D16).
    """
    classes = len(context.classes)
    tiles = Tiles(images, masks, params, context)
    steps = training_steps(params, len(tiles))
    seed_torch(context, STAGE, "weights")
    net = create_net(params, classes, initialise=True)
    place(net, context.device)
    net.train()
    optimiser = torch.optim.SGD(
        net.parameters(), params.seg_lr, momentum=params.seg_momentum, weight_decay=params.seg_weight_decay
    )

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        labels = batch[1].to(context.device, non_blocking=True)
        logits, aux = net(batch[0].to(context.device, non_blocking=True))
        single = single_class(labels, classes)
        total = weighted_loss(resize(logits, labels.shape[-2:]), labels, weighting, single)
        if aux is not None:
            total = total + params.aux_weight * weighted_loss(resize(aux, labels.shape[-2:]), labels, weighting, single)
        return total

    def rate(step: int) -> float:
        return poly_rate(step, steps, params.seg_lr, params.seg_min_lr)

    train_steps(net, optimiser, Training(STAGE, steps, tiles.batch, loss, rate), context)
    return {name: value.detach().cpu() for name, value in net.state_dict().items()}


def read_images(slides: Sequence[Slide]) -> dict[str, NDArray[np.uint8]]:
    """Whole slides in memory, by id."""
    return {slide.id: slide.read(0, 0, *slide.size) for slide in slides}


def training_steps(params: Any, tiles: int) -> int:
    """`iterations`, or fewer so that no more than `max_epochs` passes over the tiles are made."""
    if params.max_epochs is None:
        return int(params.iterations)
    return max(1, min(int(params.iterations), int(params.max_epochs * tiles / params.seg_batch)))
