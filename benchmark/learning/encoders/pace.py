"""How fast a pretrained encoder learns beside the new layers on top of it: slower, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


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
