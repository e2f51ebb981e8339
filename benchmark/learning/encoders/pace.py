"""How fast a pretrained encoder learns beside the new layers on top of it: slower, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmark.errors import ConfigError


def paced(net: nn.Module, head: Sequence[nn.Module], *, rate: float) -> Iterable[Any]:
    """What an optimiser takes: the parameters of `head` at the full learning rate, all others at `rate` times it.

    With `rate` 0 the others get no gradient, and `hold` fixes their BatchNorm; `lr_scale` tells `train_steps`.
    """
    if rate == 1.0:
        return net.parameters()
    new = {id(parameter) for part in head for parameter in part.parameters()}
    fast = [parameter for parameter in net.parameters() if id(parameter) in new]
    slow = [parameter for parameter in net.parameters() if id(parameter) not in new]
    if rate == 0.0:
        for parameter in slow:
            parameter.requires_grad_(False)
        return fast
    return [{"params": fast}, {"params": slow, "lr_scale": rate}]


def hold(net: nn.Module, head: Sequence[nn.Module], *, rate: float) -> None:
    """With `rate` 0, put every BatchNorm outside `head` into evaluation mode; to be called after each `net.train()`."""
    if rate == 0.0:
        new = {id(module) for part in head for module in part.modules()}
        for module in net.modules():
            if isinstance(module, _BatchNorm) and id(module) not in new:
                module.eval()


def freeze_but_last(net: nn.Module, count: int | None, *, name: str) -> None:
    """Let the last `count` groups of an encoder's layers learn (None: all), as timm groups them: the stem, then stages.

    The others get no gradient, and a backward pass ends where they do. Raises `ConfigError` where the encoder `name`
    has no groups, or fewer.
    """
    from timm.models import group_parameters

    if count is None:
        return
    timm_model: Any = next((part for part in net.modules() if hasattr(part, "group_matcher")), None)
    groups: dict[int, list[str]] = {}
    if timm_model is not None:
        groups = group_parameters(timm_model, timm_model.group_matcher(coarse=True))
    if count > len(groups):
        problem = f"the encoder {name!r} has {len(groups)} groups of layers, and tuned_stages = {count} are to learn"
        raise ConfigError(problem, fix="--set tuned_stages=null (all of it)")
    weights = dict(timm_model.named_parameters())
    for group in sorted(groups)[: len(groups) - count]:
        for weight in groups[group]:
            weights[weight].requires_grad_(False)
