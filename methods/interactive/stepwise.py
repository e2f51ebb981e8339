"""The annotation of one slide for a person: the same loop as in a run, advanced by whoever has the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .opened import Opened

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Grid, Slide
    from benchmark.supervision import Labels

    from .interactive_params import InteractiveParams
    from .loop import Loop


class Stepwise:
    """See `benchmark.annotating.steps.Steps`. Raises `BlankSlideError` for a slide without tissue."""

    def __init__(self, strategy: str, params: InteractiveParams, slide: Slide, context: Context) -> None:
        self._strategy, self._params, self._slide = strategy, params, slide
        self._opened = Opened.alone(slide, params, context)
        self._coding, self._base = self._opened.coding, self._opened.base
        self._cells = self._base.parts[0]
        self._loop: Loop | None = None

    @property
    def grid(self) -> Grid:
        """The cells of the slide."""
        return self._cells.grid

    @property
    def patches(self) -> Grid:
        """What is shown of every cell."""
        return self._cells.patches

    @property
    def places(self) -> NDArray[np.int64]:
        """Row and column of every item, M × 2."""
        return self._cells.places

    @property
    def choices(self) -> Sequence[tuple[int, str]]:
        """The answers that can be given, as a class each, and what they are called."""
        coding = self._coding
        if coding.only is None:
            return list(enumerate(coding.classes))
        name, other = coding.classes[coding.only], 0 if coding.only else 1
        return [(other, f"not {name}"), (coding.only, name)]

    @property
    def wanted(self) -> Sequence[int]:
        """The classes of which examples are needed."""
        return [self._coding.index(label) for label in self._coding.wanted]

    @property
    def plan(self) -> tuple[int, int, int]:
        """Sessions, rounds of a session, reviews of a round."""
        return self._params.sessions, self._params.rounds, self._params.reviews

    @property
    def share(self) -> float | None:
        """When a cell is positive, see `benchmark.expert.cell_classes`."""
        return self._params.share

    def prepare(self) -> None:
        """Compute what is stored of every patch: the long part of opening a slide."""
        _ = self._base.rows

    def begin(self, labels: Labels) -> int:
        """Look up the examples, in the order of a run, and open the first batch; returns how many there are."""
        self._loop = self._opened.begin(self._strategy, labels, self._slide)
        self._loop.look_ahead = 2 * self._params.reviews
        return len(self._loop.queries)

    @property
    def place(self) -> tuple[int, int]:
        """Session and round of the open batch, from 0."""
        return self._running.session, self._running.round

    @property
    def finished(self) -> bool:
        """True when nothing is left to propose."""
        return self._running.finished

    def propose(self) -> Sequence[int]:
        """The batch to review; the same until `update`."""
        return self._running.propose().items

    @property
    def ahead(self) -> Sequence[int]:
        """What the strategy would choose next by what it knows now, without the batch."""
        return self._running.ahead

    def update(self, answers: Mapping[int, int]) -> Mapping[str, float]:
        """Learn from the classes of all items of the batch; returns the nets' losses."""
        loop = self._running
        for item in loop.propose().items:
            loop.answer(item, self._coding.label(answers[item]))
        return loop.update().losses

    def probabilities(self) -> NDArray[np.float32]:
        """Of every item and choice, M × choices; certain where the expert gave the class."""
        return self._running.probabilities()

    @property
    def trained(self) -> bool:
        """Whether anything has been learnt."""
        return self._running.trained

    def state(self) -> dict[str, Any]:
        """All between two updates, as tensors, arrays and plain values."""
        return self._running.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; `begin` comes first."""
        self._running.restore(state)

    @property
    def _running(self) -> Loop:
        assert self._loop is not None, "begin comes first"
        return self._loop
