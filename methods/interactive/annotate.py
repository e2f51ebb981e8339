"""One annotation from the first query to the last review, with its curve over the expert's effort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.context import ClassMap
from benchmark.errors import BudgetError

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide
    from benchmark.supervision import Labels

    from .coding import Coding
    from .interactive_params import InteractiveParams
    from .loop import Loop
    from .search_base import SearchBase

Maps = dict[str, list[NDArray[np.int8]]]


@dataclass
class Annotation:
    """A loop with the expert who answers it, and the slides on which it is watched.

    `alone`: the slide, where each is annotated by itself; else `held_out` slides are scored too.
    """

    loop: Loop
    labels: Labels
    coding: Coding
    params: InteractiveParams
    context: Context
    alone: Slide | None
    held_out: SearchBase | None
    stopped: str = ""
    appraised: int = 0
    """Reviews at the last point of the curve."""

    def run(self) -> dict[str, Any]:
        """All sessions, resumed where a killed run was. The expert is asked again for nothing that is on record."""
        checkpoint = self.context.checkpoint
        maps: Maps = {}
        if (kept := checkpoint.load()) is not None:
            self.loop.restore(kept["loop"])
            maps, self.stopped, self.appraised = kept["maps"], kept["stopped"], kept["appraised"]
            for item in self.loop.reviewed:
                self._ask(item)
        while not self.loop.finished:
            self._round(maps)
            checkpoint.save(
                {"loop": self.loop.state(), "maps": maps, "stopped": self.stopped, "appraised": self.appraised}
            )
        return {"maps": maps, "stopped": self.stopped}

    def _round(self, maps: Maps) -> None:
        loop, batch = self.loop, self.loop.propose()
        for item in batch.items:
            try:
                loop.answer(item, self._ask(item))
            except BudgetError as spent:  # a person who left may have answered later items of the batch
                self.stopped = self.stopped or spent.what
        if self.stopped:
            loop.stop()
            if not loop.pending:  # the rounds before were whole, and the last of them has become the end
                if self.appraised < len(loop.reviewed):
                    self._appraise(len(loop.reviewed))
                if loop.round:
                    self._remember(maps)
                return
        done = loop.update(partial=bool(self.stopped))
        name = "annotate" if self.alone is None else f"annotate/{self.alone.id}"
        self.context.log(f"{name}/relevant", done.relevant, done.reviews)
        for net, loss in done.losses.items():
            self.context.log(f"{name}/{net}_loss", loss, done.reviews)
        if batch.fallback:
            self.context.reporter.say(f"session {batch.session + 1}: no classifier yet, front-mid-end instead")
        last_round = done.round == self.params.rounds - 1 or loop.finished
        every, number = self.params.evaluate_every, done.session * self.params.rounds + done.round + 1
        if loop.finished or (every and number % every == 0):
            self._appraise(done.reviews)
        if last_round:
            self._remember(maps)

    def _ask(self, item: int) -> int:
        part, row, col = self.loop.base.place(item)
        return self.coding.label(self.labels.review(part.slide, part.grid, row, col, share=self.params.share))

    def _appraise(self, reviews: int) -> None:
        self.appraised = reviews
        loop, base = self.loop, self.loop.base
        codes = loop.probabilities().argmax(axis=1).astype(np.int64)
        self._score("delivered", base, codes, reviews)
        unreviewed = np.full(len(base), -1, np.int64)
        unreviewed[loop.unreviewed] = codes[loop.unreviewed]
        self._score("unreviewed", base, unreviewed, reviews)
        if self.held_out is not None and len(self.held_out):
            everything = np.arange(len(self.held_out), dtype=np.int64)
            predicted = loop.nets.probabilities(self.held_out, everything).argmax(axis=1)
            embeddings = loop.nets.embed(self.held_out, everything)
            self._score("held_out", self.held_out, predicted, reviews, embeddings)

    def _score(
        self,
        part: str,
        base: SearchBase,
        codes: NDArray[np.int64],
        reviews: int,
        embeddings: NDArray[np.float32] | None = None,
    ) -> None:
        spread = base.spread(self.coding.indices(codes), -1)
        maps = []
        for start, cells, classes in zip(base.starts.tolist(), base.parts, spread, strict=False):
            own = None if embeddings is None else embeddings[start : start + cells.number]
            maps.append(ClassMap(cells.slide, cells.grid, classes, own))
        self.context.appraise(part, maps, reviews, slide=self.alone, share=self.params.share, only=self.coding.only)

    def _remember(self, maps: Maps) -> None:
        """Keep the class maps after a session, of the slide itself or of those watched."""
        loop = self.loop
        base = loop.base if self.alone is not None else self.held_out
        if base is None or not len(base):
            return
        if self.alone is not None:
            p = loop.probabilities()
        else:
            p = loop.nets.probabilities(base, np.arange(len(base), dtype=np.int64))
        codes = self.coding.indices(p.argmax(axis=1).astype(np.int64))
        for cells, classes in zip(base.parts, base.spread(codes, -1), strict=True):
            maps.setdefault(cells.slide.id, []).append(classes)
