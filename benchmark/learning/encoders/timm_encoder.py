"""Catalogue entries whose network timm builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from benchmark.encoder import Encoder
from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.sources import Source
from benchmark.learning.encoders.weights import fit_state, fitting, load_state

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Tokens = Literal["pooled", "class+mean"]


class TimmEncoder(Encoder):
    """A timm model without classifier and weights from one source.

    `architecture`, `options`: as `timm.create_model` takes them; layers are named as `module:Name`. `tokens`: what a
    transformer's features are: timm's own pooling, or the class token beside the mean of the patch tokens. `ordered`:
    the file holds timm's tensors under other names in the same order.
    `unused`: beginnings of names that a file may have besides, parts that only its training needed.
    """

    architecture: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    source: ClassVar[Source]
    tokens: ClassVar[Tokens] = "pooled"
    ordered: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ()
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    @classmethod
    def build(cls, *, side: int, weights: Path | None = None) -> nn.Module:
        """See `Encoder.build`."""
        return _with_tokens(cls.loaded(side, weights), cls.tokens).eval()

    @classmethod
    def loaded(cls, side: int, weights: Path | None = None) -> nn.Module:
        """The timm model without classifier, with the entry's weights. Raises as `build` does."""
        path = weights or cls.source.fetch(cls.name)  # first: the largest networks take half a minute to build
        network = cls.network(side)
        state = cls.translate(load_state(path))
        if cls.ordered and state.keys() != network.state_dict().keys():
            state = in_order(state, network, path)
        fit_state(network, state, origin=path, unused=cls.unused)
        return network

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of its file under the names of its network."""
        return dict(state)

    @classmethod
    def bare(cls, side: int) -> nn.Module:
        """The network as `build` returns it, with random weights."""
        return _with_tokens(cls.network(side), cls.tokens)

    @classmethod
    def network(cls, side: int) -> nn.Module:
        """The network without weights. Raises `ConfigError` for a side that it does not take."""
        import timm

        options = cls.layers()
        if "img_size" in options:
            options["img_size"] = side
        try:
            network: nn.Module = timm.create_model(cls.architecture, num_classes=0, **options)
        except (AssertionError, ValueError) as error:
            what = f"the encoder {cls.name} takes no patches of {side} px: {error}"
            raise ConfigError(what, fix=f"--set input_side={cls.side}") from error
        return network

    @classmethod
    def layers(cls) -> dict[str, Any]:
        """Its options with the layers that they name."""
        return {name: _layer(value) for name, value in cls.options.items()}

    @classmethod
    def timm_model(cls) -> tuple[str, Mapping[str, Any]] | None:
        """See `Encoder.timm_model`; None where its features are more than timm's own pooling."""
        return (cls.architecture, cls.layers()) if cls.tokens == "pooled" else None

    @classmethod
    def state(cls, weights: Path | None = None) -> Mapping[str, Tensor]:
        """See `Encoder.state`."""
        tensors: dict[str, Tensor] = cls.loaded(cls.side, weights).state_dict()
        return tensors

    @classmethod
    def absent(cls) -> str | None:
        """Why its weights are not here."""
        return cls.source.absent(cls.name)

    @classmethod
    def way(cls) -> str:
        """How its weights get here."""
        return cls.source.way

    @classmethod
    def origin(cls) -> str:
        """Where its weights come from."""
        return cls.source.words


class ClassAndMean(nn.Module):
    """Class token beside the mean of the patch tokens: n × 2d."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Images n × 3 × side × side → n × 2d."""
        tokens = self.network.forward_features(images)  # type: ignore[operator]
        first = int(self.network.num_prefix_tokens)  # type: ignore[arg-type]
        return torch.cat([tokens[:, 0], tokens[:, first:].mean(dim=1)], dim=1)


def _with_tokens(network: nn.Module, tokens: Tokens) -> nn.Module:
    return ClassAndMean(network) if tokens == "class+mean" else network


def _layer(value: Any) -> Any:
    """A layer written as `module:Name`, so that an entry can be read without loading timm."""
    if not (isinstance(value, str) and ":" in value):
        return value
    import importlib

    module, _, name = value.partition(":")
    return getattr(importlib.import_module(module), name)


def in_order(state: Mapping[str, Tensor], network: nn.Module, origin: Path) -> dict[str, Tensor]:
    """A file's tensors under the network's names, first to first: every shape and last part of a name must agree.

    Raises `WeightsError` naming the first pair that differs.
    """
    expected = network.state_dict()
    rest = {name: tensor for name, tensor in state.items() if not name.startswith(("_fc.", "fc.", "classifier."))}
    if len(rest) != len(expected):
        what = f"{origin} holds {len(rest)} tensors without its classifier, expected {len(expected)}"
        raise WeightsError(what, fix=fitting(state))
    for (name, tensor), (there, target) in zip(rest.items(), expected.items(), strict=True):
        if tensor.shape != target.shape or name.rpartition(".")[2] != there.rpartition(".")[2]:
            what = f"{origin}: tensor {name!r} {tuple(tensor.shape)} is not {there!r} {tuple(target.shape)}"
            raise WeightsError(what, fix=fitting(state))
    return dict(zip(expected, rest.values(), strict=True))
