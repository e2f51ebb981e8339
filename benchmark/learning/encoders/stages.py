"""Maps of an encoder's stages, shallow to deep: encoders of the catalogue and timm's, where they have stages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from benchmark.encoder import Encoder
from benchmark.errors import ConfigError
from benchmark.learning.augment import IMAGENET_MEAN, IMAGENET_STD
from benchmark.learning.encoders.encoder_names import catalogue, catalogue_entry
from benchmark.learning.encoders.timm_nets import create_net, strides_of

Channels = tuple[float, float, float]


class Stages(nn.Module):
    """The last stages of an encoder: images B × 3 × H × W → one map each, B × C × ⌈H/stride⌉ × ⌈W/stride⌉.

    `channels` and `strides` of each map, shallow to deep; every stride is a multiple of the one before it. Images are
    normalised with the encoder's own mean and std, `transform_of` its name.
    """

    def __init__(self, body: nn.Module, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.body = body
        self.channels, self.strides = channels, strides

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps."""
        maps: list[Tensor] = self.body(images)
        return maps


def create_stages(name: str, count: int, *, pretrained: bool, weights: Path | None = None, fix: str) -> Stages:
    """The last `count` stages of an encoder of the catalogue or a timm model, not dilated.

    `weights`, a local file, wins over `pretrained`, which takes the encoder's own; with neither, weights are random.
    Raises `ConfigError` for an encoder without so many stages, naming some that have them; `WeightsError`, with `fix`,
    when weights cannot be loaded or do not fit.
    """
    entry = catalogue_entry(name)
    strides = strides_of_stages(name, count)
    options: dict[str, Any] = {"features_only": True, "out_indices": _last(count)}
    if entry is None:
        body = create_net(name, pretrained=pretrained, weights=weights, fix=fix, **options)
    elif not (pretrained or weights is not None):
        body = create_net(_architecture(entry), pretrained=False, fix=fix, **options)
    else:
        whole = {"state_dict": entry.build(side=entry.side, weights=weights).state_dict()}
        body = timm.create_model(_architecture(entry), pretrained=True, pretrained_cfg_overlay=whole, **options)
    channels: Sequence[int] = body.feature_info.channels()  # type: ignore[union-attr, operator]
    return Stages(body, tuple(channels), strides)


def strides_of_stages(name: str, count: int) -> tuple[int, ...]:
    """Strides of the last `count` stages, without building the network. Raises `ConfigError` as `create_stages`."""
    entry = catalogue_entry(name)
    architecture = name if entry is None else _architecture(entry)
    given: tuple[int, ...] = ()
    if architecture and not getattr(entry, "options", None):  # options change the layers that maps are taken from
        try:
            given = strides_of(architecture, out_indices=_last(count))
        except ConfigError:
            if entry is None and not timm.is_model(name):
                raise
    if len(given) == count and all(deep > fine and deep % fine == 0 for fine, deep in pairwise(given)):
        return given
    problem = f"the encoder {name!r} has no {count} stages of growing stride"
    others = [other for other in catalogue() if other != name and _staged(other, count)]
    raise ConfigError(problem, fix=f"choose one that has: {', '.join(others)}, or a convolutional timm model")


def transform_of(name: str) -> tuple[Channels, Channels]:
    """Mean and std of pixels in [0, 255] that an encoder wants: its catalogue entry's, else ImageNet's."""
    entry = catalogue_entry(name)
    if entry is None:
        return IMAGENET_MEAN, IMAGENET_STD
    mean, std = (torch.tensor(values, dtype=torch.float64) * 255 for values in (entry.mean, entry.std))
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))


def _staged(name: str, count: int) -> bool:
    entry = catalogue_entry(name)
    if entry is None or getattr(entry, "options", None) or not _architecture(entry):
        return False
    try:
        strides = strides_of(_architecture(entry), out_indices=_last(count))
    except ConfigError:
        return False
    return all(deep > fine for fine, deep in pairwise(strides))


def _architecture(entry: type[Encoder]) -> str:
    """The timm model of an entry; empty where the entry builds its network itself."""
    return getattr(entry, "architecture", "")


def _last(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))
