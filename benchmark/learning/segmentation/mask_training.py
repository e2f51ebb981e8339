"""The segmentation stage: a net learns from one mask per training slide (OEEM, §2.3 and §3.1; released code)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.learning.augment import IMAGENET_MEAN, IMAGENET_STD, Augmentation, Channels, recompressed
from benchmark.learning.encoders.stage_maps import create_stages
from benchmark.learning.encoders.timm_nets import transform_of
from benchmark.learning.losses import PixelLoss
from benchmark.learning.nets.backbones import create_backbone, weights_fix
from benchmark.learning.nets.fpn import FpnNet
from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.pspnet import PspNet
from benchmark.learning.segmentation.segmentation_params import SegmentationParams
from benchmark.learning.training import Training, one_cycle_rate, place, poly_rate, seed_torch, train_steps
from benchmark.slides import Grid

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

STAGE = "segmentation"


def create_net(params: SegmentationParams, classes: int, *, initialise: bool) -> nn.Module:
    """The net with initial weights as the parameters say, or at random when trained ones will be loaded.

    Images B × 3 × H × W → logits B × K × h × w and, of an auxiliary head, the same or None.
    """
    if params.seg_net == "fpn":
        stages = create_stages(
            params.seg_backbone,
            params.seg_stages,
            pretrained=params.seg_pretrained and initialise,
            weights=params.seg_weights if initialise else None,
            fix=weights_fix("segmentation", f"{params.seg_backbone}.safetensors"),
        )
        return FpnNet(stages, classes, channels=params.head_channels, dropout=params.head_dropout)
    backbone = create_backbone(
        params.seg_backbone,
        pretrained=params.seg_pretrained and initialise,
        weights=params.seg_weights if initialise else None,
        purpose="segmentation",
        b7_dilation=params.seg_b7_dilation,
    )
    return PspNet(
        backbone,
        classes,
        head_channels=params.head_channels,
        pool_scales=params.pool_scales,
        aux_channels=params.aux_channels if params.aux_weight > 0 else 0,
        dropout=params.head_dropout,
    )


def pixel_transform(params: SegmentationParams) -> tuple[Channels, Channels]:
    """Mean and deviation of pixels in [0, 255] by which the net's input is standardised."""
    if params.seg_scaling == "imagenet":
        return IMAGENET_MEAN, IMAGENET_STD
    (r, g, b), (x, y, z) = transform_of(params.seg_backbone)
    return (255 * r, 255 * g, 255 * b), (255 * x, 255 * y, 255 * z)


class Tiles:
    """Training tiles, cut on the fly from whole images in memory; every epoch in a new order.

    `images`: uint8 H × W × 3, `masks`: class per pixel, H × W, negative = ignored; both by slide id.
    """

    def __init__(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        masks: Mapping[str, NDArray[np.int8]],
        params: SegmentationParams,
        context: Context,
    ) -> None:
        self._images = images
        self._masks = {name: masks[name].astype(np.uint8) for name in images}  # -1 becomes 255, which is ignored
        self._side, self._quality = params.tile, params.jpeg_quality
        self._batch = params.seg_batch
        mean, std = pixel_transform(params)
        self._augment = Augmentation(
            (params.ratio_min, params.ratio_max),
            params.crop,
            params.seg_flip,
            params.seg_distortion,
            params.seg_turn,
            params.seg_jitter,
            mean,
            std,
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
    params: SegmentationParams,
    loss: PixelLoss,
    context: Context,
) -> dict[str, Tensor]:
    """Train on masks and return the weights, on the CPU.

    Loss = `loss` of the head + `aux_weight` · `loss` of the auxiliary head; logits are brought to the size of the
    labels first. Every BatchNorm is trained (docs/methods/oeem.md, D16).
    """
    classes = len(context.classes)
    tiles = Tiles(images, masks, params, context)
    steps = training_steps(params, len(tiles))
    seed_torch(context, STAGE, "weights")
    net = create_net(params, classes, initialise=True)
    place(net, context.device)
    net.train()

    def batch_loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        labels = batch[1].to(context.device, non_blocking=True)
        logits, aux = net(batch[0].to(context.device, non_blocking=True))
        total = loss(resize(logits, labels.shape[-2:]), labels)
        if aux is not None:
            total = total + params.aux_weight * loss(resize(aux, labels.shape[-2:]), labels)
        return total

    half = params.amp != "none"
    training = Training(STAGE, steps, tiles.batch, batch_loss, _rate(params, steps), save_every=100, half=half)
    train_steps(net, _optimiser(net, params), training, context)
    return {name: value.detach().cpu() for name, value in net.state_dict().items()}


def read_images(slides: Sequence[Slide]) -> dict[str, NDArray[np.uint8]]:
    """Whole slides in memory, by id."""
    return {slide.id: slide.read(0, 0, *slide.size) for slide in slides}


def training_steps(params: SegmentationParams, tiles: int) -> int:
    """`iterations`, or fewer so that no more than `max_epochs` passes over the tiles are made."""
    if params.max_epochs is None:
        return params.iterations
    return max(1, min(params.iterations, int(params.max_epochs * tiles / params.seg_batch)))


def _optimiser(net: nn.Module, params: SegmentationParams) -> torch.optim.Optimizer:
    if params.seg_optimiser == "adamw":
        return torch.optim.AdamW(net.parameters(), params.seg_lr, weight_decay=params.seg_weight_decay)
    return torch.optim.SGD(
        net.parameters(), params.seg_lr, momentum=params.seg_momentum, weight_decay=params.seg_weight_decay
    )


def _rate(params: SegmentationParams, steps: int) -> Callable[[int], float]:
    if params.seg_schedule == "one-cycle":
        return lambda step: one_cycle_rate(step, steps, params.seg_lr)
    return lambda step: poly_rate(step, steps, params.seg_lr, params.seg_min_lr)
