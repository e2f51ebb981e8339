"""The K patches of a unit that rank highest, from a stream (sheet §2.6)."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray


class TopK:
    """Keeps the K highest values seen, with their numbers; of equal values, the lower number (row-major order) wins.

    Values are logits: probabilities saturate and tie.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int]] = []

    def add(self, values: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
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


def top(values: NDArray[np.float32], numbers: NDArray[np.int64], size: int) -> list[int]:
    """The numbers of the `size` highest values, in descending order."""
    heap = TopK(size)
    heap.add(values, numbers)
    return heap.numbers()
