"""Slides made ready to search: their cells, the encoder cut, the expert's queries, a loop over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BlankSlideError, BudgetError
from benchmark.slides import stream_patches

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

    Over several slides in random order, evenly; with `query_slides` over the first so many that have the label. None
    at all where the budget allows none.
    """
    drawn, most = [part for part in base.parts if labels.reviewable(part.slide)], params.query_slides
    rng = context.generator("queries", base.parts[0].slide.id)
    parts = [drawn[number] for number in rng.permutation(len(drawn)).tolist()]
    by_label: list[list[Query]] = []
    for label in rng.permutation(coding.wanted).tolist():
        queries: list[Query] = []
        sources: list[Cells] = []
        for place, part in enumerate(parts):
            if len(sources) == most:
                break
            shared = len(parts) - place if most is None else min(len(parts) - place, most - len(sources))
            quota = -(-(params.queries - len(queries)) // shared)
            try:
                cells = labels.examples(
                    part.slide, part.grid, coding.index(label), quota, rng, where=part.tissue, share=params.share
                )
            except BudgetError:
                cells = []
            sources += [part] if cells else []
            queries += [Query(base.number(part.slide.id, row, col), label) for row, col in cells]
        if most is not None:
            parts = sources or parts  # the other labels come from the same slides
        by_label.append(queries)
    longest = max(map(len, by_label), default=0)
    return [queries[turn] for turn in range(longest) for queries in by_label if turn < len(queries)]


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

    @classmethod
    def alone(cls, slide: Slide, params: InteractiveParams, context: Context) -> Opened:
        """A slide to be annotated by itself. Raises `BlankSlideError` where it has no tissue."""
        opened = cls.of([slide], params, Coding.of(params, context.classes), context)
        if not len(opened.base):
            raise BlankSlideError(f"slide {slide.id!r} has no tissue cell to review", fix="choose another: --slide ID")
        return opened

    @cached_property
    def base(self) -> SearchBase:
        """The search base of these slides."""
        return SearchBase(self.parts, self.encoder, self.context)

    def nets(self) -> TwoNets:
        """Two fresh nets."""
        from .two_nets import TwoNets

        return TwoNets(self.encoder, self.params, self.coding.size, self.context.device)

    def loop(
        self, strategy: str, queries: Sequence[Query], seed: int, unknown: Sequence[NDArray[np.int64]] = ()
    ) -> Loop:
        """A loop over these slides, for whoever has the expert's answers; `unknown` items are not proposed.

        With `query_slides` the slides that queries come from are not searched.
        """
        closed = list(unknown)
        if self.params.query_slides is not None:
            closed += [self.base.items_beside(query.item) for query in queries]
        return Loop(self.base, queries, self.nets(), STRATEGIES[strategy], self.params, seed, closed)

    def begin(self, strategy: str, labels: Labels, alone: Slide | None = None) -> Loop:
        """A loop whose queries the expert has looked up. `alone`: the slide that is annotated by itself.

        What the expert cannot answer is not proposed.
        """
        queries = look_up(self.base, labels, self.coding, self.params, self.context)
        seed = self.context.seed_for("interactive", *(() if alone is None else [alone.id]))
        known = [labels.answerable(part.slide, part.grid)[part.tissue] for part in self.base.parts]
        return self.loop(strategy, queries, seed, [np.flatnonzero(~np.concatenate(known))])
