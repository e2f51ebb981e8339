"""One annotation from the first query to the last review, with its curve over the expert's effort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.context import ClassMap
from benchmark.errors import BudgetError
from benchmark.slides import Grid, stream_patches

from .coding import Coding
from .loop import Loop, Query
from .search_base import Cells, SearchBase
from .strategies import STRATEGIES

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.cut import CutEncoder
    from benchmark.slides import Slide
    from benchmark.supervision import Labels

    from .interactive_params import InteractiveParams
    from .two_nets import TwoNets

Normalisation = tuple[list[float], list[float]]
"""Mean and standard deviation per channel of pixels in [0, 1]."""
Maps = dict[str, list[NDArray[np.int8]]]


def searched_cells(slides: Sequence[Slide], params: InteractiveParams, context: Context) -> list[Cells]:
    """The cells of some slides."""
    return [Cells.of(slide, context, cell=params.cell, patch=params.patch) for slide in slides]


def channel_statistics(parts: Sequence[Cells], params: InteractiveParams, context: Context) -> Normalisation | None:
    """Mean and deviation of the searched patches as the encoder sees them; None for the encoder's own.

    Sums of whole numbers, so their order does not matter.
    """
    if params.normalisation == "encoder" or not any(part.number for part in parts):
        return None
    total, squares, pixels = np.zeros(3, np.int64), np.zeros(3, np.int64), 0
    for part in context.track(parts, "mean colour of the patches", len(parts)):
        for batch in stream_patches(part.slide, part.patches, part.tissue, side=params.input_side):
            values = batch.pixels.reshape(-1, 3).astype(np.int64)
            total, squares, pixels = total + values.sum(axis=0), squares + (values**2).sum(axis=0), pixels + len(values)
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    return (mean / 255).tolist(), (deviation / 255).tolist()


def cut(params: InteractiveParams, normalisation: Normalisation | None, context: Context) -> CutEncoder:
    """The encoder of the parameters, cut."""
    from benchmark.learning.encoders.cut import cut_encoder

    mean, std = normalisation or (None, None)
    return cut_encoder(
        params.encoder,
        trainable_from=params.trainable_from,
        pretrained=params.encoder_pretrained,
        weights=params.encoder_weights,
        side=params.input_side,
        device=context.device,
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
    )


def look_up(
    base: SearchBase, labels: Labels, coding: Coding, params: InteractiveParams, context: Context
) -> list[Query]:
    """The queries: `queries` of each wanted label, the labels taking turns; fewer where there are no more.

    Over several slides in random order, evenly. None at all where the budget allows none.
    """
    drawn = [part for part in base.parts if labels.drawn(part.slide)]
    rng = context.generator("queries", base.parts[0].slide.id)
    order = rng.permutation(len(drawn)).tolist()
    by_label: list[list[Query]] = []
    for label in rng.permutation(coding.wanted).tolist():
        queries: list[Query] = []
        for place, number in enumerate(order):
            part, left = drawn[number], params.queries - len(queries)
            quota = -(-left // (len(order) - place))
            try:
                cells = labels.examples(
                    part.slide, part.grid, coding.index(label), quota, rng, where=part.tissue, share=params.share
                )
            except BudgetError:
                cells = []
            queries += [Query(base.number(part.slide.id, row, col), label) for row, col in cells]
        by_label.append(queries)
    longest = max(map(len, by_label), default=0)
    return [queries[turn] for turn in range(longest) for queries in by_label if turn < len(queries)]


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

    def run(self) -> dict[str, Any]:
        """All sessions, resumed where a killed run was. The expert is asked again for nothing that is on record."""
        checkpoint = self.context.checkpoint
        maps: Maps = {}
        if (kept := checkpoint.load()) is not None:
            self.loop.restore(kept["loop"])
            maps = kept["maps"]
            for item in self.loop.reviewed:
                self._ask(item)
        while not self.loop.finished:
            self._round(maps)
            checkpoint.save({"loop": self.loop.state(), "maps": maps})
        return {"maps": maps, "stopped": self.stopped}

    def _round(self, maps: Maps) -> None:
        loop, batch = self.loop, self.loop.propose()
        try:
            for item in batch.items:
                loop.answer(item, self._ask(item))
        except BudgetError as spent:
            self.stopped = spent.what
            loop.stop()
            if not loop.pending:
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


@dataclass(frozen=True, eq=False)
class Opened:
    """Slides with their base and nets, ready to search."""

    parts: list[Cells]
    normalisation: Normalisation | None
    encoder: CutEncoder
    params: InteractiveParams
    coding: Coding
    context: Context

    @classmethod
    def of(cls, slides: Sequence[Slide], params: InteractiveParams, coding: Coding, context: Context) -> Opened:
        """Some slides, normalised by their own patches where the parameters say so."""
        parts = searched_cells(slides, params, context)
        normalisation = channel_statistics(parts, params, context)
        return cls(parts, normalisation, cut(params, normalisation, context), params, coding, context)

    @cached_property
    def base(self) -> SearchBase:
        """The search base of these slides."""
        return SearchBase(self.parts, self.encoder, self.context)

    def nets(self) -> TwoNets:
        """Two fresh nets."""
        from .two_nets import TwoNets

        return TwoNets(self.encoder, self.params, self.coding.size, self.context.device)

    def loop(self, strategy: str, queries: Sequence[Query], seed: int) -> Loop:
        """A loop over these slides, for whoever has the expert's answers."""
        return Loop(self.base, queries, self.nets(), STRATEGIES[strategy], self.params, seed)


def spread_map(base: SearchBase, values: NDArray[np.float32], part: int = 0) -> tuple[Grid, NDArray[np.float32]]:
    """The values of one slide's items on its grid, NaN without tissue."""
    return base.parts[part].grid, np.asarray(base.spread(values, np.nan)[part], np.float32)
