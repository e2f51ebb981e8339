"""The encoder of a round: its start, its frozen form for features, and the net that fine-tunes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from benchmark.learning.encoders.encoder_names import catalogue_entry
from benchmark.learning.encoders.frozen import FrozenEncoder
from benchmark.learning.encoders.pace import freeze_but_last
from benchmark.learning.encoders.pretraining import patches_of_slide, pretrained_on
from benchmark.learning.encoders.selfsupervised import Start, build
from benchmark.learning.training import seed_torch

from .finetuning import ContrastiveNet

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides.strips import Interpolation

    from .finetuning_params import FinetuningParams
    from .instances import Instances


WRITTEN = 256
"""Patches that are held in memory while they are written down for training without labels."""


def interpolation_of(name: str) -> Interpolation:
    """How the encoder wants patches brought to its side."""
    entry = catalogue_entry(name)
    return "bilinear" if entry is None else entry.interpolation


def started(instances: Instances, params: FinetuningParams, context: Context) -> dict[str, Tensor]:
    """The weights that fine-tuning starts from: loaded, random, or trained without labels on the instances' patches."""
    if params.encoder_training == "none":
        seed_torch(context, "encoder", "weights")
        start = build(
            params.encoder,
            side=params.input_side,
            pretrained=params.encoder_pretrained,
            weights=params.encoder_weights,
        )
        return {name: tensor.detach().cpu() for name, tensor in start.module.state_dict().items()}
    chosen = [
        patches_of_slide(part.slide.id, np.arange(start, stop), len(instances.slides), params, context)
        for part, start, stop in zip(instances.slides, instances.starts[:-1], instances.starts[1:], strict=True)
    ]
    numbers = np.sort(np.concatenate(chosen))
    batches = (numbers[first : first + WRITTEN] for first in range(0, numbers.size, WRITTEN))
    return pretrained_on(instances.batches(batches), instances.side, params, context)


def frozen_round(number: int, weights: Mapping[str, Any], params: FinetuningParams, device: str) -> FrozenEncoder:
    """The encoder of a round for the feature cache; its digest covers the weights.

    An entry of the catalogue that nothing has trained yet shares its features with every other method that uses it.
    """
    start = build(params.encoder, side=params.input_side)
    start.module.load_state_dict(dict(weights))
    trained = "self-supervised" if params.encoder_training != "none" else ""
    kind = "fine-tuned" if number else trained
    return FrozenEncoder(
        start.module,
        name=f"{params.encoder}:{kind}" if kind else params.encoder,
        dim=start.dim,
        side=params.input_side,
        device=device,
        mean=start.mean,
        std=start.std,
        interpolation=interpolation_of(params.encoder),
    )


def trainable(params: FinetuningParams) -> Start:
    """The network, with random weights, of which only the stages to be tuned get a gradient."""
    start = build(params.encoder, side=params.input_side)
    freeze_but_last(start.module, params.tuned_stages, name=params.encoder)
    return start


def contrastive_net(learnt: Mapping[str, Any], params: FinetuningParams, context: Context) -> ContrastiveNet:
    """The net that goes on with what the round before learnt; after round 0 its projection head is new.

    Raises `ConfigError` where the encoder has fewer stages than are to be tuned.
    """
    seed_torch(context, "finetuning", "head")
    net = ContrastiveNet(trainable(params), params.projection)
    net.encoder.load_state_dict(dict(learnt["encoder"]))
    if learnt["head"] is not None:
        net.head.load_state_dict(dict(learnt["head"]))
    return net
