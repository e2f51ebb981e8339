"""The training loop of multiple-instance learning on bags of frozen features: one bag, or a pair of bags, per step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import ConfigError, DataError
from benchmark.learning.mil.bags import Bag, usable
from benchmark.learning.mil.mil_losses import ScoreKind, bag_loss, ranking_loss
from benchmark.learning.mil.pooling import Pooled, Pooling
from benchmark.learning.training import seed_torch
from benchmark.metrics.classification import auc, youden

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.stages import Checkpoint

Floats = NDArray[np.float32]
State = dict[str, Any]
Schedule = Literal["constant", "halving", "cosine"]
Selection = Literal["last", "loss", "auc", "f1"]


@dataclass(frozen=True)
class MilSettings:
    """One training as `train_mil` runs it.

    The loss of a bag is `bag_weight` · BCE(z) + `max_weight` · BCE(max c) + `own_weight` · the pooling's own. `paired`:
    each step takes a positive and a negative bag, the mean of their losses, and `rank_weight` times their ranking loss;
    the surplus of the larger class waits for another epoch. `balance`: positives weigh n₋/n₊.

    `select`: the kept epoch has the best figure on validation bags, the earlier one of equals; "last" needs none.
    `patience`: epochs without a better one after which training ends (None: never). `extract`: epochs, from 0, whose
    weights are kept besides. `room`: bytes of features that stay on the device.
    """

    name: str = "mil"
    epochs: int = 100
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    optimiser: Literal["adam", "lookahead-radam"] = "adam"
    schedule: Schedule = "constant"
    period: int = 75
    bag_weight: float = 1.0
    max_weight: float = 0.0
    own_weight: float = 0.0
    rank_weight: float = 0.0
    rank_k: int = 10
    margin: float = 1.0
    rank_score: ScoreKind = "logit"
    paired: bool = False
    balance: bool = False
    select: Selection = "last"
    patience: int | None = None
    least_epochs: int = 1
    validate_every: int = 1
    extract: tuple[int, ...] = ()
    save_every: int = 10
    room: float = 2 * 2**30
    log: bool = True


@dataclass
class MilFit:
    """What came of a training.

    `state`: weights of the kept epoch on the CPU, `epoch`: its number from 0. `kept`: weights of the epochs in
    `settings.extract` that were reached. `history`: per epoch `lr` and `loss`, and on validated ones `validation_loss`,
    `validation_auc` and `validation_f1` (at Youden's threshold of those very bags) where they are defined.
    """

    state: State = field(default_factory=dict)
    epoch: int = -1
    kept: dict[int, State] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def best(self, figure: str) -> float | None:
        """The highest value of a figure over all epochs; None where no epoch has it."""
        return max((record[figure] for record in self.history if figure in record), default=None)


@dataclass(frozen=True)
class BagScores:
    """`probability` of the bag, `instances` (n): probabilities, `attention` (n): weights or None."""

    probability: float
    instances: Floats
    attention: Floats | None


OnEpoch = Callable[[int, Pooling, Mapping[str, float]], None]


def rate_at(epoch: int, settings: MilSettings) -> float:
    """Learning rate of an epoch, from 0.

    "halving" halves it with a period that is stepped twice per epoch, as ItS2CLR and HNM released it: with 75, every
    37.5 epochs. "cosine" falls to 0 over all epochs.
    """
    if settings.schedule == "halving":
        return float(settings.lr * 0.5 ** (2 * epoch // settings.period))
    if settings.schedule == "cosine":
        return float(settings.lr * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs)))
    return settings.lr


class Feed:
    """Features and cell numbers of bags as tensors on the device; up to `room` bytes of them stay there."""

    def __init__(self, device: str, room: float) -> None:
        self._device, self._room = device, room
        self._held: dict[int, tuple[Bag, Tensor, Tensor]] = {}

    def __call__(self, bag: Bag) -> tuple[Tensor, Tensor]:
        """N × dim float32, and n."""
        held = self._held.get(id(bag))
        if held is not None:
            return held[1], held[2]
        features = torch.from_numpy(np.array(bag.features, np.float32)).to(self._device)
        numbers = torch.from_numpy(np.array(bag.numbers)).to(self._device)
        if features.nbytes <= self._room:
            self._room -= features.nbytes
            self._held[id(bag)] = (bag, features, numbers)
        return features, numbers


def train_mil(
    pooling: Pooling,
    train_bags: Sequence[Bag],
    validation_bags: Sequence[Bag],
    settings: MilSettings,
    context: Context,
    *,
    checkpoint: Checkpoint | None = None,
    on_epoch: OnEpoch | None = None,
) -> MilFit:
    """Train a pooling in place on the context's device, and leave the weights of the kept epoch in it.

    Bags without instances are left out, which is said. Order and PyTorch are seeded anew for each epoch; with a
    `checkpoint` a killed training goes on and ends with the bits of an undisturbed one. Test bags have no part in it.
    Raises `DataError` for training bags of one class only or of another width, `ConfigError` when the loss is no longer
    a finite number. Where validation bags cannot tell epochs apart (none, or one class) it keeps the last and says so.
    """
    train = usable(train_bags, context, "training")
    validation = usable(validation_bags, context, "validation")
    _require_classes(train)
    _require_width([*train, *validation], pooling)
    settings = _selectable(validation, settings, context)
    pooling.to(context.device)
    optimiser = _optimiser(pooling, settings)
    feed = Feed(context.device, settings.room)
    fit, start, best = MilFit(), 0, -math.inf
    saved = None if checkpoint is None else checkpoint.load()
    if saved is not None:
        pooling.load_state_dict(saved["pooling"])
        optimiser.load_state_dict(saved["optimiser"])
        start, best = int(saved["epoch"]), float(saved["best"])
        fit = MilFit(saved["state"], int(saved["kept_epoch"]), saved["kept"], saved["history"])
    for epoch in context.track(range(start, settings.epochs), f"training: {settings.name}", settings.epochs - start):
        record = _epoch(pooling, optimiser, train, feed, epoch, settings, context)
        last = epoch + 1 == settings.epochs
        if validation and (last or (epoch + 1) % settings.validate_every == 0):
            record.update(validation_figures(pooling, validation, feed))
            figure = _figure(record, settings)
            if figure is not None and figure > best:
                best, fit.epoch, fit.state = figure, epoch, weights_of(pooling)
        fit.history.append(record)
        if epoch in settings.extract:
            fit.kept[epoch] = weights_of(pooling)
        if settings.log:
            for name, value in record.items():
                context.log(f"{settings.name}/{name}", value, epoch)
        if on_epoch is not None:
            on_epoch(epoch, pooling, record)
        if _tired(fit, epoch, settings):
            break
        if checkpoint is not None and not last and (epoch + 1) % settings.save_every == 0:
            checkpoint.save(_saved(pooling, optimiser, fit, epoch, best))
    if fit.epoch < 0:
        fit.epoch, fit.state = len(fit.history) - 1, weights_of(pooling)
    pooling.load_state_dict(fit.state)
    pooling.eval()
    if settings.log:
        context.log(f"{settings.name}/kept_epoch", fit.epoch)
    return fit


def weights_of(pooling: Pooling) -> State:
    """A copy of its weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in pooling.state_dict().items()}


@torch.inference_mode()
def score_bag(pooling: Pooling, bag: Bag, device: str, feed: Feed | None = None) -> BagScores:
    """Score one bag in evaluation mode. Raises `DataError` for an empty bag or one of another width."""
    pooling.eval()
    features, numbers = (feed or Feed(device, 0))(bag)
    pooled = pooling(features, numbers)
    attention = None if pooled.attention is None else _numpy(pooled.attention)
    return BagScores(float(torch.sigmoid(pooled.logit)), _numpy(torch.sigmoid(pooled.instance_logits)), attention)


@torch.inference_mode()
def validation_figures(pooling: Pooling, bags: Sequence[Bag], feed: Feed) -> dict[str, float]:
    """`validation_loss` (BCE of the bags); with both classes `validation_auc`, and `validation_f1` at the threshold of
    Youden's index of these bags.
    """  # noqa: D205
    pooling.eval()
    logits = torch.stack([pooling(*feed(bag)).logit for bag in bags])
    labels = np.array([bag.label for bag in bags])
    losses = [bag_loss(logit, label) for logit, label in zip(logits, labels.tolist(), strict=True)]
    figures = {"validation_loss": float(torch.stack(losses).mean())}
    scores = _numpy(torch.sigmoid(logits))
    if not np.isfinite(scores).all():
        return figures
    area, point = auc(labels, scores), youden(labels, scores)
    if area is not None and point is not None:
        false = point.negatives - point.true_negatives
        missed = point.positives - point.true_positives
        figures["validation_auc"] = area
        figures["validation_f1"] = 2 * point.true_positives / max(1, 2 * point.true_positives + false + missed)
    return figures


def _epoch(
    pooling: Pooling,
    optimiser: torch.optim.Optimizer,
    bags: Sequence[Bag],
    feed: Feed,
    epoch: int,
    settings: MilSettings,
    context: Context,
) -> dict[str, float]:
    """One pass over the bags; the learning rate and the mean loss."""
    seed_torch(context, settings.name, epoch)
    rng = context.generator(settings.name, "order", epoch)
    rate = rate_at(epoch, settings)
    for group in optimiser.param_groups:
        group["lr"] = rate
    weight = _positive_weight(bags) if settings.balance else 1.0
    pooling.train()
    losses: list[float] = []
    for step in steps_of([bag.label for bag in bags], rng, paired=settings.paired):
        chosen = [bags[place] for place in step]
        loss = step_loss(pooling, [pooling(*feed(bag)) for bag in chosen], [b.label for b in chosen], settings, weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise ConfigError(
                f"{settings.name}: the loss became {losses[-1]} in epoch {epoch}, at bag {chosen[0].name}",
                fix=f"lower the learning rate: --set lr={settings.lr / 10:g}",
            )
    return {"lr": rate, "loss": float(np.mean(losses))}


def steps_of(labels: Sequence[int], rng: np.random.Generator, *, paired: bool) -> list[tuple[int, ...]]:
    """The bags of each step of an epoch: every bag once, or the i-th positive with the i-th negative of a shuffle."""
    if not paired:
        return [(place,) for place in rng.permutation(len(labels)).tolist()]
    positive, negative = (rng.permutation([n for n, y in enumerate(labels) if y == label]) for label in (1, 0))
    return list(zip(positive.tolist(), negative.tolist(), strict=False))


def step_loss(
    pooling: Pooling, pooled: Sequence[Pooled], labels: Sequence[int], settings: MilSettings, weight: float = 1.0
) -> Tensor:
    """The loss of one step, see `MilSettings`. A pair: a positive bag, then a negative one. `weight`: of positives."""
    parts = []
    for answer, label in zip(pooled, labels, strict=True):
        loss = settings.bag_weight * bag_loss(answer.logit, label, weight)
        if settings.max_weight:
            loss = loss + settings.max_weight * bag_loss(answer.instance_logits.max(), label, weight)
        own = pooling.own_loss(answer, label) if settings.own_weight else None
        parts.append(loss if own is None else loss + settings.own_weight * own)
    total = torch.stack(parts).mean()
    if settings.paired and settings.rank_weight:
        positive, negative = (answer.instance_logits for answer in pooled)
        ranked = ranking_loss(positive, negative, settings.rank_k, settings.margin, settings.rank_score)
        total = total + settings.rank_weight * ranked
    return total


def _optimiser(pooling: Pooling, settings: MilSettings) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": settings.lr, "betas": settings.betas, "weight_decay": settings.weight_decay}
    if settings.optimiser == "adam":
        return torch.optim.Adam(pooling.parameters(), **options)
    from timm.optim.lookahead import Lookahead

    lookahead: torch.optim.Optimizer = Lookahead(torch.optim.RAdam(pooling.parameters(), **options))
    return lookahead


def _positive_weight(bags: Sequence[Bag]) -> float:
    positive = sum(bag.label for bag in bags)
    return (len(bags) - positive) / positive


def _figure(record: Mapping[str, float], settings: MilSettings) -> float | None:
    if settings.select == "last":
        return None
    if settings.select == "loss":
        return -record["validation_loss"] if math.isfinite(record["validation_loss"]) else None
    return record.get(f"validation_{settings.select}")


def _tired(fit: MilFit, epoch: int, settings: MilSettings) -> bool:
    waited = epoch - fit.epoch if fit.epoch >= 0 else epoch + 1
    return settings.patience is not None and epoch + 1 >= settings.least_epochs and waited >= settings.patience


def _saved(pooling: Pooling, optimiser: torch.optim.Optimizer, fit: MilFit, epoch: int, best: float) -> State:
    return {
        "pooling": pooling.state_dict(),
        "optimiser": optimiser.state_dict(),
        "epoch": epoch + 1,
        "best": best,
        "state": fit.state,
        "kept_epoch": fit.epoch,
        "kept": fit.kept,
        "history": fit.history,
    }


def _require_classes(bags: Sequence[Bag]) -> None:
    for label, kind in ((1, "positive"), (0, "negative")):
        if not any(bag.label == label for bag in bags):
            raise DataError(
                f"none of the {len(bags)} training bags with tissue is {kind}; bags of both kinds are needed",
                fix="choose another split or dataset: bench data info DATASET",
            )


def _require_width(bags: Sequence[Bag], pooling: Pooling) -> None:
    for bag in bags:
        if bag.dim != pooling.dim:
            raise DataError(
                f"bag {bag.name}: its features have {bag.dim} numbers per instance, the pooling takes {pooling.dim}",
                fix="take the features of one encoder throughout",
            )


def _selectable(bags: Sequence[Bag], settings: MilSettings, context: Context) -> MilSettings:
    """The settings, without patience for the last epoch, which is also kept where validation bags tell none apart."""
    if settings.select == "last":
        return replace(settings, patience=None)
    labels = {bag.label for bag in bags}
    if len(labels) == 2 or (bags and settings.select == "loss"):
        return settings
    held = f"all {len(bags)} validation bags are {'positive' if 1 in labels else 'negative'}"
    why = held if bags else "there are no validation bags"
    context.reporter.say(f"{settings.name} keeps its last epoch: {why}")
    return replace(settings, select="last", patience=None)


def _numpy(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().float().cpu().numpy())
