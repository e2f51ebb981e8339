"""Maps of an encoder's stages, shallow to deep: encoders of the catalogue and timm's, where they have stages."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn

from benchmark.errors import ConfigError
from benchmark.learning.encoders.encoder_names import catalogue
from benchmark.learning.encoders.timm_nets import create_net, strides_of


class Stages(nn.Module):
    """The last stages of an encoder: images B × 3 × H × W → one map each, B × C × ⌈H/stride⌉ × ⌈W/stride⌉.

    `channels`, `strides`: of each map, shallow to deep; every stride is a multiple of the one before. Images are
    standardised as `timm_nets.transform_of` the encoder's name says.
    """

    def __init__(self, body: nn.Module, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.body = body
        self.channels, self.strides = channels, strides

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps."""
        maps: list[Tensor] = self.body(images)
        return maps


def create_stages(name: str, count: int, *, pretrained: bool, weights: Path | None, fix: str) -> Stages:
    """The last `count` stages of an encoder of the catalogue or a timm model, not dilated.

    `weights`, a local file, wins over `pretrained`, which takes the encoder's own; with neither, weights are random.
    Raises `ConfigError` for an encoder without so many stages, naming some that have them; `WeightsError`, with `fix`,
    when weights cannot be loaded or do not fit.
    """
    strides = _strides(name, count)
    if strides is None:
        staged = [other for other in catalogue() if _strides(other, count) is not None]
        problem = f"the encoder {name!r} has no {count} stages of growing stride"
        raise ConfigError(problem, fix=f"choose {', '.join(staged)}, or a convolutional model of timm (resnet18)")
    options = {"features_only": True, "out_indices": _last(count)}
    body = create_net(name, pretrained=pretrained, weights=weights, fix=fix, **options)
    channels: list[int] = body.feature_info.channels()  # type: ignore[union-attr, operator]
    return Stages(body, tuple(channels), strides)


def _strides(name: str, count: int) -> tuple[int, ...] | None:
    """Strides of the last `count` stages, told without weights; None where the encoder has no such stages."""
    try:
        strides = strides_of(name, out_indices=_last(count))
    except ConfigError:
        return None
    grow = all(deep > fine and deep % fine == 0 for fine, deep in pairwise(strides))
    return strides if grow and len(strides) == count else None


def _last(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))
