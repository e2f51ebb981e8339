"""The loop: sessions × rounds × K reviews, one step at a time.

`propose` → the batch to review; `answer` once for each of its items, in any order; `update` → both nets are tuned on
everything reviewed, the query is refined, the next batch can be proposed. Who gives the answers is no matter of the
loop. `state` is all it knows between two answers: a loop of the same search base, strategy and parameters goes on from
there to the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ReviewError
from benchmark.seeds import generator

from .retrieval import closest_first, refined
from .strategies import Ranking, Strategy, front_mid_end
from .two_nets import TwoNets

if TYPE_CHECKING:
    from .interactive_params import InteractiveParams
    from .search_base import SearchBase

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Query:
    """An item whose class the expert gave when looking it up."""

    item: int
    label: int


@dataclass(frozen=True)
class Batch:
    """The items to review next; `session` and `round` count from 0. `fallback`: front-mid-end for want of f_cl."""

    session: int
    round: int
    items: tuple[int, ...]
    fallback: bool = False


@dataclass(frozen=True)
class Round:
    """What came of a round: reviews so far, how many of its items had the query's class, and the nets' last losses."""

    session: int
    round: int
    reviews: int
    relevant: int
    losses: Mapping[str, float]


class Loop:
    """One annotation of a search base. `labels` below are class indices 0 … C-1."""

    def __init__(
        self,
        base: SearchBase,
        queries: Sequence[Query],
        nets: TwoNets,
        strategy: Strategy,
        params: InteractiveParams,
        seed: int,
        closed: Sequence[Numbers] = (),
    ) -> None:
        """`closed`: items that are never proposed."""
        self._open = np.ones(len(base), np.bool_)
        for items in closed:
            self._open[items] = False
        self.base, self.queries, self.nets = base, list(queries), nets
        self._strategy, self._params, self._seed = strategy, params, seed
        self.session, self.round = 0, 0
        self.reviewed: dict[int, int] = {}
        """Item → label, in the order of the answers; queries are not among them."""
        self.batch: Batch | None = None
        self.pending: dict[int, int] = {}
        """The answers to the open batch."""
        self.trained = False
        """Whether f_cl has learnt anything yet."""
        self.look_ahead = 0
        """How many items beyond the open batch `propose` also names in `ahead`."""
        self.ahead: tuple[int, ...] = ()
        """What the strategy would choose next by what is known now: to be reviewed while the nets are tuned."""
        self._query: Floats | None = None
        self._relevant: list[int] = []
        self._stopped = False
        self._pretrained: Floats | None = None
        self._predicted: Floats | None = None

    @property
    def finished(self) -> bool:
        """True after the last round, when nothing is left to review, or after `stop`."""
        return self._stopped or self.session >= self._params.sessions or not self.queries or not len(self.unreviewed)

    @property
    def unreviewed(self) -> Numbers:
        """The set S: items that are neither queries, reviewed nor closed, ascending."""
        known = [query.item for query in self.queries]
        left = self._open.copy()
        left[[*known, *self.reviewed]] = False
        return np.flatnonzero(left).astype(np.int64)

    @property
    def query(self) -> Query:
        """The query of this session; after the last one the first comes again."""
        return self.queries[self.session % len(self.queries)]

    def propose(self) -> Batch:
        """The batch to review next: the same until `update`. Raises `ReviewError` when the loop has finished."""
        if self.batch is None:
            if self.finished:
                raise ReviewError("the annotation has finished: there is no further batch")
            fallback = "classifier" in self._strategy.needs and not self.trained
            rng = generator("select", self._seed, self.session, self.round)
            select = front_mid_end if fallback else self._strategy.select
            ranking = self._ranking(fallback)
            items = tuple(select(ranking, self._params.reviews, rng).tolist())
            self.batch = Batch(self.session, self.round, items, fallback)
            if self.look_ahead:
                further = generator("ahead", self._seed, self.session, self.round)
                more = select(ranking, self._params.reviews + self.look_ahead, further).tolist()
                self.ahead = tuple(item for item in more if item not in items)
        return self.batch

    def answer(self, item: int, label: int) -> None:
        """Take the answer about an item of the open batch.

        Raises `ReviewError` for an item that is not in it, that was answered before, or an unknown class.
        """
        if self.batch is None or item not in self.batch.items:
            what = "was reviewed before" if item in self.reviewed else "is not in the open batch"
            raise ReviewError(f"an answer about item {item}, which {what}", fix="answer what `propose` returns")
        if item in self.pending:
            raise ReviewError(f"a second answer about item {item}", fix="take the first back with `retract`")
        if not 0 <= label < len(self.nets.seen):
            raise ReviewError(f"item {item}: there is no class {label}, expected 0 to {len(self.nets.seen) - 1}")
        self.pending[item] = label

    def retract(self, item: int) -> int:
        """Take back the answer about an item of the open batch and return it. Raises `ReviewError` without one."""
        if item not in self.pending:
            raise ReviewError(f"item {item} has no answer that could be taken back")
        return self.pending.pop(item)

    def stop(self) -> None:
        """Propose nothing more: the budget is spent, or the expert has gone."""
        self._stopped = True

    def update(self, *, partial: bool = False) -> Round:
        """Learn from the answers to the open batch; `partial` drops what is not answered (it stays unreviewed).

        Raises `ReviewError` without an open batch, or when answers are missing.
        """
        if self.batch is None:
            raise ReviewError("an update without an open batch", fix="call `propose` and answer it")
        missing = [item for item in self.batch.items if item not in self.pending]
        if missing and not partial:
            raise ReviewError(f"{len(missing)} of {len(self.batch.items)} answers are missing", fix="answer them all")
        batch, answers = self.batch, {item: self.pending[item] for item in self.batch.items if item in self.pending}
        self.reviewed |= answers
        self.batch, self.pending = None, {}
        label = self.query.label
        relevant = [item for item, answer in answers.items() if answer == label]
        losses = self._fine_tune()
        self._relevant = [*(self._relevant if self._params.refine_with == "session" else []), *relevant]
        items = np.array([self.query.item, *self._relevant], np.int64)
        embeddings = self.nets.embed(self.base, items)
        self._query = refined(embeddings[0], embeddings[1:], self._params.refinement)
        self.round += 1
        if self.round == self._params.rounds:
            self.session, self.round, self._query, self._relevant = self.session + 1, 0, None, []
        return Round(batch.session, batch.round, len(self.reviewed), len(relevant), losses)

    def known(self) -> tuple[Numbers, Numbers]:
        """Everything whose class the expert gave: the queries of the sessions begun, then the reviewed; with labels."""
        begun = self.queries[: self.session + 1]
        items = [*(query.item for query in begun), *self.reviewed]
        return np.array(items, np.int64), np.array(
            [*(query.label for query in begun), *self.reviewed.values()], np.int64
        )

    def probabilities(self) -> Floats:
        """Of every item, M × C: f_cl's, and certainty where the expert gave the class. Uniform before any training."""
        classes, size = len(self.nets.seen), len(self.base)
        p = self._classified().copy() if self.trained else np.full((size, classes), 1 / classes, np.float32)
        for item, label in [*((query.item, query.label) for query in self.queries), *self.reviewed.items()]:
            p[item] = np.arange(classes) == label
        return p

    def _classified(self) -> Floats:
        """What f_cl says of every item; one pass serves the next batch and the scores of a round."""
        if self._predicted is None:
            self._predicted = self.nets.probabilities(self.base, np.arange(len(self.base), dtype=np.int64))
        return self._predicted

    def _fine_tune(self) -> Mapping[str, float]:
        items, labels = self.known()
        self.trained, self._predicted = True, None
        return self.nets.fine_tune(self.base.maps(items), labels, self._seed, self.session, self.round)

    def _ranking(self, fallback: bool) -> Ranking:
        """The list L of the unreviewed items, with what the strategy needs."""
        needs, items = self._strategy.needs, self.unreviewed
        if not needs:
            return Ranking(items)
        embeddings = self._embedded(items)
        order = closest_first(self._query_now(), embeddings)
        items, embeddings = items[order], embeddings[order]
        p = positive = reviewed = None
        if "classifier" in needs and not fallback:
            p = self._classified()[items]
            positive = p.argmax(axis=1) == self.query.label
        if "reviewed" in needs:
            reviewed = self._embedded(self.known()[0])
        return Ranking(items, p, positive, embeddings, reviewed)

    @property
    def _untrained_list(self) -> bool:
        """Whether the list of this round comes from the pre-trained encoder."""
        return self.round == 0 and (self._params.session_start == "pretrained" or not self.trained)

    def _embedded(self, items: Numbers) -> Floats:
        if not self._untrained_list:
            return self.nets.embed(self.base, items)
        if self._pretrained is None:
            self._pretrained = self.nets.embed(self.base, np.arange(len(self.base), dtype=np.int64), untrained=True)
        return self._pretrained[items]

    def _query_now(self) -> Floats:
        if self._query is None:
            self._query = self._embedded(np.array([self.query.item], np.int64))[0]
        return self._query

    def state(self) -> dict[str, Any]:
        """Everything between two answers, as tensors, arrays and plain values."""
        return {
            "place": [self.session, self.round, self.trained, self._stopped],
            "queries": [[query.item, query.label] for query in self.queries],
            "reviewed": [[item, label] for item, label in self.reviewed.items()],
            "pending": [[item, label] for item, label in self.pending.items()],
            "batch": None if self.batch is None else [list(self.batch.items), self.batch.fallback],
            "query": self._query,
            "relevant": list(self._relevant),
            "ahead": list(self.ahead),
            "nets": self.nets.state() if self.trained else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.session, self.round, self.trained, self._stopped = state["place"]
        self.queries = [Query(*pair) for pair in state["queries"]]
        self.reviewed = dict(map(tuple, state["reviewed"]))
        self.pending = dict(map(tuple, state["pending"]))
        batch = state["batch"]
        self.batch = None if batch is None else Batch(self.session, self.round, tuple(batch[0]), batch[1])
        self._query, self._relevant = state["query"], list(state["relevant"])
        self.ahead = tuple(state["ahead"])
        self._predicted = None
        if state["nets"] is not None:
            self.nets.restore(state["nets"])
