"""Bags of LC-MIL: cells drawn from inside or from outside the coarse annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

Pool = Sequence[NDArray[np.int64]]
"""Per slide, the numbers of its cells of one class; slides without any are not in it."""


@dataclass(frozen=True, eq=False)
class Bag:
    """`cells`: numbers of the instances, one or more, drawn with replacement. `positive`: the bag's label."""

    cells: NDArray[np.int64]
    positive: bool


def draw_bags(positive: Pool, negative: Pool, *, bags: int, per_round: int, mean: int, seed: int) -> list[Bag]:
    """`bags` bags in the order of training: rounds of `per_round`, half of them positive, shuffled within the round.

    All instances of a bag come from one slide, every slide of the pool being equally likely; lengths are those of
    `draw_length`. Raises `DataError` when a pool holds no cell.
    """
    for pool, what in ((positive, "inside"), (negative, "outside")):
        if not any(cells.size for cells in pool):
            raise DataError(f"no tissue cell lies {what} the coarse annotation, so no bags can be drawn")
    rng = np.random.default_rng(seed)
    pools = {True: [cells for cells in positive if cells.size], False: [cells for cells in negative if cells.size]}
    drawn: list[Bag] = []
    for _ in range(bags // per_round):
        labels = [True] * (per_round // 2) + [False] * (per_round // 2)
        made = [Bag(_instances(pools[label], mean, rng), label) for label in labels]
        drawn.extend(made[index] for index in rng.permutation(per_round))
    return drawn


def draw_length(mean: int, rng: np.random.Generator) -> int:
    """A bag length: Binomial(2 · mean, 0.5), drawn again when it is 0 (L18; about one in a million at mean 10)."""
    while True:
        length = int(rng.binomial(2 * mean, 0.5))
        if length:
            return length


def _instances(pool: Pool, mean: int, rng: np.random.Generator) -> NDArray[np.int64]:
    cells = pool[int(rng.integers(len(pool)))]
    return rng.choice(cells, size=draw_length(mean, rng), replace=True)
