"""What one batch of the M-step is made of: fine patches, pseudo-labelled ones and hard negatives (sheet §2.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FINE, PSEUDO, NEGATIVE = range(3)
"""The pools, in the order of the paper's ratio R."""
RELEASED = (52, 9, 40)
"""Draws of 101 in the release: whole numbers 0 to 100, below 40 negative, 41 to 49 pseudo, the rest fine (D9)."""


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


def drawn_pools(batch: int, sizes: Sequence[int], rng: np.random.Generator) -> list[int]:
    """How many of each pool the release's sampler gives, which draws the pool of every patch by itself."""
    weights = np.array([weight if size else 0 for weight, size in zip(RELEASED, sizes, strict=True)], np.float64)
    return [int(count) for count in rng.multinomial(batch, weights / weights.sum())]


def by_slide(slides: NDArray[np.int64], rng: np.random.Generator) -> int:
    """An entry drawn as the release does: a slide first, then one of its patches. `slides`: slide of every entry."""
    chosen = rng.choice(np.unique(slides))
    return int(rng.choice(np.flatnonzero(slides == chosen)))
