"""timm models by name, with clear errors for unknown names, missing weights and models without the maps required."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.weights import fit_state, load_state
from benchmark.learning.nets.resnet38 import RESNET38

ALL_STRIDES = [2, 4, 8, 16, 32]
"""Strides of the five maps that a decoder of full depth takes."""


def check_name(name: str) -> None:
    """Raise `ConfigError` with the nearest names unless timm has a model of this name."""
    import timm

    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, [RESNET38, *timm.list_models()], n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "python -c 'import timm; print(timm.list_models())'"
    raise ConfigError(f"no backbone is called {name!r}: neither 'resnet38' nor a timm model", fix=hint)


@lru_cache
def strides_of(name: str, **options: Any) -> tuple[int, ...]:
    """Strides of the maps that a timm model gives with these options. Builds nothing: the model has no memory.

    Raises `ConfigError` for a name that timm does not have, or a model that gives no maps.
    """
    import timm

    check_name(name)
    try:
        with torch.device("meta"):
            net = timm.create_model(name, features_only=True, **options)
        return tuple(net.feature_info.reduction())  # type: ignore[union-attr, operator]
    except Exception as error:
        problem = f"the timm model {name!r} cannot give maps of its stages: {error or type(error).__name__}"
        raise ConfigError(problem, fix="choose a convolutional model, for example resnet18") from error


def create_maps(
    name: str, strides: Sequence[int], *, pretrained: bool, weights: Path | None = None, fix: str, **options: Any
) -> nn.Module:
    """The timm model without its classifier, giving maps of exactly these strides. See `create_net`.

    Raises `ConfigError` for a name that timm does not have, or a model without such maps.
    """
    given = strides_of(name, **options)
    if given != tuple(strides):
        problem = f"the maps of {name!r} have strides {list(given)}, expected {list(strides)}"
        raise ConfigError(problem, fix="choose a convolutional model, for example resnet18")
    return create_net(name, pretrained=pretrained, weights=weights, fix=fix, features_only=True, **options)


def create_net(name: str, *, pretrained: bool, weights: Path | None = None, fix: str, **options: Any) -> nn.Module:
    """The timm model `name`.

    `weights`, a local file of the whole model (its classifier is left out), wins over `pretrained`, which downloads
    timm's own; with neither, weights are random. `options` are timm's.

    Raises `ConfigError` for a name that timm does not have; `WeightsError`, with `fix`, when weights cannot be
    loaded or do not fit.
    """
    import timm

    check_name(name)
    overlay = None if weights is None else {"state_dict": _fitted(name, weights)}
    with refused(name, fix=fix) if pretrained and overlay is None else nullcontext():
        net: nn.Module = timm.create_model(
            name, pretrained=pretrained or overlay is not None, pretrained_cfg_overlay=overlay, **options
        )
    return net


def encoder_of(name: str, *, pretrained: bool, weights: Path | None, maps: bool) -> nn.Module:
    """The timm model of a method's parameter `encoder`: with five maps, or (`maps` false) pooling and one logit.

    `weights`, a local file, wins over `pretrained`, which downloads timm's own. Raises `ConfigError` for a model
    without maps of stride 2 to 32, `WeightsError` when weights cannot be loaded or do not fit.
    """
    local, random = f"--set encoder_weights={name}.safetensors", "--set encoder_pretrained=false"
    fix = f"give a local file with {local}, or start at random with {random}"
    if maps:
        return create_maps(name, ALL_STRIDES, pretrained=pretrained, weights=weights, fix=fix)
    return create_net(name, pretrained=pretrained, weights=weights, fix=fix, num_classes=1)


@contextmanager
def refused(name: str, *, fix: str) -> Iterator[None]:
    """Turn whatever goes wrong while pretrained weights are downloaded into a `WeightsError`."""
    try:
        yield
    except Exception as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"the pretrained weights of {name!r} could not be loaded: {text}", fix=fix) from error


def _fitted(name: str, weights: Path) -> dict[str, torch.Tensor]:
    """The file's tensors, after they have been found to fit the timm model."""
    import timm

    model = timm.create_model(name, num_classes=0)
    fit_state(model, load_state(weights), origin=weights)
    state: dict[str, torch.Tensor] = model.state_dict()
    return state
