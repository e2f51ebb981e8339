"""The labels a method may use: declared, metered, and sealed on test slides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import SupervisionError

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.slides import Grid, Slide


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

TRANSDUCTIVE = frozenset({Supervision.COARSE, Supervision.REVIEW})
"""The kinds that may be asked for on test slides."""


PRESENCE = 0.05
"""Share of a patch above which an expert draws it: the rule of patch labels (OEEM)."""


class LabelSource(Protocol):
    """What `Labels` reads from; every `Dataset` is one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the negative class first."""
        ...

    def truth(self, slide: Slide) -> Annotation:
        """The expert's fine annotation."""
        ...

    def coarse(self, slide: Slide) -> Annotation:
        """The coarse annotation."""
        ...

    def annotated(self, slide: Slide) -> bool:
        """False where a slide has no fine annotation."""
        ...

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 positive, 0 negative, per unit."""
        ...


Entry = tuple[str, str, str]
"""(kind, slide id, item): the key under which a label is counted once."""


@dataclass
class Ledger:
    """The count of every label a method was given. The same label asked for twice counts once."""

    entries: dict[Entry, int] = field(default_factory=dict)
    _listeners: list[dict[Entry, int]] = field(default_factory=list, repr=False)

    def record(self, kind: Supervision, slide: str, item: str, amount: int) -> None:
        """Count `amount` labels of one kind, unless the item was counted before."""
        key = (str(kind), slide, item)
        for entries in (self.entries, *self._listeners):
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

    def merge(self, entries: Mapping[Entry, int]) -> None:
        """Add the entries of a reused stage."""
        for key, amount in entries.items():
            self.entries.setdefault(key, amount)

    def count(self, kind: Supervision) -> int:
        """How many items of one kind were handed out (patches, slides or answers, not pixels)."""
        return sum(1 for entry in self.entries if entry[0] == kind)

    def totals(self) -> dict[str, int]:
        """Every counter of `COUNTERS`, zero where nothing of the kind was used."""
        totals = dict.fromkeys(COUNTERS.values(), 0)
        for (kind, _, _), amount in self.entries.items():
            totals[COUNTERS[Supervision(kind)]] += amount
        return totals


class Labels:
    """A metered view of the labels of some slides.

    Hands out the declared kinds and records them in the `ledger`. Raises `SupervisionError` for another kind, another
    slide, or more than the budget allows.
    """

    def __init__(
        self,
        source: LabelSource,
        slides: Iterable[Slide],
        declared: Iterable[Supervision],
        ledger: Ledger,
        *,
        owner: str = "this method",
        budgets: Mapping[Supervision, int] | None = None,
        sealed: bool = False,
    ) -> None:
        self.__source = source
        self.__known = {slide.id: slide for slide in slides}
        self.__declared = frozenset(declared)
        self.__ledger = ledger
        self.__owner = owner
        self.__budgets = dict(budgets or {})
        self.__sealed = sealed

    def image(self, slide: Slide) -> NDArray[np.int8]:
        """Unit labels, rows × cols of the unit grid: 1 positive, 0 negative."""
        self.__check(Supervision.IMAGE, slide)
        labels = self.__source.unit_labels(slide)
        self.__ledger.record(Supervision.IMAGE, slide.id, "units", int(labels.size))
        return labels

    def patch(self, slide: Slide, grid: Grid, minimum: float = 0.05) -> NDArray[np.bool_]:
        """Classes present in each patch of `grid`, rows × cols × classes.

        A class is present when it covers more than `minimum` of the patch (strictly, as in OEEM).
        """
        self.__check(Supervision.PATCH, slide)
        fractions = self.__source.truth(slide).fractions(grid, len(self.__source.classes))
        self.__ledger.record(Supervision.PATCH, slide.id, grid.digest, grid.rows * grid.cols)
        present: NDArray[np.bool_] = fractions > minimum
        return present

    def pixel(self, slide: Slide, x: int, y: int, width: int, height: int) -> NDArray[np.int8]:
        """Class of every pixel of one patch (level-0 corner and size), height × width."""
        self.__check(Supervision.PIXEL, slide)
        item = f"{x},{y},{width},{height}"
        if (str(Supervision.PIXEL), slide.id, item) not in self.__ledger.entries:
            self.__spend(Supervision.PIXEL)
        from benchmark.slides import Grid

        window = Grid.pixels((width, height), origin=(x, y))
        self.__ledger.record(Supervision.PIXEL, slide.id, item, width * height)
        return self.__source.truth(slide).labels(window)

    def chosen(
        self,
        slide: Slide,
        grid: Grid,
        number: int,
        rng: np.random.Generator,
        *,
        where: NDArray[np.bool_] | None = None,
        lesion: bool = True,
    ) -> list[tuple[int, int, NDArray[np.int8]]]:
        """At most `number` patches that an expert chooses to draw: (row, col, class of every pixel).

        They are chosen at random among the patches of `grid` (those of `where`, rows × cols) with lesion on more
        than `PRESENCE` of their area, or on less where no patch has more; with `lesion` false, among those without.
        Each counts as one PIXEL label; where there is no such patch, nothing is returned or counted.
        """
        self.__check(Supervision.PIXEL, slide)
        share = self.__source.truth(slide).fractions(grid, len(self.__source.classes))[..., 1:].sum(axis=-1)
        allowed = np.ones(grid.shape, np.bool_) if where is None else where
        candidates = allowed & (share > PRESENCE if lesion else share <= 0)
        if lesion and not candidates.any():
            candidates = allowed & (share > 0)
        cells = rng.permutation(np.argwhere(candidates))[:number]
        x, y = grid.x.tolist(), grid.y.tolist()
        return [(row, col, self.pixel(slide, x[col], y[row], grid.width, grid.height)) for row, col in cells.tolist()]

    def drawn(self, slide: Slide) -> bool:
        """Whether a slide has a fine annotation; tells nothing of its content and is not counted."""
        return self.__source.annotated(slide)

    def full(self, slide: Slide) -> Annotation:
        """The whole fine annotation of a training slide."""
        self.__check(Supervision.FULL, slide)
        width, height = slide.size
        self.__ledger.record(Supervision.FULL, slide.id, "mask", width * height)
        return self.__source.truth(slide)

    def coarse(self, slide: Slide) -> Annotation:
        """The coarse annotation, also of test slides: refiners are transductive."""
        self.__check(Supervision.COARSE, slide)
        annotation = self.__source.coarse(slide)
        self.__ledger.record(Supervision.COARSE, slide.id, "coarse", annotation.count())
        return annotation

    def review(self, slide: Slide, grid: Grid, row: int, col: int) -> int:
        """Ask the expert for the class under the centre of one cell."""
        self.__check(Supervision.REVIEW, slide)
        item = f"{grid.digest}:{row},{col}"
        if (str(Supervision.REVIEW), slide.id, item) not in self.__ledger.entries:
            self.__spend(Supervision.REVIEW)
        self.__ledger.record(Supervision.REVIEW, slide.id, item, 1)
        return int(self.__source.truth(slide).labels(grid.cell(row, col))[0, 0])

    def __check(self, kind: Supervision, slide: Slide) -> None:
        if kind not in self.__declared:
            declared = ", ".join(sorted(self.__declared)) or "none"
            msg = f"{self.__owner} asked for {kind} labels of slide {slide.id!r} but declares: {declared}"
            raise SupervisionError(msg, fix=f"add Supervision.{kind.name} to the method's `supervision`")
        if slide.id not in self.__known:
            raise SupervisionError(f"{self.__owner} asked for labels of slide {slide.id!r}, which is not in this view")
        if self.__sealed and kind not in TRANSDUCTIVE:
            msg = f"{self.__owner} asked for {kind} labels of test slide {slide.id!r}: test truth is sealed"
            raise SupervisionError(msg)

    def __spend(self, kind: Supervision) -> None:
        limit = self.__budgets.get(kind)
        if limit is not None and self.__ledger.count(kind) >= limit:
            raise SupervisionError(f"{self.__owner} asked for more than its {limit} {kind} labels")


@dataclass(frozen=True)
class View:
    """Slides and their metered labels: all that `Method.fit` sees of a split."""

    slides: Sequence[Slide]
    labels: Labels

    def __iter__(self) -> Iterator[Slide]:
        return iter(self.slides)

    def __len__(self) -> int:
        return len(self.slides)
