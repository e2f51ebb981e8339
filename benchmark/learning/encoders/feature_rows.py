"""Features of several slides under one numbering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmark.learning.encoders.features import Features


class Rows:
    """Features of the cells of one or more slides under one numbering, read from disk as they are needed."""

    def __init__(self, parts: list[Features]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.dim = int(parts[0].values.shape[1])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Features of some cells, n × dim, float32."""
        features = np.empty((numbers.size, self.dim), np.float32)
        slides = np.searchsorted(self.starts, numbers, side="right") - 1
        for slide in np.unique(slides):
            chosen = slides == slide
            features[chosen] = self.parts[slide].values[numbers[chosen] - self.starts[slide]]
        return features

    def of_class(self, labels: NDArray[np.integer], wanted: int) -> list[NDArray[np.int64]]:
        """Per slide, the numbers of the cells of one class."""
        numbers = np.flatnonzero(labels == wanted)
        return [numbers[(numbers >= a) & (numbers < b)] for a, b in zip(self.starts[:-1], self.starts[1:], strict=True)]
