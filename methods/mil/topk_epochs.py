"""The training loop of both stages of top-k MIL: checkpoints, and the epoch that does best on validation units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmark.errors import ConfigError
from benchmark.learning.training import seed_torch

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.mil.cohort import Cohort

Floats = NDArray[np.float32]
Labels = NDArray[np.bool_]
POSITIVE = 0.5
"""A unit is called positive from this probability on."""


@dataclass(frozen=True)
class Plan:
    """A training by epochs. `train(epoch)`: one epoch, returning its mean loss.

    `validate`: probabilities of the validation units, labelled `labels`; None keeps the last epoch. `every`: epochs
    between two validations. `rate`: the parameter to lower when the loss is no longer finite.
    """

    name: str
    epochs: int
    train: Callable[[int], float]
    rate: str
    validate: Callable[[], Floats] | None
    labels: Labels
    every: int


def error_rates(probabilities: Floats, labels: Labels) -> tuple[float, float]:
    """False-positive and false-negative rate of units that are called positive at ≥ 0.5; both classes must occur."""
    called = probabilities >= POSITIVE
    return float(called[~labels].mean()), float((~called)[labels].mean())


def score_of(probabilities: Floats, labels: Labels) -> float:
    """1 − (FPR + FNR) / 2."""
    return 1 - sum(error_rates(probabilities, labels)) / 2


def labels_of(cohort: Cohort | None) -> Labels:
    """Labels of the units, n; none without a cohort."""
    return np.array([unit.positive for unit in cohort.units] if cohort is not None else [], np.bool_)


def selectable(labels: Labels, context: Context) -> bool:
    """Whether validation units can tell a better epoch from a worse one; if not, the reporter says why."""
    if labels.any() and not labels.all():
        return True
    held = f"all {labels.size} validation units are {'positive' if labels.all() else 'negative'}"
    context.reporter.say(f"top-k MIL keeps its last epoch: {held if labels.size else 'there are no validation units'}")
    return False


def train_epochs(net: nn.Module, optimiser: torch.optim.Optimizer, plan: Plan, context: Context) -> dict[str, Any]:
    """Train and return `net`, the weights of the kept epoch on the CPU, and `epoch`, its number from 0.

    The kept epoch is the one with the highest 1 − (FPR + FNR)/2, the later one of equals; without validation the last.
    PyTorch is seeded anew for each epoch, and epochs are checkpoints, so that an interrupted training ends with the
    bits of an undisturbed one. Raises `ConfigError` when the loss is no longer a finite number.
    """
    start = 0
    best: dict[str, Any] = {"epoch": -1, "score": 0.0, "net": {}}
    saved = context.checkpoint.load()
    if saved is not None:
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        start, best = int(saved["epoch"]), saved["best"]
    for epoch in range(start, plan.epochs):
        seed_torch(context, plan.name, epoch)
        loss = plan.train(epoch)
        if not math.isfinite(loss):
            raise ConfigError(
                f"{plan.name}: the loss became {loss} in epoch {epoch}",
                fix=f"lower the learning rate: --set {plan.rate}=…",
            )
        context.log(f"{plan.name}/loss", loss, epoch)
        last = epoch + 1 == plan.epochs
        if plan.validate is not None and (last or (epoch + 1) % plan.every == 0):
            best = _better(best, plan, plan.validate(), epoch, net, context)
        if not last:
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "best": best, "epoch": epoch + 1}
            context.checkpoint.save(state)
    if plan.validate is None:
        best = {"epoch": plan.epochs - 1, "net": _weights(net)}
    context.log(f"{plan.name}/kept_epoch", best["epoch"])
    return {"net": best["net"], "epoch": best["epoch"]}


def _better(
    best: dict[str, Any], plan: Plan, probabilities: Floats, epoch: int, net: nn.Module, context: Context
) -> dict[str, Any]:
    score = score_of(probabilities, plan.labels)
    rates = error_rates(probabilities, plan.labels)
    for name, value in zip(("false_positive_rate", "false_negative_rate", "score"), (*rates, score), strict=True):
        context.log(f"{plan.name}/validation_{name}", value, epoch)
    return {"epoch": epoch, "score": score, "net": _weights(net)} if score >= best["score"] else best


def _weights(net: nn.Module) -> dict[str, Any]:
    return {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
