"""The labels a method may use: declared, metered, and sealed on test slides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BudgetError, SupervisionError
from benchmark.expert import Answer, Expert, Question, SimulatedExpert, Wanted
from benchmark.ledger import COUNTERS, TILES, TRANSDUCTIVE, Budget, Ledger, Spending, Supervision, counter_of

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.slides import Grid, Slide

__all__ = [
    "COUNTERS",
    "PRESENCE",
    "TRANSDUCTIVE",
    "Budget",
    "LabelSource",
    "Labels",
    "Ledger",
    "Spending",
    "Supervision",
    "View",
]

ROUNDING = 1e-9
"""Minutes by which sums of prices may miss a budget."""

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
        budgets: Mapping[Supervision, int | Budget] | None = None,
        sealed: bool = False,
        expert: Expert | None = None,
        spending: Spending | None = None,
    ) -> None:
        """`expert` answers reviews; by default one who knows the truth and never errs. `spending`: the run's budget."""
        self.__source = source
        self.__expert = expert or SimulatedExpert(source)
        self.__known = {slide.id: slide for slide in slides}
        self.__declared = frozenset(declared)
        self.__ledger = ledger
        self.__owner = owner
        self.__budgets = dict(budgets or {})
        self.__sealed = sealed
        self.__spending = spending

    def image(self, slide: Slide) -> NDArray[np.int8]:
        """Unit labels, rows × cols of the unit grid: 1 positive, 0 negative."""
        self.__check(Supervision.IMAGE, slide)
        labels = self.__source.unit_labels(slide)
        self.__record(Supervision.IMAGE, slide, "units", int(labels.size))
        return labels

    def patch(self, slide: Slide, grid: Grid, minimum: float = 0.05) -> NDArray[np.bool_]:
        """Classes present in each patch of `grid`, rows × cols × classes.

        A class is present when it covers more than `minimum` of the patch (strictly, as in OEEM). A patch whose centre
        lies in an area to ignore has no class: nobody knows it.
        """
        self.__check(Supervision.PATCH, slide)
        truth = self.__source.truth(slide)
        fractions = truth.fractions(grid, len(self.__source.classes))
        # An expert who is asked again with another share answers again: many shares would measure the area.
        asked = grid.digest if minimum == PRESENCE else f"{grid.digest}>{minimum!r}"
        self.__record(Supervision.PATCH, slide, asked, grid.rows * grid.cols)
        present: NDArray[np.bool_] = (fractions > minimum) & ~truth.ignored(grid)[..., None]
        return present

    def pixel(self, slide: Slide, x: int, y: int, width: int, height: int) -> NDArray[np.int8]:
        """Class of every pixel of one patch (level-0 corner and size), height × width.

        Of a patch set, the tiles it touches count as patch labels, here as in `full` and `coarse`.
        """
        self.__check(Supervision.PIXEL, slide)
        tiles = tiles_within(slide, x, y, width, height)
        item = f"{x},{y},{width},{height}" if tiles is None else f"{TILES}:{x},{y},{width},{height}"
        if (str(Supervision.PIXEL), slide.id, item) not in self.__ledger.entries:
            self.__spend(Supervision.PIXEL, slide)
        from benchmark.slides import Grid

        window = Grid.pixels((width, height), origin=(x, y))
        self.__record(Supervision.PIXEL, slide, item, width * height if tiles is None else tiles)
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
        truth = self.__source.truth(slide)
        share = truth.fractions(grid, len(self.__source.classes))[..., 1:].sum(axis=-1)
        allowed = ~truth.ignored(grid) if where is None else where & ~truth.ignored(grid)
        candidates = allowed & (share > PRESENCE if lesion else share <= 0)
        if lesion and not candidates.any():
            candidates = allowed & (share > 0)
        cells = rng.permutation(np.argwhere(candidates))[:number]
        x, y = grid.x.tolist(), grid.y.tolist()
        return [(row, col, self.pixel(slide, x[col], y[row], grid.width, grid.height)) for row, col in cells.tolist()]

    def drawn(self, slide: Slide) -> bool:
        """Whether a training slide has a fine annotation; tells nothing of its content and is not counted.

        Of test slides only those who may see coarse annotations or reviews there may ask: where negative slides need no
        outline, the answer would be the label.
        """
        if self.__sealed and not self.__declared & TRANSDUCTIVE:
            what = f"{self.__owner} asked whether test slide {slide.id!r} is drawn"
            raise SupervisionError(f"{what}: test truth is sealed")
        if slide.id not in self.__known:
            raise SupervisionError(f"{self.__owner} asked about slide {slide.id!r}, which is not in this view")
        return self.__source.annotated(slide)

    def reviewable(self, slide: Slide) -> bool:
        """Whether the expert can be asked about a slide: one who is simulated knows the annotated ones alone."""
        return self.drawn(slide) or not isinstance(self.__expert, SimulatedExpert)

    def answerable(self, slide: Slide, grid: Grid) -> NDArray[np.bool_]:
        """The cells about which the expert can be asked, rows × cols: a simulated one knows no area to ignore.

        Tells nothing of their classes and is not counted.
        """
        self.__check(Supervision.REVIEW, slide)
        if not isinstance(self.__expert, SimulatedExpert) or not self.__source.annotated(slide):
            return np.ones(grid.shape, np.bool_)
        return ~self.__source.truth(slide).ignored(grid)

    def full(self, slide: Slide) -> Annotation:
        """The whole fine annotation of a training slide."""
        self.__check(Supervision.FULL, slide)
        tiles, (width, height) = tiles_within(slide), slide.size
        item, amount = ("mask", width * height) if tiles is None else (TILES, tiles)
        self.__record(Supervision.FULL, slide, item, amount)
        return self.__source.truth(slide)

    def coarse(self, slide: Slide) -> Annotation:
        """The coarse annotation, also of test slides: refiners are transductive."""
        self.__check(Supervision.COARSE, slide)
        annotation, tiles = self.__source.coarse(slide), tiles_within(slide)
        item, amount = ("coarse", annotation.count()) if tiles is None else (TILES, tiles)
        self.__record(Supervision.COARSE, slide, item, amount)
        return annotation

    def review(self, slide: Slide, grid: Grid, row: int, col: int, *, share: float | None = None) -> int:
        """Ask the expert for the class of one cell: that under its centre, or by `share` as `cell_classes` says.

        Raises `BudgetError` when the budget is spent, or no answer is to be had.
        """
        self.__check(Supervision.REVIEW, slide)
        question = Question(slide, grid, row, col, share)
        answer = self.__ledger.answers.get((str(Supervision.REVIEW), slide.id, question.item))
        if answer is None:
            self.__spend(Supervision.REVIEW, slide)
            self.__afford(Supervision.REVIEW, slide, question.item, 1)
            answer = self.__expert.answer(question, self.__ledger.count(Supervision.REVIEW, slide.id))
        self.__record(Supervision.REVIEW, slide, question.item, 1, answer)
        return answer.label

    def examples(
        self,
        slide: Slide,
        grid: Grid,
        label: int,
        number: int,
        rng: np.random.Generator,
        *,
        where: NDArray[np.bool_] | None = None,
        share: float | None = None,
    ) -> list[tuple[int, int]]:
        """At most `number` cells (row, col) of class `label` that the expert looks up; each counts as one review.

        They are of those of `where` (rows × cols); none where the slide has none. Also of test slides. As many as the
        budget pays; raises `BudgetError` when it is spent already.
        """
        self.__check(Supervision.REVIEW, slide)
        before = self.__ledger.count(Supervision.REVIEW, slide.id)
        cells: list[tuple[int, int]] = []
        for row, col, answer in self.__expert.choose(Wanted(slide, grid, label, number, where, share), before, rng):
            item = Question(slide, grid, row, col).item
            try:
                if (str(Supervision.REVIEW), slide.id, item) not in self.__ledger.entries:
                    self.__spend(Supervision.REVIEW, slide)
                    self.__afford(Supervision.REVIEW, slide, item, 1)
            except BudgetError:
                if not cells:
                    raise
                break
            self.__record(Supervision.REVIEW, slide, item, 1, answer)
            cells.append((row, col))
        return cells

    def __check(self, kind: Supervision, slide: Slide) -> None:
        if kind not in self.__declared:
            declared = ", ".join(sorted(self.__declared)) or "none"
            msg = f"{self.__owner} asked for {kind} labels of slide {slide.id!r} but declares: {declared}"
            raise SupervisionError(msg, fix=f"add Supervision.{kind.name} to the method's `supervision`")
        if self.__spending is not None and slide.id in self.__spending.withheld:
            what = f"{self.__owner} asked for {kind} labels of slide {slide.id!r}, which its budget of "
            raise SupervisionError(f"{what}{self.__spending.text} does not pay: {self.__spending.paid}; none is left")
        known = self.__known.get(slide.id)
        if known is None or (known is not slide and known.path != slide.path):
            raise SupervisionError(f"{self.__owner} asked for labels of slide {slide.id!r}, which is not in this view")
        if self.__sealed and kind not in TRANSDUCTIVE:
            msg = f"{self.__owner} asked for {kind} labels of test slide {slide.id!r}: test truth is sealed"
            raise SupervisionError(msg)

    def __spend(self, kind: Supervision, slide: Slide) -> None:
        limit = self.__budgets.get(kind, Budget())
        limit = Budget(limit) if isinstance(limit, int) else limit
        self.__refuse_more(kind, limit.total, "")
        self.__refuse_more(kind, limit.per_slide, "", slide)
        if self.__spending is not None and kind is Supervision.REVIEW:
            of = f", which its budget of {self.__spending.text} pays; none is left"
            self.__refuse_more(kind, self.__spending.reviews, of)
            self.__refuse_more(kind, self.__spending.reviews_of.get(slide.id), of, slide)

    def __refuse_more(self, kind: Supervision, most: int | None, why: str, slide: Slide | None = None) -> None:
        if most is not None and self.__ledger.count(kind, None if slide is None else slide.id) >= most:
            of = "" if slide is None else f" of slide {slide.id!r}"
            raise BudgetError(f"{self.__owner} asked for more than its {most} {kind} labels{of}{why}")

    def __afford(self, kind: Supervision, slide: Slide, item: str, amount: int) -> None:
        """Raise `BudgetError` for a label that costs more minutes than are left."""
        spending = self.__spending
        if spending is None or spending.minutes is None or (str(kind), slide.id, item) in self.__ledger.entries:
            return
        counter = counter_of(kind, item)
        if counter not in spending.prices:
            what = f"{self.__owner} asked for {counter}, for which its budget of {spending.text} has no minutes"
            raise SupervisionError(what, fix="name them in the method's `label_counts`")
        left, price = spending.left(self.__ledger.totals()), spending.prices[counter] * amount
        if price > left + ROUNDING:
            what = f"{self.__owner} asked for {kind} labels of slide {slide.id!r} that take {price:.4g} min"
            raise BudgetError(f"{what}; {max(left, 0):.4g} min of its budget of {spending.text} are left")

    def __record(self, kind: Supervision, slide: Slide, item: str, amount: int, answer: Answer | None = None) -> None:
        self.__afford(kind, slide, item, amount)
        self.__ledger.record(kind, slide.id, item, amount, answer)


def tiles_within(
    slide: Slide, x: int = 0, y: int = 0, width: int | None = None, height: int | None = None
) -> int | None:
    """How many tiles a region of a patch set touches, by default all of it; None for a slide that is no patch set."""
    from benchmark.slides import PatchSet

    if not isinstance(slide, PatchSet):
        return None
    spans = []
    for start, length, most in ((x, width, slide.size[0]), (y, height, slide.size[1])):
        end = most if length is None else min(most, start + length)
        spans.append(max(0, -(-end // slide.side) - max(0, start) // slide.side))
    return spans[0] * spans[1]


@dataclass(frozen=True)
class View:
    """Slides and their metered labels: all that `Method.fit` sees of a split."""

    slides: Sequence[Slide]
    labels: Labels

    def __iter__(self) -> Iterator[Slide]:
        return iter(self.slides)

    def __len__(self) -> int:
        return len(self.slides)
