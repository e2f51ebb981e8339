"""What the loop's labels 0 … C-1 stand for: all classes, or one class and all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from .interactive_params import InteractiveParams


@dataclass(frozen=True)
class Coding:
    """`only`: the class that label 1 stands for (feedback relevant or not); None: labels are classes.

    `wanted`: the labels of which the expert looks up queries, in order.
    """

    classes: tuple[str, ...]
    only: int | None
    wanted: tuple[int, ...]

    @classmethod
    def of(cls, params: InteractiveParams, classes: tuple[str, ...]) -> Coding:
        """As the parameters say. Raises `ConfigError` for an unknown class, or feedback that would mix classes."""
        name, there = params.query_class, ", ".join(classes)
        if name is not None and name not in classes:
            raise ConfigError(f"query of the unknown class {name!r}", fix=f"--set query_class=CLASS, one of {there}")
        given = None if name is None else classes.index(name)
        if params.feedback == "relevant":
            if given is None and len(classes) > 2:
                what = f"feedback=relevant would mix {len(classes)} classes, of which queries are taken in turn"
                raise ConfigError(what, fix=f"--set query_class=CLASS, one of {there}, or --set feedback=class")
            return cls(classes, 1 if given is None else given, (1,))
        if given is not None:
            return cls(classes, None, (given,))
        return cls(classes, None, (1,) if len(classes) == 2 else tuple(range(len(classes))))

    @property
    def size(self) -> int:
        """C, how many labels there are."""
        return len(self.classes) if self.only is None else 2

    def label(self, index: int) -> int:
        """The label for a class."""
        return index if self.only is None else int(index == self.only)

    def index(self, label: int) -> int:
        """The class to look for when a query of that label is wanted."""
        return label if self.only is None else self.only

    def indices(self, labels: NDArray[np.integer]) -> NDArray[np.int8]:
        """Classes for labels; where only one class is told from the others, these are class 0, or 1 if that is it."""
        if self.only is None:
            return labels.astype(np.int8)
        other = 0 if self.only else 1
        return np.where(labels == 1, self.only, np.where(labels < 0, -1, other)).astype(np.int8)

    def positive(self, probabilities: NDArray[np.float32], positive: frozenset[int]) -> NDArray[np.float32]:
        """Probability of the positive classes together, M, from M × C."""
        if self.only is None:
            return np.asarray(probabilities[:, sorted(positive)].sum(axis=1), np.float32)
        return np.asarray(probabilities[:, 1 if self.only in positive else 0], np.float32)
