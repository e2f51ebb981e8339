"""The reviews that a budget pays in all, and the labels that it pays of every slide that is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, inf
from typing import TYPE_CHECKING

import numpy as np

from benchmark.budgets.allotment import Allotment, Regions
from benchmark.budgets.budget import ROUNDING, RunBudget, least_text
from benchmark.dataset import Dataset, Split
from benchmark.errors import BlankSlideError
from benchmark.slides import PatchSet
from benchmark.supervision import COUNTERS, Budget, Spending, Supervision
from benchmark.two_classes import seen_by

if TYPE_CHECKING:
    from benchmark.method import Method
    from benchmark.slides import Slide


FREE = "as much as it asks for: it costs nothing"
SAME_RULE = "regions of one piece, read by the rule of the whole"
"""The rule for coarse annotations, where a part lost areas to ignore and the rule for cells, and regions had pieces."""
EVERY_SLIDE = "a limit per slide holds for every slide"
"""The rule by which a share is one of more reviews than before, where the method limits those of a slide."""


def paid_reviews(budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset) -> Allotment:
    """So many reviews in all. A share is one of those that the method would ask for without a budget."""
    if budget.unit == "share":
        whole = _asked(method, dataset, dataset.slides(Split.TRAIN))
        each, of = 1 / whole if whole else inf, f" of {whole}"
    else:
        each, of = prices[COUNTERS[Supervision.REVIEW]], ""
        if not each:
            return Allotment(Spending(budget.text), notes=FREE)
    first = _begun_with(method, dataset)
    if short := _too_few(budget, lambda known: floor(known.amount / each + ROUNDING), of, each, first):
        return Allotment(Spending(budget.text), short=short)
    number = floor(budget.amount / each + ROUNDING)
    text = f"at most {number}{of} reviews"
    revised = [EVERY_SLIDE] if budget.unit == "share" and _limit(method).per_slide is not None else []
    spending = Spending(budget.text, reviews=number)
    return Allotment(spending, notes=text, bounds=("reviews", number), revised=revised)


def paid_per_slide(budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset) -> Allotment:
    """The labels of each scored slide: minutes are divided equally, a share is one of what the slide would be given."""
    kind = paid_kind(method)
    slides = [slide for split in _labelled_splits(method) for slide in dataset.slides(split)]
    if budget.unit == "slides":
        short = "it is given labels of every slide that it scores: give it % or minutes"
        return Allotment(Spending(budget.text), short=short)
    price = None
    if budget.unit == "minutes":
        price = prices[COUNTERS[kind]]
        if not price:
            return Allotment(Spending(budget.text), notes=FREE)
    if kind is Supervision.COARSE:
        return _regions(budget, price, slides)
    return _reviews_of(budget, price, slides, method, dataset)


def paid_kind(method: Method) -> Supervision:
    """What is paid of every slide."""
    return Supervision.COARSE if Supervision.COARSE in method.supervision else Supervision.REVIEW


def _regions(budget: RunBudget, price: float | None, slides: Sequence[Slide]) -> Allotment:
    """So many regions of every slide, or a share of them."""
    spending = Spending(budget.text)
    if any(isinstance(slide, PatchSet) for slide in slides):
        return Allotment(spending, short="of a set of tiles no regions are drawn")
    if price is None:
        text = f"{budget.text} of the regions of each slide, one at least"
        regions, amount = Regions(budget.amount), budget.text
        return Allotment(spending, regions=regions, notes=text, bounds=(SAME_RULE, amount), revised=[SAME_RULE])
    number = _of_each(budget, price, slides)
    if not number:
        enough = least_text(
            price * len(slides), "minutes", lambda known: known is not None and _of_each(known, price, slides) == 1
        )
        each = f"{budget.amount / len(slides):.3g} min for each of the {len(slides)} slides"
        what = f"a budget of {budget.text} is {each}; {COUNTERS[Supervision.COARSE]} cost {price:g} each"
        return Allotment(spending, short=f"{what}, so that the least that would do is {enough}")
    text = f"at most {number} regions of each of {len(slides)} slides"
    regions = Regions(number=number)
    return Allotment(spending, regions=regions, notes=text, bounds=(SAME_RULE, number), revised=[SAME_RULE])


def _of_each(budget: RunBudget, price: float, slides: Sequence[Slide]) -> int:
    """How many labels of every slide a budget in minutes pays."""
    return floor(budget.amount / max(1, len(slides)) / price + ROUNDING)


def _reviews_of(
    budget: RunBudget, price: float | None, slides: Sequence[Slide], method: Method, dataset: Dataset
) -> Allotment:
    """So many reviews of every slide, or a share of them, one at least of a slide with tissue."""
    asked = {} if price is not None else {slide.id: _asked(method, dataset, [slide]) for slide in slides}

    def paid(known: RunBudget) -> dict[str, int]:
        if price is not None:
            return {slide.id: _of_each(known, price, slides) for slide in slides}
        return {name: max(min(1, whole), floor(known.amount * whole + ROUNDING)) for name, whole in asked.items()}

    most, first = paid(budget), _begun_with(method, dataset)
    largest = max(asked.values(), default=0)
    each = price * len(slides) if price is not None else 1 / largest if largest else inf
    if short := _too_few(budget, lambda known: max(paid(known).values(), default=0), " of any slide", each, first):
        return Allotment(Spending(budget.text), short=short)
    given = [own for own in most.values() if own]
    text = f"at most {min(given)} to {max(given)} reviews of each of {len(given)} slides"
    if few := sum(own <= first for own in given):
        text += f", of {few} no more than the queries it begins with"
    if blank := len(most) - len(given):
        text += f"; {blank} without tissue"
    return Allotment(Spending(budget.text, reviews_of=most), notes=text, bounds=("reviews", *sorted(most.items())))


def _begun_with(method: Method, dataset: Dataset) -> int:
    """How many reviews are spent on queries, before anything is learnt."""
    return method.review_counts(len(seen_by(method, dataset).classes)).first


def _too_few(budget: RunBudget, paid: Callable[[RunBudget], int], of: str, each: float, first: int) -> str:
    """Why so few reviews teach nothing, and what the least would be; empty where they may.

    `paid`: how many reviews a budget pays, in all or of a slide. `each`: share or minutes of one. `first`: spent on
    queries.
    """
    number = paid(budget)
    if number > first:
        return ""
    queries = f"; it begins with {first} queries (--set queries=…)" if first else ""
    what = f"a budget of {budget.text} pays {number or 'no'} review{'s' * (number != 1)}{of}{queries}"
    if budget.unit == "share" and each * (first + 1) > 1:
        return f"{what}, and asks for no more without a budget"
    amount = each * (first + 1) * (100 if budget.unit == "share" else 1)
    enough = least_text(amount, budget.unit, lambda known: known is None or paid(known) > first)
    return f"{what}; the least that would do is {enough}"


def _asked(method: Method, dataset: Dataset, slides: Sequence[Slide]) -> int:
    """How many reviews the method asks for without a budget: by its parameters, at most one of every patch."""
    limit = _limit(method)
    patches = [_patches(dataset, slide) for slide in slides]
    most = sum(patches if limit.per_slide is None else (min(limit.per_slide, number) for number in patches))
    plans = (method.review_counts(len(seen_by(method, dataset).classes)).total, limit.total)
    return min(plan for plan in (*plans, most) if plan is not None)


def _limit(method: Method) -> Budget:
    limit = method.budgets().get(Supervision.REVIEW, Budget())
    return Budget(limit) if isinstance(limit, int) else limit


def _labelled_splits(method: Method) -> tuple[Split, ...]:
    """Whose slides are scored with labels of their own, or learnt from besides."""
    return (Split.VALIDATION, Split.TEST) if method.supervision == {Supervision.REVIEW} else tuple(Split)


def _patches(dataset: Dataset, slide: Slide) -> int:
    """How many of the recommended patches of a slide hold tissue; none where it is glass alone."""
    grid = dataset.patch_grid(slide)
    try:
        tissue = dataset.tissue(slide, grid)
    except BlankSlideError:
        return 0
    return grid.rows * grid.cols if tissue is None else int(np.count_nonzero(tissue))
