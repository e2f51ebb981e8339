"""The patches of a unit that rank highest. The two papers settle ties in opposite ways, so there are two functions.

`top`: Li et al., MICCAI 2021, stage 2, for hybrid supervision. `top_tiles`: the code of Campanella et al., Nature
Medicine 2019, for top-k MIL.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]


class TopK:
    """Keeps the K highest values seen, with their numbers; of equal values, the lower number (row-major order) wins.

    Values are logits: probabilities saturate and tie.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int]] = []

    def add(self, values: Floats, numbers: Numbers) -> None:
        """Look at some more patches."""
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            entry = (value, -number)
            if len(self._heap) < self._size:
                heapq.heappush(self._heap, entry)
            elif entry > self._heap[0]:
                heapq.heapreplace(self._heap, entry)

    def numbers(self) -> list[int]:
        """Numbers of the highest, in descending order; fewer than K where there were fewer."""
        return [-number for _, number in sorted(self._heap, reverse=True)]


def top(values: Floats, numbers: Numbers, size: int) -> list[int]:
    """The numbers of the `size` highest values, in descending order."""
    heap = TopK(size)
    heap.add(values, numbers)
    return heap.numbers()


def top_tiles(owners: Numbers, probabilities: Floats, size: int) -> Numbers:
    """Lines of the `size` tiles of highest probability of each owner, owner by owner, by ascending probability.

    Of equal probabilities the later tile counts as higher. An owner with fewer tiles gives all of them.
    """
    order = np.lexsort((probabilities, owners))  # stable
    ranked = owners[order]
    behind = np.searchsorted(ranked, ranked, side="right") - np.arange(len(ranked))
    return np.asarray(order[behind <= size], np.int64)


def highest(owners: Numbers, probabilities: Floats, units: int) -> Floats:
    """The highest probability of each owner's tiles, `units` long; 0 for one without tiles."""
    best = np.zeros(units, np.float32)
    np.maximum.at(best, owners, probabilities)
    return best
