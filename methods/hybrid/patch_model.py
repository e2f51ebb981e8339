"""θ1, the patch model: round 0 on fine masks, the E-step's pass over all patches, the M-step (sheet §2.3 to 2.5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.learning.training import Training, place, seed_torch, train_steps

from .augment import augmented
from .cohort import Cohort, Scored
from .fine import FinePatch, overridden
from .lattice import Lattice, Numbers
from .nets import SETTLING, PatchModel, State, enlarged, patch_net, probabilities, scaled, settle
from .pools import FINE, PSEUDO, by_slide, composition, drawn_pools
from .pseudo import kept, pseudo_label

if TYPE_CHECKING:
    from benchmark.context import Context

Floats = NDArray[np.float32]
SAVE_SECONDS = 20.0
"""A pass over slides keeps what it has about this often."""


class Batches:
    """The batches of one round. Without a teacher (round 0) all patches are fine ones."""

    def __init__(
        self,
        fine: Sequence[FinePatch],
        cohort: Cohort,
        params: Any,
        *,
        teacher: PatchModel | None = None,
        scored: Scored | None = None,
    ) -> None:
        self._fine, self._cohort, self._params, self._teacher = list(fine), cohort, params, teacher
        self._pools = [np.array([(patch.slide, patch.number) for patch in fine], np.int64)]
        if scored is not None:
            self._pools += found_pools(cohort, scored, params.removal_threshold)
        self.sizes = [len(pool) for pool in self._pools]

    @property
    def steps_per_epoch(self) -> int:
        """So many that an epoch draws as many fine patches as there are."""
        share = self._counts(None)[FINE]
        return -(-len(self._fine) // max(1, share))

    def batch(self, step: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
        """Augmented patches n × side × side × 3 and their soft labels n × side × side."""
        chosen = [(pool, self._draw(pool, rng)) for pool, count in enumerate(self._counts(rng)) for _ in range(count)]
        images = [self._cohort.patch(*self._pools[pool][entry].tolist()) for pool, entry in chosen]
        labels = self._labels(chosen, images)
        pairs = [
            augmented(image, label, rng, crop_min=self._params.crop_min, colour=self._params.colour)
            for image, label in zip(images, labels, strict=True)
        ]
        return np.stack([image for image, _ in pairs]), np.stack([label for _, label in pairs])

    def _counts(self, rng: np.random.Generator | None) -> list[int]:
        params = self._params
        if len(self._pools) == 1:
            return [params.theta1_batch]
        if params.composition == "iid" and rng is not None:
            return drawn_pools(params.theta1_batch, self.sizes, rng)
        ratio = (params.ratio_fine, params.ratio_pseudo, params.ratio_negative)
        return composition(params.theta1_batch, ratio, self.sizes)

    def _draw(self, pool: int, rng: np.random.Generator) -> int:
        """An entry of a pool, with replacement."""
        if pool != FINE and self._params.composition == "iid":
            return by_slide(self._pools[pool][:, 0], rng)
        return int(rng.integers(self.sizes[pool]))

    def _labels(self, chosen: list[tuple[int, int]], images: list[NDArray[np.uint8]]) -> list[Floats]:
        """Fine masks, zeros, and what the teacher says of the pseudo-labelled patches drawn (none is stored)."""
        side = self._cohort.side
        labels = [
            self._fine[entry].labels if pool == FINE else np.zeros((side, side), np.float32) for pool, entry in chosen
        ]
        places = [place for place, (pool, _) in enumerate(chosen) if pool == PSEUDO]
        if places and self._teacher is not None:
            found = probabilities(self._teacher.logits(np.stack([images[place] for place in places])))
            params = self._params
            made = pseudo_label(
                found, constant=params.reweight_constant, lower=params.lower_clip, quantise=params.quantise
            )
            for place, label in zip(places, enlarged(made, side), strict=True):
                slide, number = self._pools[PSEUDO][chosen[place][1]].tolist()
                overridden(label, slide, number, self._fine, self._cohort)
                labels[place] = label
        return labels


def found_pools(cohort: Cohort, scored: Scored, threshold: float) -> list[Numbers]:
    """The pseudo-labelled patches and the hard negatives, (slide, number) each: those with m(x) ≥ T."""
    pools: list[list[Numbers]] = [[], []]
    for number, lattice in enumerate(cohort.lattices):
        part = scored[lattice.slide.id]
        numbers = part["numbers"][kept(probabilities(part["highest"]), threshold)]
        negative = cohort.negative_patches[number][numbers]
        for pool, chosen in zip(pools, (numbers[~negative], numbers[negative]), strict=True):
            pool.append(np.stack([np.full(chosen.size, number), chosen], axis=1).astype(np.int64))
    return [np.concatenate(pool) for pool in pools]


def train_patch_model(
    batches: Batches, params: Any, context: Context, *, name: str, start: Mapping[str, Any] | None, member: int = 0
) -> State:
    """Train one net and return its weights, on the CPU. `start`: weights of the round before (warm start).

    Loss: binary cross-entropy with soft labels, mean over all pixels of the batch. The optimiser starts anew.
    """
    seed_torch(context, name, "weights")
    net = patch_net(params, member, initialise=start is None)
    if start is not None:
        net.load_state_dict(dict(start))
    place(net, context.device)
    net.train()
    optimiser = torch.optim.Adam(net.parameters(), params.theta1_lr)

    def loss(batch: tuple[NDArray[np.uint8], Floats]) -> Tensor:
        labels = torch.from_numpy(batch[1]).to(context.device)
        logits = net(scaled(batch[0], params, context.device)).float()
        maps = logits.reshape(len(labels), 1, *logits.shape[-2:])
        return functional.binary_cross_entropy_with_logits(
            functional.interpolate(maps, size=labels.shape[-2:], mode="nearest")[:, 0], labels
        )

    steps = params.theta1_epochs * batches.steps_per_epoch
    context.log(f"{name}/steps_per_epoch", batches.steps_per_epoch)
    training = Training(name, steps, batches.batch, loss, lambda step: params.theta1_lr, save_every=100)
    train_steps(net, optimiser, training, context)
    if params.norm_statistics == "anew":
        drawn = (batches.batch(step, context.generator(name, "statistics", step)) for step in range(SETTLING))
        settle(net, (scaled(images, params, context.device) for images, _ in drawn))
    return {key: value.detach().cpu() for key, value in net.state_dict().items()}


def look(model: PatchModel, lattice: Lattice, batch: int) -> Iterator[tuple[Numbers, Floats]]:
    """θ1 over the tissue patches of a slide: numbers n and logits n × h × w, batch by batch.

    A batch is read while the one before it is predicted.
    """
    before: tuple[Numbers, Callable[[], Floats]] | None = None
    for numbers, pixels in lattice.stream(batch):
        begun = numbers, model.begin(pixels)
        if before is not None:
            yield before[0], before[1]()
        before = begun
    if before is not None:
        yield before[0], before[1]()


def scan(model: PatchModel, cohort: Cohort, params: Any, context: Context) -> dict[str, dict[str, NDArray[Any]]]:
    """m(x) of every tissue patch of every training slide: serves stage 2 and the next E-step alike.

    Nothing but the largest logit of a patch is kept. What is done survives a kill, slide by slide.
    """
    done: dict[str, dict[str, NDArray[Any]]] = context.checkpoint.load() or {}
    saved = time.monotonic()
    for lattice in context.track(cohort.lattices, "scanning training slides", len(cohort.lattices)):
        if lattice.slide.id in done:
            continue
        parts = [(numbers, logits.max(axis=(1, 2))) for numbers, logits in look(model, lattice, params.score_batch)]
        done[lattice.slide.id] = {
            "numbers": np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in parts)]),
            "highest": np.concatenate([np.empty(0, np.float32), *(highest for _, highest in parts)]),
        }
        if time.monotonic() - saved > SAVE_SECONDS:
            context.checkpoint.save(done)
            saved = time.monotonic()
    return done
