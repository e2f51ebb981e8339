"""θ2, the slide model of stage 2: the mean probability of a unit's top K patches (docs/methods/hybrid.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import DataError
from benchmark.learning.encoders.pace import hold, paced
from benchmark.learning.mil.cohort import Cohort, Scored
from benchmark.learning.mil.top import top
from benchmark.learning.training import Training, autocast, place, seed_torch, train_steps

from .hybrid_nets import SETTLING, State, portions, scaled, settle, slide_head, slide_net
from .hybrid_params import PixelParams
from .patch_augment import turned

if TYPE_CHECKING:
    from benchmark.context import Context

Floats = NDArray[np.float32]
EDGE = 1e-7
"""P of a slide stays this far from 0 and 1 in the loss."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches of some units: `owners` says whose each is, n; `labels` of the units, S."""

    pixels: NDArray[np.uint8]
    owners: NDArray[np.int64]
    labels: Floats


def top_patches(cohort: Cohort, scored: Scored, size: int) -> list[list[int]]:
    """Per unit, the numbers of its `size` patches of highest m(x); fewer where it has fewer, none without tissue."""
    chosen = []
    for unit in cohort.units:
        part = scored[cohort.slide(unit.slide).id]
        at = np.searchsorted(part["numbers"], unit.numbers)
        chosen.append(top(part["highest"][at], unit.numbers, size))
    return chosen


class Epochs:
    """Units in batches, as many positive as negative ones; an epoch sees every unit of the smaller class once.

    The larger class goes on where the last epoch stopped, reshuffled when all of it was seen.
    """

    def __init__(
        self, cohort: Cohort, chosen: Sequence[list[int]], params: PixelParams, context: Context, name: str
    ) -> None:
        self._cohort, self._chosen, self._params, self._context, self._name = cohort, chosen, params, context, name
        usable = [[n for n in cohort.of_class(positive) if chosen[n]] for positive in (True, False)]
        for part, kind in zip(usable, ("positive", "negative"), strict=True):
            if not part:
                raise DataError(
                    f"no {kind} training unit holds a tissue patch", fix="--set min_tissue=0 --set tissue=dataset"
                )
        self._classes = usable
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._half = params.theta2_batch // 2
        self.epoch_units = min(len(part) for part in usable)
        self.steps = -(-self.epoch_units // self._half)

    def units(self, step: int) -> list[int]:
        """The units of one step, positive ones first."""
        epoch, place = divmod(step, self.steps)
        start = epoch * self.epoch_units + place * self._half
        stop = min(start + self._half, (epoch + 1) * self.epoch_units)
        return [self._at(kind, position) for kind in (0, 1) for position in range(start, stop)]

    def _at(self, kind: int, position: int) -> int:
        units = self._classes[kind]
        cycle, place = divmod(position, len(units))
        if (kind, cycle) not in self._orders:
            order = self._context.generator(self._name, "order", kind, cycle).permutation(len(units))
            self._orders[kind, cycle] = order
        return units[int(self._orders[kind, cycle][place])]

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """The top patches of the units of one step, augmented."""
        return self.read(self.units(step), rng if self._params.theta2_augment else None)

    def read(self, units: Sequence[int], rng: np.random.Generator | None) -> Batch:
        """The top patches of some units."""
        pixels, owners = [], []
        for owner, number in enumerate(units):
            for patch in self._chosen[number]:
                image = self._cohort.patch(self._cohort.units[number].slide, patch)
                if rng is not None:
                    image, _ = turned(image, np.zeros((1, 1), np.float32), rng)
                pixels.append(image)
                owners.append(owner)
        labels = np.array([self._cohort.units[number].positive for number in units], np.float32)
        return Batch(np.stack(pixels), np.array(owners, np.int64), labels)


def slide_loss(logits: Tensor, owners: Tensor, labels: Tensor) -> Tensor:
    """Mean over units of the cross-entropy of P = (1/n) Σ σ(logit), the mean of probabilities (not of logits)."""
    return unit_loss(unit_means(torch.sigmoid(logits.float()), owners, len(labels)), labels)


def unit_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of unit probabilities, kept away from 0 and 1 by `EDGE`; in full precision."""
    # Under mixed precision PyTorch refuses this loss, whatever the precision of what it is given.
    with torch.autocast(probabilities.device.type, enabled=False):
        return nn.functional.binary_cross_entropy(probabilities.clamp(EDGE, 1 - EDGE), labels)


def unit_means(values: Tensor, owners: Tensor, units: int) -> Tensor:
    """Mean of the values of each owner, n → `units`."""
    total = torch.zeros(units, dtype=values.dtype, device=values.device).index_add(0, owners, values)
    return total / torch.bincount(owners, minlength=units).clamp(min=1)


def train_slide_model(
    cohort: Cohort, chosen: Sequence[list[int]], params: PixelParams, context: Context, *, name: str
) -> State:
    """Train θ2 from its initial weights and return its weights, on the CPU."""
    seed_torch(context, "theta2", "weights")
    net = slide_net(params, initialise=True)
    place(net, context.device)
    net.train()
    head = slide_head(net)
    hold(net, head, rate=params.encoder_rate)
    epochs = Epochs(cohort, chosen, params, context, "theta2")
    optimiser = torch.optim.Adam(paced(net, head, rate=params.encoder_rate), params.theta2_lr)

    def loss(batch: Batch) -> Tensor:
        images = scaled(batch.pixels, params, context.device, patch_model=False)
        owners = torch.from_numpy(batch.owners).to(context.device)
        return slide_loss(net(images)[:, 0], owners, torch.from_numpy(batch.labels).to(context.device))

    steps = params.theta2_epochs * epochs.steps
    half = params.amp != "none"
    training = Training(name, steps, epochs.batch, loss, lambda step: params.theta2_lr, save_every=100, half=half)
    train_steps(net, optimiser, training, context)
    if params.norm_statistics == "anew":
        drawn = (epochs.batch(step, context.generator("theta2", "statistics", step)) for step in range(SETTLING))
        settle(net, (scaled(batch.pixels, params, context.device, patch_model=False) for batch in drawn))
    return {key: value.detach().cpu() for key, value in net.state_dict().items()}


class SlideModel:
    """θ2 in evaluation mode."""

    def __init__(self, params: PixelParams, state: Mapping[str, Any], device: str) -> None:
        self._params, self._device = params, device
        self._net = slide_net(params, initialise=False)
        self._net.load_state_dict(dict(state))
        place(self._net.eval(), device)

    @torch.inference_mode()
    def probabilities(self, pixels: NDArray[np.uint8]) -> Floats:
        """Patches n × side × side × 3 → n."""
        parts = []
        for part in portions(pixels, self._device):
            images = scaled(part, self._params, self._device, patch_model=False)
            with autocast(self._device, self._params.amp == "all"):
                logits = self._net(images)[:, 0]
            parts.append(torch.sigmoid(logits.float()).cpu().numpy())
        return np.concatenate(parts)

    def units(self, cohort: Cohort, chosen: Sequence[list[int]], context: Context) -> Floats:
        """The score of every unit; a patch that several share is scored once. 0 without tissue."""
        scores = np.zeros(len(cohort.units), np.float32)
        for slide, members in context.track(_by_slide(cohort), "scoring units", len(cohort.lattices)):
            wanted = sorted({patch for number in members for patch in chosen[number]})
            if not wanted:
                continue
            scored = dict(zip(wanted, self._read(cohort, slide, wanted), strict=True))
            for number in members:
                if chosen[number]:
                    scores[number] = np.mean([scored[patch] for patch in chosen[number]], dtype=np.float64)
        return scores

    def _read(self, cohort: Cohort, slide: int, numbers: list[int]) -> Floats:
        size = self._params.score_batch
        parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        read = (np.stack([cohort.patch(slide, number) for number in part]) for part in parts)
        return np.concatenate([self.probabilities(pixels) for pixels in read])


def _by_slide(cohort: Cohort) -> Iterator[tuple[int, list[int]]]:
    members: dict[int, list[int]] = {}
    for number, unit in enumerate(cohort.units):
        members.setdefault(unit.slide, []).append(number)
    yield from members.items()


def training_loss(scores: Floats, cohort: Cohort) -> float:
    """L2 of a round: cross-entropy of the training units in evaluation mode, both classes with equal weight."""
    labels = np.array([unit.positive for unit in cohort.units])
    clipped = scores.astype(np.float64).clip(EDGE, 1 - EDGE)
    losses = -np.log(np.where(labels, clipped, 1 - clipped))
    return float(np.mean([losses[labels].mean(), losses[~labels].mean()]))
