"""What all nets of the family share when they learn from patches: backbone, batches, schedule, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import ConfigError
from benchmark.learning.nets.backbones import Backbone, create_backbone
from benchmark.learning.nets.patch_net import PatchNet
from benchmark.learning.training import Training, place, poly_rate, train_steps

from .classifier_params import PatchNetParams
from .patches import PatchSet, Pixels, augmented, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

Groups = list[dict[str, Any]]
"""Parameter groups of an optimiser; `lr_scale` multiplies the rate of one."""
SAVE_EVERY = 50


def training_patches(train: View, params: PatchNetParams, classes: Sequence[str]) -> PatchSet:
    """The patches of all training slides with their labels.

    Raises `ConfigError` without slides, and where no patch has one of the classes: nothing could be told apart.
    """
    patches = PatchSet.of(train, params)
    if not len(patches):
        raise ConfigError("the classifier has no training slides", fix="bench data info DATASET")
    for name, present in zip(classes, patches.present.T, strict=True):
        if not present.any():
            problem = f"class {name!r} is in none of the {len(patches)} training patches: nothing to tell apart"
            raise ConfigError(problem, fix="other training slides, or a smaller share: --set presence=0")
    return patches


def backbone_of(params: PatchNetParams, *, initialise: bool) -> Backbone:
    """The backbone with initial weights as the parameters say, or at random when trained ones will be loaded."""
    return create_backbone(
        params.cls_backbone,
        pretrained=initialise and params.cls_pretrained,
        weights=params.cls_weights if initialise else None,
        purpose="cam",
        b7_dilation=params.cls_b7_dilation,
        dilated=params.cls_dilated,
    )


def keeps_norms(params: PatchNetParams) -> bool:
    """Whether the first convolution and every BatchNorm stay as they were loaded."""
    if params.cls_freeze_bn == "auto":
        return params.cls_pretrained or params.cls_weights is not None
    return params.cls_freeze_bn == "yes"


def epoch_steps(params: PatchNetParams, patches: int) -> int:
    """Steps per epoch: whole batches only, at most `cls_steps`, at least one."""
    whole = max(1, patches // params.cls_batch)
    return whole if params.cls_steps is None else min(whole, params.cls_steps)


def patch_batches(
    name: str,
    pixels: Sequence[Pixels],
    targets: NDArray[np.bool_],
    steps: int,
    params: PatchNetParams,
    context: Context,
) -> Callable[[int, np.random.Generator], tuple[Tensor, Tensor]]:
    """Augmented patches of a step, uint8 B × 3 × S × S, with their targets as float32; every epoch in a new order."""

    def batch(step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        epoch, index = divmod(step, steps)
        order = context.generator(name, "order", epoch).permutation(len(pixels))
        chosen = order[index * params.cls_batch : (index + 1) * params.cls_batch]
        images = torch.stack([augmented(pixels[number], params, rng) for number in chosen])
        return images, torch.from_numpy(targets[chosen]).float()

    return batch


def late_poly_rate(step: int, steps: int, base: float) -> float:
    """Poly 0.9 over `steps`, then constant at the last value (the optimiser of SEAM, SC-CAM and Adv-CAM)."""
    return poly_rate(min(step, steps - 1), steps, base)


def train_on_patches(
    net: PatchNet,
    name: str,
    patches: PatchSet,
    targets: NDArray[np.bool_],
    loss: Callable[[Tensor, Tensor], Tensor],
    groups: Groups,
    params: PatchNetParams,
    context: Context,
    *,
    epochs: int | None = None,
    rate: Callable[[int, int], float] | None = None,
    nesterov: bool = False,
) -> dict[str, Tensor]:
    """Train by SGD on standardised images and targets; the weights, on the CPU.

    `name`: of the training, for its seeds and logs. `rate(step, steps of an epoch)`: by default poly 0.9 over
    `cls_epochs`. `epochs`: fewer or more than that.
    """
    steps = epoch_steps(params, len(patches))
    total = steps * (params.cls_epochs if epochs is None else epochs)
    place(net, context.device)
    net.train()

    def rate_of(step: int) -> float:
        return late_poly_rate(step, total, params.cls_lr) if rate is None else rate(step, steps)

    training = Training(
        name,
        total,
        batch=patch_batches(name, patches.pixels, targets, steps, params, context),
        loss=lambda batch: loss(standardised(batch[0], params, context.device), batch[1].to(context.device)),
        rate=rate_of,
        save_every=min(steps, SAVE_EVERY),
        half=params.amp != "none",
    )
    optimiser = torch.optim.SGD(
        groups,
        params.cls_lr,
        momentum=params.cls_momentum,
        weight_decay=params.cls_weight_decay,
        nesterov=nesterov,
    )
    train_steps(net, optimiser, training, context)
    return {key: value.detach().cpu() for key, value in net.state_dict().items()}


def scaled_groups(net: PatchNet, new: Iterable[torch.nn.Module], new_rate: float) -> Groups:
    """All trainable weights in two groups: those of `new` layers at `new_rate` times the rate, the others at it."""
    fresh = {id(weight) for layer in new for weight in layer.parameters()}
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    old = [weight for weight in trained if id(weight) not in fresh]
    return [
        *([{"params": old}] if old else []),
        {"params": [weight for weight in trained if id(weight) in fresh], "lr_scale": new_rate},
    ]
