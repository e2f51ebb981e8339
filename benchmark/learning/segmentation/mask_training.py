"""The segmentation stage: a net learns from one mask per training slide (OEEM, §2.3 and §3.1; released code)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.learning.augment import (
    IGNORE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    Channels,
    normalised,
    recompressed,
    resized_whole,
)
from benchmark.learning.encoders.timm_nets import transform_of
from benchmark.learning.losses import PixelLoss
from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.medt import MedT
from benchmark.learning.segmentation.build_net import create_net
from benchmark.learning.segmentation.segmentation_params import SegmentationParams, input_side
from benchmark.learning.training import (
    Training,
    dropping_rate,
    one_cycle_rate,
    place,
    poly_rate,
    restarting_rate,
    seed_torch,
    train_steps,
)
from benchmark.slides import Grid

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

STAGE = "segmentation"


def pixel_transform(params: SegmentationParams) -> tuple[Channels, Channels]:
    """Mean and deviation of pixels in [0, 255] by which the net's input is standardised."""
    if params.seg_scaling == "unit":
        return (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
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
        stride, ratio = params.tile_stride, (params.ratio_min, params.ratio_max)
        if params.whole_side is not None:
            self._images = {name: resized_whole(image, params.whole_side) for name, image in images.items()}
            self._masks = {name: resized_whole(mask, params.whole_side) for name, mask in self._masks.items()}
            self._side = stride = params.whole_side
            ratio = (1.0, 1.0)
        self._batch = params.seg_batch
        mean, std = pixel_transform(params)
        self._augment = Augmentation(
            ratio,
            input_side(params),
            params.seg_flip,
            params.seg_distortion,
            params.seg_turn,
            params.seg_jitter,
            mean,
            std,
            params.seg_flip_vertical,
            params.seg_rotation,
            params.seg_elastic,
            params.elastic_smoothness,
            params.seg_augment == "one-of",
        )
        self._context = context
        self._places = [
            (name, x, y)
            for name, image in self._images.items()
            for _, _, x, y in Grid.windows(image.shape[1::-1], self._side, stride).patches()
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


@dataclass(frozen=True)
class Selection:
    """What chooses the epoch that is kept; after `patience` epochs without a better one training ends."""

    images: Mapping[str, NDArray[np.uint8]]
    masks: Mapping[str, NDArray[np.int8]]
    patience: int | None


@torch.no_grad()
def _one_minus_dice(net: nn.Module, selection: Selection, params: SegmentationParams, context: Context) -> float:
    """1 - the mean Dice of whole images at a threshold of 0.5, of the net's input size; the net is trained on after."""
    side = input_side(params)
    mean, std = pixel_transform(params)
    scores = []
    net.eval()
    for name, image in selection.images.items():
        pixels = normalised(resized_whole(image, side)[None], mean, std).to(context.device)
        truth = resized_whole(selection.masks[name].astype(np.uint8), side)
        found = (resize(net(pixels)[0].float(), (side, side)).softmax(dim=1)[0, 0] < 0.5).cpu().numpy()
        positive, valid = (truth > 0) & (truth != IGNORE), truth != IGNORE
        size = int((found & valid).sum() + positive.sum())
        scores.append(2 * int((found & positive).sum()) / size if size else 1.0)
    net.train()
    return 1 - float(np.mean(scores))


def train_segmentation(
    images: Mapping[str, NDArray[np.uint8]],
    masks: Mapping[str, NDArray[np.int8]],
    params: SegmentationParams,
    loss: PixelLoss,
    context: Context,
    selection: Selection | None = None,
    make: Callable[[], nn.Module] | None = None,
) -> dict[str, Tensor]:
    """Train on masks and return the weights, on the CPU: the last, or with a `selection` the best ones.

    Loss = `loss` of the head + `aux_weight` · `loss` of the auxiliary head; logits are brought to the size of the
    labels first. Every BatchNorm is trained (docs/methods/oeem.md, D16). `make`: the net with its initial weights, by
    default what the parameters name.
    """
    classes = len(context.classes)
    tiles = Tiles(images, masks, params, context)
    steps = training_steps(params, len(tiles))
    seed_torch(context, STAGE, "weights")
    net = create_net(params, classes, initialise=True) if make is None else make()
    place(net, context.device)
    net.train()

    def batch_loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        labels = batch[1].to(context.device, non_blocking=True)
        logits, aux = net(batch[0].to(context.device, non_blocking=True))
        total = loss(resize(logits, labels.shape[-2:]), labels)
        if aux is not None:
            total = total + params.aux_weight * loss(resize(aux, labels.shape[-2:]), labels)
        return total

    per_epoch = math.ceil(len(tiles) / params.seg_batch)
    medt = next((module for module in net.modules() if isinstance(module, MedT)), None)
    training = Training(
        STAGE,
        steps,
        tiles.batch,
        batch_loss,
        _rate(params, steps, per_epoch),
        save_every=100,
        half=params.amp != "none",
        validate=None if selection is None else lambda: _one_minus_dice(net, selection, params, context),
        validate_every=per_epoch,
        patience=None if selection is None else selection.patience,
        begin=None if medt is None else lambda step: medt.train_gates(step >= params.gate_epochs * per_epoch),
    )
    train_steps(net, _optimiser(net, params), training, context)
    return {name: value.detach().cpu() for name, value in net.state_dict().items()}


def read_images(slides: Sequence[Slide]) -> dict[str, NDArray[np.uint8]]:
    """Whole slides in memory, by id."""
    return {slide.id: slide.read(0, 0, *slide.size) for slide in slides}


def training_steps(params: SegmentationParams, tiles: int) -> int:
    """`iterations`, or fewer so that no more than `max_epochs` passes over the tiles are made."""
    limits = [params.iterations] if params.iterations is not None else []
    if params.max_epochs is not None:
        limits.append(int(params.max_epochs * tiles / params.seg_batch))
    return max(1, min(limits))


def _optimiser(net: nn.Module, params: SegmentationParams) -> torch.optim.Optimizer:
    if params.seg_optimiser == "adamw":
        return torch.optim.AdamW(net.parameters(), params.seg_lr, weight_decay=params.seg_weight_decay)
    if params.seg_optimiser == "adam":
        return torch.optim.Adam(net.parameters(), params.seg_lr, weight_decay=params.seg_weight_decay)
    return torch.optim.SGD(
        net.parameters(),
        params.seg_lr,
        momentum=params.seg_momentum,
        weight_decay=params.seg_weight_decay,
        nesterov=params.seg_optimiser == "nesterov",
    )


def _rate(params: SegmentationParams, steps: int, per_epoch: int) -> Callable[[int], float]:
    if params.seg_schedule == "constant":
        return lambda step: params.seg_lr
    if params.seg_schedule == "steps":
        return lambda step: dropping_rate(step, steps, params.seg_lr)
    if params.seg_schedule == "cosine-restarts":
        return lambda step: restarting_rate(step // per_epoch, params.restart_epochs, params.seg_lr, params.seg_min_lr)
    if params.seg_schedule == "one-cycle":
        return lambda step: one_cycle_rate(step, steps, params.seg_lr)
    return lambda step: poly_rate(step, steps, params.seg_lr, params.seg_min_lr)
