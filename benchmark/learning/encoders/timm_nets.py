"""Networks of timm and of the catalogue by name, with clear errors: unknown names, missing weights, maps required."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.encoder_names import catalogue_entry
from benchmark.learning.encoders.timm_encoder import IMAGENET_MEAN, IMAGENET_STD, TimmEncoder
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

    name, options = _architecture(name, options)
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
    """The timm model `name`, or the one behind an entry of the catalogue.

    `weights`, a local file of the whole model (its classifier is left out), wins over `pretrained`, which takes
    the entry's own or downloads timm's; with neither, weights are random. `options` are timm's.

    Raises `ConfigError` for a name that neither has, or an entry whose network is not timm's; `WeightsError`, with
    `fix`, when weights cannot be loaded or do not fit.
    """
    import timm

    entry = _entry(name)
    name, options = _architecture(name, options)
    check_name(name)
    state = _weights_of(entry, weights) if entry is not None and (pretrained or weights) else None
    if state is None and weights is not None:
        state = _fitted(name, weights)
    overlay = None if state is None else {"state_dict": state}
    with refused(name, fix=fix) if pretrained and overlay is None else _quiet():
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
def _quiet() -> Iterator[None]:
    """Keeps timm from listing what maps leave out of a whole model's tensors, which were found to fit before."""
    log = logging.getLogger("timm.models._builder")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def transform_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel, of pixels in [0, 1], that an encoder's weights were trained with.

    Those of the catalogue's entry, or of timm's weights. Raises `ConfigError` for a name that neither has.
    """
    import timm

    entry = catalogue_entry(name)
    if entry is not None:
        return entry.mean, entry.std
    check_name(name)
    transform = timm.get_pretrained_cfg(name, allow_unregistered=False)
    return getattr(transform, "mean", IMAGENET_MEAN), getattr(transform, "std", IMAGENET_STD)


def _entry(name: str) -> type[TimmEncoder] | None:
    """The catalogue's entry of that name, if there is one; its network has to be timm's, with one vector per patch."""
    entry = catalogue_entry(name)
    if entry is None:
        return None
    if not issubclass(entry, TimmEncoder) or entry.tokens != "pooled":
        problem = f"the encoder {name!r} gives features of whole patches alone and cannot be trained on as a network"
        raise ConfigError(problem, fix="choose imagenet-lite0 or a model of timm: bench list encoders")
    return entry


def _architecture(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name that timm has for a network, and the options to build it with."""
    entry = _entry(name)
    if entry is None:
        return name, options
    return entry.architecture, {**entry.layers(), **options}


def _weights_of(entry: type[TimmEncoder], weights: Path | None) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = entry.loaded(entry.side, weights).state_dict()
    return state


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
