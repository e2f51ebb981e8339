"""An encoder cut in two: a frozen trunk whose maps are stored once, and a head that is trained."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.errors import ConfigError
from benchmark.learning.encoders.frozen import FrozenEncoder, create_encoder
from benchmark.learning.encoders.timm_encoder import ClassAndMean


@dataclass(frozen=True, eq=False)
class CutEncoder:
    """`trunk`: patches → flattened maps. `head`: maps n × `shape` → n × `width`, in evaluation mode, to be copied."""

    trunk: FrozenEncoder
    head: nn.Sequential
    shape: tuple[int, ...]
    width: int

    def copied_head(self) -> nn.Sequential:
        """A head of one's own to train. Norms stay in evaluation mode: their statistics never change."""
        return copy.deepcopy(self.head).eval().requires_grad_(True)


def cut_encoder(
    name: str,
    *,
    trainable_from: str,
    pretrained: bool,
    weights: Path | None,
    side: int,
    device: str = "cpu",
    seed: int = 0,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> CutEncoder:
    """The encoder `name` (see `create_encoder`), frozen up to the block `trainable_from`, which begins the head.

    A block is named by its path, `layer4.1` or `blocks.6`. `mean`, `std` normalise pixels in [0, 1] instead of the
    encoder's own. Raises `ConfigError` for a block that there is not, or a network that is no chain of blocks.
    """
    whole = create_encoder(name, pretrained=pretrained, weights=weights, side=side, device=device, seed=seed)
    steps = list(blocks(whole.module))
    names = [step for step, _ in steps]
    start = next((n for n, step in enumerate(names) if step == trainable_from or _within(step, trainable_from)), None)
    if not start:
        some = ", ".join(names[1:][-6:])
        what = f"the encoder {name} cannot be trained from {trainable_from!r} on: it has no such block after its first"
        raise ConfigError(what, fix=f"--set trainable_from=BLOCK, the last ones are {some}")
    trunk = nn.Sequential(*(module for _, module in steps[:start])).eval()
    head = nn.Sequential(*(module for _, module in steps[start:])).eval()
    shape, width = _checked(name, whole.module, trunk, head, side, device)
    stored = FrozenEncoder(
        nn.Sequential(trunk, nn.Flatten()),
        name=f"{whole.name}:before {trainable_from}",
        dim=int(torch.Size(shape).numel()),
        side=side,
        device=device,
        mean=mean or whole.mean,
        std=std or whole.std,
        interpolation=whole.interpolation,
    )
    return CutEncoder(stored, head, shape, width)


def blocks(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The blocks of a network that runs them one after the other, with their paths; nested lists are unrolled."""
    network = module.network if isinstance(module, ClassAndMean) else module
    if hasattr(network, "patch_embed") and hasattr(network, "_pos_embed"):
        yield "embed", _Embed(network)
        for number, block in enumerate(network.blocks):  # type: ignore[arg-type]
            yield f"blocks.{number}", block
        yield "pool", _Pool(network, class_and_mean=network is not module)
        return
    wrapped = isinstance(module, nn.Sequential) and len(module) == 1 and not prefix
    for name, child in module.named_children():
        inner = "" if wrapped else f"{prefix}{name}."
        if isinstance(child, nn.Sequential) or wrapped:
            yield from blocks(child, inner)
        else:
            yield f"{prefix}{name}", child


def _within(step: str, name: str) -> bool:
    return step.startswith(f"{name}.")


def _checked(
    name: str, whole: nn.Module, trunk: nn.Module, head: nn.Module, side: int, device: str
) -> tuple[tuple[int, ...], int]:
    """Shape of a map and width of an embedding, after both parts were found to give what the whole gives."""
    images = torch.linspace(-1, 1, 3 * side * side, device=device).view(1, 3, side, side)
    what = f"the encoder {name} is no chain of blocks, so it cannot be cut"
    fix = "choose a convolutional network or a vision transformer, for example resnet18 or imagenet-lite0"
    with torch.inference_mode():
        expected = whole(images)
        try:
            maps = trunk(images)
            embedded = head(maps)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"{what}: {error}", fix=fix) from error
        if embedded.shape != expected.shape or not torch.allclose(embedded, expected, rtol=1e-4, atol=1e-5):
            raise ConfigError(what, fix=fix)
    return tuple(maps.shape[1:]), int(embedded.shape[1])


class _Embed(nn.Module):
    """The part of a vision transformer before its blocks."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        network = self.network
        tokens = network._pos_embed(network.patch_embed(images))  # type: ignore[operator]
        tokens = network.norm_pre(network.patch_drop(tokens))  # type: ignore[operator]
        assert isinstance(tokens, Tensor)
        return tokens


class _Pool(nn.Module):
    """The part of a vision transformer after its blocks, with timm's pooling or that of `ClassAndMean`."""

    def __init__(self, network: nn.Module, *, class_and_mean: bool) -> None:
        super().__init__()
        self.norm, self.fc_norm = network.norm, network.fc_norm
        self.attn_pool: nn.Module | None = network.attn_pool  # type: ignore[assignment]
        self.prefix, self.kind = int(network.num_prefix_tokens), str(network.global_pool)  # type: ignore[arg-type]
        self.class_and_mean = class_and_mean

    def forward(self, tokens: Tensor) -> Tensor:
        from timm.models.vision_transformer import global_pool_nlc

        tokens = self.norm(tokens)  # type: ignore[operator]
        if self.class_and_mean:
            return torch.cat([tokens[:, 0], tokens[:, self.prefix :].mean(dim=1)], dim=1)
        if self.attn_pool is not None:
            pooled = self.attn_pool(tokens)
        else:
            pooled = global_pool_nlc(tokens, pool_type=self.kind, num_prefix_tokens=self.prefix)
        pooled = self.fc_norm(pooled)  # type: ignore[operator]
        assert isinstance(pooled, Tensor)
        return pooled
