"""Fine-tuning an encoder by supervised contrast of instance pools: ItS2CLR's loop, which HNM shares.

Every step contrasts twice and steps twice: A, uncertain instances masked or absent, pulls negative pairs together; B,
after the warm-up, positive ones, with the surest pseudo-positives. An epoch is one pass over the negative pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ConfigError, DataError
from benchmark.learning.training import autocast, place

from .contrastive import supervised_contrastive
from .pools import Pools, batches_of, places
from .views import two_views

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.selfsupervised import Start

    from .finetuning_params import FinetuningParams
    from .instances import Instances

Numbers = NDArray[np.int64]
NAME = "finetuning"


class ContrastiveNet(nn.Module):
    """Encoder and projection head: views n × 3 × side × side in [0, 1] → unit vectors n × `projection`.

    The head is Linear, ReLU, Linear, and used in this loss alone. The network stays in evaluation mode: that of the
    papers (InstanceNorm, no dropout) behaves alike in both, and another one's features then are those it is scored by.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, start: Start, projection: int) -> None:
        super().__init__()
        self.encoder = start.module
        self.head = nn.Sequential(nn.Linear(start.dim, start.dim), nn.ReLU(), nn.Linear(start.dim, projection))
        self.register_buffer("mean", torch.tensor(start.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(start.std).view(1, 3, 1, 1), persistent=False)
        self.eval()

    def forward(self, views: Tensor) -> Tensor:
        """Project some views."""
        projected = self.head(self.encoder((views - self.mean) / self.std))
        return functional.normalize(projected.float(), dim=1)

    def learnt(self) -> dict[str, dict[str, Tensor]]:
        """Weights of encoder and head, on the CPU."""
        return {part: _on_cpu(module) for part, module in (("encoder", self.encoder), ("head", self.head))}

    def take(self, learnt: Mapping[str, Mapping[str, Any]]) -> None:
        """Continue with these weights."""
        self.encoder.load_state_dict(dict(learnt["encoder"]))
        self.head.load_state_dict(dict(learnt["head"]))


@dataclass(frozen=True)
class Mix:
    """Instances of a pool of positives and one of negatives in a batch."""

    positive: int
    negative: int

    @classmethod
    def of(cls, batch: int, positive_share: float) -> Mix:
        """Both numbers are rounded down, so a batch may be one smaller."""
        return cls(places(batch, positive_share), places(batch, 1 - positive_share))


@dataclass(frozen=True, eq=False)
class Epoch:
    """The batches of an epoch, steps × size each: `a` of step A, `b` of step B; None before the warm-up ends.

    A row holds positives first: `a_mix.positive` of them, then the negatives. `sizes`: of the pools, by name.
    """

    a: Numbers
    a_mix: Mix
    b: Numbers | None
    b_mix: Mix
    sizes: Mapping[str, int]

    @classmethod
    def of(cls, pools: Pools, a: Mix, b: Mix, rng: np.random.Generator, *, both: bool) -> Epoch:
        """One pass over the negative pool, a rest too small for a batch left out; the others start anew when used up.

        Raises `DataError` where the negative pool is smaller than its share of a batch, or a pool is empty.
        """
        steps = pools.negative.size // a.negative
        if not steps:
            problem = f"the {pools.negative.size} negative instances do not fill the {a.negative} of one batch"
            raise DataError(problem, fix="--set batch=… (smaller), or --set neg_ratio=… (larger)")
        if not pools.positive.size:
            raise DataError(
                "no instance of a positive slide scores above the threshold of pseudo labels",
                fix="--set threshold=… (lower)",
            )
        own = [batches_of(pools.positive, a.positive, steps, rng), batches_of(pools.negative, a.negative, steps, rng)]
        second = None
        if both:
            parts = (pools.surest, b.positive), (pools.augmented, b.negative)
            second = np.concatenate([batches_of(pool, size, steps, rng) for pool, size in parts], axis=1)
        return cls(np.concatenate(own, axis=1), a, second, b, pools.sizes)

    def __len__(self) -> int:
        return len(self.a)

    def order(self, first: int) -> Iterator[Numbers]:
        """The batches from step `first` on, as they are used: A and B of one step after the other."""
        for step in range(first, len(self)):
            yield self.a[step]
            if self.b is not None:
                yield self.b[step]


@dataclass
class Progress:
    """Where a segment of epochs is: the next step of which epoch, and the sums of this epoch's losses so far."""

    epoch: int
    step: int = 0
    sums: dict[str, float] = field(default_factory=lambda: {"negative": 0.0, "positive": 0.0})


def rate_at(epoch: int, *, lr: float, epochs: int, decay_from: int) -> float:
    """Learning rate of an epoch: constant up to `decay_from`, then a cosine of period 2E that is never completed."""
    return lr * (1 + math.cos(math.pi * max(0, epoch - decay_from) / epochs)) / 2


def finetune(
    net: ContrastiveNet,
    epochs: range,
    plan: Callable[[int], Epoch],
    instances: Instances,
    params: FinetuningParams,
    context: Context,
) -> dict[str, Any]:
    """Train `net` through some epochs and return what it learnt; call it inside a stage.

    `plan(epoch)`: its batches. Every step draws its views from the seed, epoch and step alone, and checkpoints are
    kept, so that a killed training ends with the bits of an undisturbed one. Raises `ConfigError` when a loss is no
    longer a finite number.
    """
    place(net, context.device)
    learning = [weight for weight in net.parameters() if weight.requires_grad]
    sgd = torch.optim.SGD(learning, params.lr, weight_decay=params.weight_decay)
    at = Progress(epochs.start)
    saved = context.checkpoint.load()
    if saved is not None:
        net.take(saved["net"])
        at = Progress(int(saved["epoch"]), int(saved["step"]), dict(saved["sums"]))
    for epoch in range(at.epoch, epochs.stop):
        if at.epoch != epoch:
            at = Progress(epoch)
        batches = plan(epoch)
        rate = rate_at(epoch, lr=params.lr, epochs=params.epochs, decay_from=params.decay_from)
        for group in sgd.param_groups:
            group["lr"] = rate
        _one_epoch(net, sgd, at, batches, instances, params, context)
        for kind, total in at.sums.items():
            if kind == "negative" or batches.b is not None:
                context.log(f"{NAME}/{kind}_loss", total / len(batches), epoch)
        for pool, size in batches.sizes.items():
            context.log(f"pools/{pool}", size, epoch)
        context.log(f"{NAME}/lr", rate, epoch)
        context.log(f"{NAME}/steps", len(batches), epoch)
        if epoch + 1 < epochs.stop:
            _save(net, Progress(epoch + 1), context)
    return net.learnt()


def _one_epoch(
    net: ContrastiveNet,
    sgd: torch.optim.Optimizer,
    at: Progress,
    batches: Epoch,
    instances: Instances,
    params: FinetuningParams,
    context: Context,
) -> None:
    pixels = instances.batches(batches.order(at.step))
    steps = range(at.step, len(batches))
    for step in context.track(steps, f"encoder: epoch {at.epoch + 1} of {params.epochs}", len(steps)):
        parts = [("negative", batches.a[step], params.mask_uncertain)]
        if batches.b is not None:
            parts.append(("positive", batches.b[step], False))
        mixes = {"negative": batches.a_mix, "positive": batches.b_mix}
        for kind, numbers, masked in parts:
            rng = context.generator(NAME, kind, at.epoch, step)
            views = two_views(next(pixels), instances.side, rng, context.device)
            labels = torch.arange(len(numbers), device=context.device) < mixes[kind].positive
            bags = torch.from_numpy(instances.positive[numbers]).to(context.device)
            with autocast(context.device):
                projected = net(views)
            loss = supervised_contrastive(
                projected,
                labels.long(),
                bags.long(),
                pairs="negative" if kind == "negative" else "positive",
                temperature=params.temperature,
                base_temperature=params.base_temperature,
                masked=masked,
            )
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
            at.sums[kind] += _finite(float(loss.detach()), at.epoch)
        at.step = step + 1
        if at.step % params.save_every == 0 and at.step < len(batches):
            _save(net, at, context)


def _save(net: ContrastiveNet, at: Progress, context: Context) -> None:
    context.checkpoint.save({"net": net.learnt(), "epoch": at.epoch, "step": at.step, "sums": dict(at.sums)})


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise ConfigError(f"{NAME}: the loss became {loss} in epoch {epoch}", fix="--set lr=… (lower)")
    return loss


def _on_cpu(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
