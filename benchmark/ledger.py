"""The kinds of label, the count of all that were handed out, and how many may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from math import fsum

from benchmark.expert import Answer


class Supervision(StrEnum):
    """The kinds of label a method may declare."""

    IMAGE = "image"
    """Unit labels: positive or negative per unit."""
    PATCH = "patch"
    """Which classes are present in each training patch."""
    PIXEL = "pixel"
    """Fine masks of a limited number of patches."""
    FULL = "full"
    """The fine annotation of every training slide."""
    COARSE = "coarse"
    """The coarse annotation, also of test slides (refiners are transductive)."""
    REVIEW = "review"
    """Answers of an expert to queries about single patches."""


COUNTERS: Mapping[Supervision, str] = {
    Supervision.IMAGE: "image_labels",
    Supervision.PATCH: "patch_labels",
    Supervision.PIXEL: "mask_pixels",
    Supervision.FULL: "mask_pixels",
    Supervision.COARSE: "coarse_polygons",
    Supervision.REVIEW: "reviews",
}
"""What the ledger counts for each kind."""

TILES = "tiles"
"""Beginning of the items that are classes of tiles, not drawn: whatever their kind, they count as patch labels."""

TRANSDUCTIVE = frozenset({Supervision.COARSE, Supervision.REVIEW})
"""The kinds that may be asked for on test slides."""


def counter_of(kind: str, item: str) -> str:
    """What an item of a kind is counted as, see `COUNTERS` and `TILES`."""
    return COUNTERS[Supervision.PATCH if item.startswith(TILES) else Supervision(kind)]


Entry = tuple[str, str, str]
"""(kind, slide id, item): the key under which a label is counted once."""


@dataclass(frozen=True)
class Budget:
    """The most labels of a kind that are handed out: in all, about one slide, or both. None: no limit."""

    total: int | None = None
    per_slide: int | None = None


@dataclass(frozen=True)
class Spending:
    """What the budget of a run leaves to `Labels`. `text`: the budget, as typed.

    `withheld`: slides whose labels it does not pay; `paid`: what it pays instead, in words. `reviews`: answers of the
    expert in all; `reviews_of`: about a slide. `minutes`: of an expert in all, with the `prices` of the counters.
    """

    text: str
    withheld: frozenset[str] = frozenset()
    paid: str = ""
    reviews: int | None = None
    reviews_of: Mapping[str, int] = field(default_factory=dict)
    minutes: float | None = None
    prices: Mapping[str, float] = field(default_factory=dict)

    def left(self, totals: Mapping[str, int]) -> float:
        """Minutes that are left when so many labels of each counter were handed out; infinite without a limit."""
        if self.minutes is None:
            return float("inf")
        return self.minutes - fsum(count * self.prices[name] for name, count in totals.items() if count)


@dataclass
class Ledger:
    """The count of every label a method was given. The same label asked for twice counts once.

    `answers`: who said what of the cells that an expert reviewed, when, and how long it took.
    """

    answers: dict[Entry, Answer] = field(default_factory=dict)
    _entries: dict[Entry, int] = field(default_factory=dict, init=False)
    _items: Counter[tuple[str, str | None]] = field(default_factory=Counter, init=False, repr=False)
    """How many entries there are of a kind and slide, and of a kind in all (None): `count` is asked at every review."""
    _totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS.values(), 0), init=False, repr=False)
    _listeners: list[dict[Entry, int]] = field(default_factory=list, init=False, repr=False)

    @property
    def entries(self) -> Mapping[Entry, int]:
        """What was handed out, and how many labels each item counts as; to be read only."""
        return self._entries

    def record(self, kind: Supervision, slide: str, item: str, amount: int, answer: Answer | None = None) -> None:
        """Count `amount` labels of one kind, unless the item was counted before."""
        key = (str(kind), slide, item)
        if answer is not None:
            self.answers.setdefault(key, answer)
        self._add(key, amount)
        for entries in self._listeners:
            entries.setdefault(key, amount)

    @contextmanager
    def listening(self) -> Iterator[dict[Entry, int]]:
        """Collect all that is recorded meanwhile, counted before or not: the labels of a stage."""
        entries: dict[Entry, int] = {}
        self._listeners.append(entries)
        try:
            yield entries
        finally:
            self._listeners.remove(entries)

    def merge(self, entries: Mapping[Entry, int], answers: Mapping[Entry, Answer] | None = None) -> None:
        """Add the entries of a reused stage, with the answers among them."""
        for key, amount in entries.items():
            self._add(key, amount)
        for key, answer in (answers or {}).items():
            self.answers.setdefault(key, answer)

    def _add(self, key: Entry, amount: int) -> None:
        if key in self._entries:
            return
        kind, slide, item = key
        self._entries[key] = amount
        self._items[kind, slide] += 1
        self._items[kind, None] += 1
        self._totals[counter_of(kind, item)] += amount

    def count(self, kind: Supervision, slide: str | None = None) -> int:
        """How many items of one kind were handed out, in all or of one slide (patches or answers, not pixels)."""
        return self._items[kind, slide]

    def totals(self) -> dict[str, int]:
        """Every counter of `COUNTERS`, zero where nothing of the kind was used."""
        return dict(self._totals)

    @property
    def review_seconds(self) -> float:
        """How long all answers took together."""
        return sum(answer.seconds for answer in self.answers.values())
