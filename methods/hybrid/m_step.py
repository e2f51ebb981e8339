"""M-step of Li et al., MICCAI 2021: θ1 learns from fine masks, pseudo-labels and hard negatives in the ratio R.

Round 0 has fine masks alone; each later round starts from the weights of the one before. Open points and the released
code: docs/methods/hybrid.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.learning.encoders.pace import hold, paced
from benchmark.learning.mil.cohort import Cohort, Scored
from benchmark.learning.training import Training, place, seed_torch, train_steps

from .e_step import pools_above, pseudo_label
from .fine_masks import FinePatch, overridden
from .hybrid_nets import SETTLING, PatchModel, State, enlarged, patch_head, patch_net, probabilities, scaled, settle
from .hybrid_params import HybridParams, PixelParams
from .index_files import by_group, drawn_pools, released_shares
from .patch_augment import augmented

if TYPE_CHECKING:
    from benchmark.context import Context

Floats = NDArray[np.float32]
FINE, PSEUDO, NEGATIVE = range(3)
"""The pools, in the order of the paper's ratio R."""


def composition(batch: int, ratio: Sequence[float], sizes: Sequence[int]) -> list[int]:
    """How many patches of each pool a batch holds: exact shares of `ratio` by largest remainder.

    Of equal remainders the larger ratio comes first. Empty pools (`sizes` 0) get nothing, the others share anew.
    """
    parts = [part if size else 0.0 for part, size in zip(ratio, sizes, strict=True)]
    if not sum(parts):
        parts = [float(size > 0) for size in sizes]
    exact = [batch * part / sum(parts) for part in parts]
    counts = [int(share + 1e-9) for share in exact]
    order = sorted(range(len(parts)), key=lambda pool: (-round(exact[pool] - counts[pool], 9), -parts[pool]))
    for pool in order[: batch - sum(counts)]:
        counts[pool] += 1
    return counts


class Batches:
    """The batches of round 0: fine patches alone. Later rounds have `MixedBatches`.

    `groups`: the index file of each slide, where patches are drawn as the release does; None: all equally likely.
    """

    def __init__(
        self,
        fine: Sequence[FinePatch],
        cohort: Cohort,
        params: PixelParams,
        *,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        self._fine, self._cohort, self._params = list(fine), cohort, params
        self._pools = [np.array([(patch.slide, patch.number) for patch in fine], np.int64)]
        self._groups: list[NDArray[np.int64]] = []
        if groups is not None:
            lesion = np.array([patch.labels.any() for patch in fine], np.int64)
            self._groups = [2 * groups[self._pools[FINE][:, 0]] + lesion]

    @property
    def sizes(self) -> list[int]:
        """Patches of each pool."""
        return [len(pool) for pool in self._pools]

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
        """Patches of each pool in a batch; without `rng` as expected."""
        return [self._params.theta1_batch]

    def _draw(self, pool: int, rng: np.random.Generator) -> int:
        """An entry of a pool, with replacement."""
        if self._groups:
            return by_group(self._groups[pool], rng)
        return int(rng.integers(len(self._pools[pool])))

    def _labels(self, chosen: list[tuple[int, int]], images: list[NDArray[np.uint8]]) -> list[Floats]:
        """Soft labels of the patches drawn, (pool, entry) each: fine masks, and zeros for the other pools."""
        side = self._cohort.side
        return [
            self._fine[entry].labels if pool == FINE else np.zeros((side, side), np.float32) for pool, entry in chosen
        ]


class MixedBatches(Batches):
    """The batches of a later round: fine patches, pseudo-labelled ones and hard negatives.

    `teacher`: the patch model of the round before; `scored`: what it found on the training slides.
    """

    def __init__(
        self,
        fine: Sequence[FinePatch],
        cohort: Cohort,
        params: HybridParams,
        *,
        teacher: PatchModel,
        scored: Scored,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(fine, cohort, params, groups=groups)
        self._hybrid, self._teacher = params, teacher
        above = pools_above(cohort, scored, params.removal_threshold)
        self._pools += above
        if groups is not None:
            self._groups += [groups[pool[:, 0]] for pool in above]

    def _counts(self, rng: np.random.Generator | None) -> list[int]:
        params = self._hybrid
        if not self._groups:
            ratio = (params.ratio_fine, params.ratio_pseudo, params.ratio_negative)
            return composition(params.theta1_batch, ratio, self.sizes)
        if rng is None:
            return composition(params.theta1_batch, released_shares(self.sizes), self.sizes)
        return drawn_pools(params.theta1_batch, self.sizes, rng)

    def _labels(self, chosen: list[tuple[int, int]], images: list[NDArray[np.uint8]]) -> list[Floats]:
        """Pseudo-labels are made by the teacher when a patch is drawn; none is stored."""
        labels = super()._labels(chosen, images)
        places = [place for place, (pool, _) in enumerate(chosen) if pool == PSEUDO]
        if places:
            seen = probabilities(self._teacher.logits(np.stack([images[place] for place in places])))
            params = self._hybrid
            made = pseudo_label(
                seen, constant=params.reweight_constant, lower=params.lower_clip, quantise=params.quantise
            )
            for place, label in zip(places, enlarged(made, self._cohort.side), strict=True):
                slide, number = self._pools[PSEUDO][chosen[place][1]].tolist()
                overridden(label, slide, number, self._fine, self._cohort)
                labels[place] = label
        return labels


def train_patch_model(
    batches: Batches,
    params: PixelParams,
    context: Context,
    *,
    name: str,
    start: Mapping[str, Any] | None,
    member: int = 0,
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
    head = patch_head(net)
    hold(net, head, rate=params.encoder_rate)
    optimiser = torch.optim.Adam(paced(net, head, rate=params.encoder_rate), params.theta1_lr)

    def loss(batch: tuple[NDArray[np.uint8], Floats]) -> Tensor:
        labels = torch.from_numpy(batch[1]).to(context.device)
        logits = net(scaled(batch[0], params, context.device)).float()
        maps = logits.reshape(len(labels), 1, *logits.shape[-2:])
        return functional.binary_cross_entropy_with_logits(
            functional.interpolate(maps, size=labels.shape[-2:], mode="nearest")[:, 0], labels
        )

    steps = params.theta1_epochs * batches.steps_per_epoch
    context.log(f"{name}/steps_per_epoch", batches.steps_per_epoch)
    half = params.amp != "none"
    training = Training(name, steps, batches.batch, loss, lambda step: params.theta1_lr, save_every=100, half=half)
    train_steps(net, optimiser, training, context)
    if params.norm_statistics == "anew":
        drawn = (batches.batch(step, context.generator(name, "statistics", step)) for step in range(SETTLING))
        settle(net, (scaled(images, params, context.device) for images, _ in drawn))
    return {key: value.detach().cpu() for key, value in net.state_dict().items()}
