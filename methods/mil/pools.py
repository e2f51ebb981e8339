"""Pseudo labels of instances, the gate that accepts new scores, and the pools that encoder fine-tuning draws from.

All quantiles interpolate linearly, are taken over the whole pool and not per slide, and select inclusively, as in the
released code of ItS2CLR and HNM. Scores are probabilities; a number addresses an instance by its place in them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Numbers = NDArray[np.int64]
Ties = Literal["inclusive", "cap"]
KEPT_OF_OLD = 0.3
"""Weight of the old scores in the moving average of an accepted update (released code, off by default)."""


def pseudo_labels(scores: Floats, positive: NDArray[np.bool_], threshold: float) -> NDArray[np.int8]:
    """1 above the threshold on positive slides, else 0, n: on a negative slide for certain, on a positive one not."""
    return (positive & (scores > threshold)).astype(np.int8)


def share_at(epoch: int, *, first: float, last: float, warmup: int, epochs: int) -> float:
    """The share r after epoch e: `r₀ + (r_T - r₀)(e - warmup) / (E - warmup)`, and r₀ before the warm-up ends."""
    return first + (last - first) * max(0, epoch - warmup) / (epochs - warmup)


def highest_share(scores: Floats, share: float, ties: Ties = "inclusive") -> Numbers:
    """Places of the scores at or above their quantile 1 - `share`, ascending.

    With ties at the quantile these may be far more than that share; "cap" takes ⌈share · n⌉ of them, the highest and of
    equal ones the first.
    """
    if not scores.size:
        return np.empty(0, np.int64)
    if ties == "cap":
        order = np.argsort(-scores, kind="stable")
        return np.sort(order[: math.ceil(round(share * scores.size, 9))]).astype(np.int64)
    return np.flatnonzero(scores >= np.quantile(scores.astype(np.float64), 1 - share))


def lowest_share(scores: Floats, share: float) -> Numbers:
    """Places of the scores at or below their quantile `share`, ascending; ties are all in."""
    if not scores.size:
        return np.empty(0, np.int64)
    return np.flatnonzero(scores <= np.quantile(scores.astype(np.float64), share))


@dataclass(frozen=True)
class Shares:
    """How much of each kind a pool takes.

    `positive`: r, of the pseudo-positive instances, the surest first. `negative`: ρ, of the instances of negative
    slides, the highest first. `uncertain`: r_neg, of the instances of positive slides that are not above the threshold,
    the lowest first.
    """

    positive: float
    negative: float
    uncertain: float
    ties: Ties = "inclusive"


@dataclass(frozen=True, eq=False)
class Pools:
    """Numbers of instances, ascending. `hard`: how many of `negative` come from negative slides.

    `positive`, `negative`: what step A contrasts (pos_full, neg_clean); `surest`, `augmented`: what step B contrasts
    (pos_spl, neg_aug).
    """

    positive: Numbers
    surest: Numbers
    negative: Numbers
    augmented: Numbers
    hard: int

    @property
    def sizes(self) -> dict[str, int]:
        """How many instances are in each, and the hard ones."""
        pools = ("positive", "surest", "negative", "augmented")
        return {**{name: int(getattr(self, name).size) for name in pools}, "hard": self.hard}


def pools_of(
    scores: Floats,
    positive: NDArray[np.bool_],
    *,
    threshold: float,
    shares: Shares,
    uncertain_in_negative: bool,
    uncertain_in_augmented: bool,
) -> Pools:
    """The four pools of instances with these `scores` (n) on slides that are `positive` (n).

    `uncertain_in_…`: whether uncertain instances of positive slides join that pool.
    """
    labels = pseudo_labels(scores, positive, threshold)
    sure, unsure, clean = np.flatnonzero(labels), np.flatnonzero(positive & (labels == 0)), np.flatnonzero(~positive)
    hard = clean[highest_share(scores[clean], shares.negative, shares.ties)]
    low = unsure[lowest_share(scores[unsure], shares.uncertain)]
    both = np.sort(np.concatenate([hard, low]))
    return Pools(
        positive=sure,
        surest=sure[highest_share(scores[sure], shares.positive, shares.ties)],
        negative=both if uncertain_in_negative else hard,
        augmented=both if uncertain_in_augmented else hard,
        hard=hard.size,
    )


def accepted(figure: float | None, best: float | None) -> bool:
    """Whether new scores replace the old ones: their validation figure is at least the best so far.

    Without a figure (no validation slides, or of one class) nothing can be told apart, and all are accepted.
    """
    return figure is None or best is None or figure >= best


def averaged(old: Floats, new: Floats) -> NDArray[np.float64]:
    """The moving average of scores, 0.3 old + 0.7 new."""
    return KEPT_OF_OLD * old.astype(np.float64) + (1 - KEPT_OF_OLD) * new.astype(np.float64)


def places(batch: int, share: float) -> int:
    """How many of a batch are `share` of it, rounded down as released: 0.2 of 512 are 102, 0.8 are 409."""
    return int(round(batch * share, 9))


def batches_of(pool: Numbers, size: int, number: int, rng: np.random.Generator) -> Numbers:
    """`number` batches of `size` from a pool, number × size: shuffled, whole batches, then shuffled again.

    A rest too small for a batch waits for the next shuffle, as with a loader that drops its last batch and restarts. A
    pool smaller than a batch is repeated within it, so that the mix of labels, and with it the loss, keeps its scale.
    """
    whole = pool.size // size
    if whole:
        passes = [rng.permutation(pool)[: whole * size] for _ in range(-(-number // whole))]
        return np.concatenate(passes)[: number * size].reshape(number, size)
    repeats = -(-size // pool.size)
    rows = [np.concatenate([rng.permutation(pool) for _ in range(repeats)])[:size] for _ in range(number)]
    return np.stack(rows)
