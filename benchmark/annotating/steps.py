"""What a method offers so that a person can be its expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Grid, Slide
    from benchmark.supervision import Labels


class Steps(Protocol):
    """The annotation of one slide, one step at a time: `begin`, then `propose` and `update` until it is `finished`.

    Items 0 … M-1 are the cells that hold tissue. It must take the same course as a run of the method on this slide
    with the same answers. No two of its methods are called at once.
    """

    @property
    def grid(self) -> Grid:
        """The cells of the slide."""
        ...

    @property
    def patches(self) -> Grid:
        """What is shown of every cell."""
        ...

    @property
    def places(self) -> NDArray[np.int64]:
        """Row and column of every item, M × 2."""
        ...

    @property
    def choices(self) -> Sequence[tuple[int, str]]:
        """The answers that can be given: index of the class, and what the answer is called."""
        ...

    @property
    def wanted(self) -> Sequence[int]:
        """The classes of which examples are needed before the first batch."""
        ...

    @property
    def plan(self) -> tuple[int, int, int]:
        """Sessions, rounds of a session, reviews of a round."""
        ...

    @property
    def share(self) -> float | None:
        """When a cell is positive, see `benchmark.expert.cell_classes`."""
        ...

    def prepare(self) -> None:
        """Compute what is stored of every patch: the long part of opening a slide."""
        ...

    def begin(self, labels: Labels) -> int:
        """Look up the examples and start anew; returns how many there are."""
        ...

    @property
    def place(self) -> tuple[int, int]:
        """Session and round of the open batch, from 0."""
        ...

    @property
    def finished(self) -> bool:
        """True when nothing is left to propose."""
        ...

    @property
    def trained(self) -> bool:
        """Whether anything has been learnt."""
        ...

    def propose(self) -> Sequence[int]:
        """The batch to review; the same until `update`."""
        ...

    @property
    def ahead(self) -> Sequence[int]:
        """What would be proposed next by what is known now, without the batch: to be reviewed during `update`."""
        ...

    def update(self, answers: Mapping[int, int]) -> Mapping[str, float]:
        """Learn from the classes of the batch's items; returns losses by name."""
        ...

    def probabilities(self) -> NDArray[np.float32]:
        """Of every item and choice, M × choices."""
        ...

    def state(self) -> dict[str, Any]:
        """All between two updates, as tensors, arrays and plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; `begin` comes first."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A method that a person can be the expert of. `alone`: parameters with which it annotates one slide by itself."""

    alone: ClassVar[Mapping[str, Any]]

    def steps(self, slide: Slide, context: Context) -> Steps:
        """The annotation of one slide. Raises `BlankSlideError` where there is nothing to review."""
        ...
