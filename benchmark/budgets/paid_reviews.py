"""The reviews that a budget pays in all, and the labels that it pays of every slide that is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from typing import TYPE_CHECKING

import numpy as np

from benchmark.budgets.allotment import Allotment, Regions
from benchmark.budgets.budget import RunBudget
from benchmark.budgets.nested_order import ROUNDING
from benchmark.dataset import Dataset, Split
from benchmark.errors import BlankSlideError
from benchmark.slides import PatchSet
from benchmark.supervision import COUNTERS, Budget, Spending, Supervision
from benchmark.two_classes import seen_by

if TYPE_CHECKING:
    from benchmark.method import Method
    from benchmark.slides import Slide


FREE = "as much as it asks for: it costs nothing"
EVERY_SLIDE = "a limit per slide holds for every slide"
"""The rule by which a share is one of more reviews than before, where the method limits those of a slide."""


def paid_reviews(budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset) -> Allotment:
    """So many reviews in all. A share is one of those that the method would ask for without a budget."""
    if budget.unit == "share":
        whole = _asked(method, dataset, dataset.slides(Split.TRAIN))
        number, of = floor(budget.amount * whole + ROUNDING), f" of {whole}"
    else:
        price = prices[COUNTERS[Supervision.REVIEW]]
        if not price:
            return Allotment(Spending(budget.text), notes=FREE)
        number, of = floor(budget.amount / price + ROUNDING), ""
    if short := _too_few(budget, number, of, method, dataset):
        return Allotment(Spending(budget.text), short=short)
    text = f"at most {number}{of} reviews"
    revised = [EVERY_SLIDE] if budget.unit == "share" and _limit(method).per_slide is not None else []
    spending = Spending(budget.text, reviews=number)
    return Allotment(spending, notes=text, bounds=("reviews", number), revised=revised)


def paid_per_slide(budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset) -> Allotment:
    """The labels of each scored slide: minutes are divided equally, a share is one of what the slide would be given."""
    kind = Supervision.COARSE if Supervision.COARSE in method.supervision else Supervision.REVIEW
    slides = [slide for split in _labelled_splits(method) for slide in dataset.slides(split)]
    if budget.unit == "slides":
        short = "it is given labels of every slide that it scores: give it % or minutes"
        return Allotment(Spending(budget.text), short=short)
    number = None
    if budget.unit == "minutes":
        price, each = prices[COUNTERS[kind]], budget.amount / max(1, len(slides))
        if not price:
            return Allotment(Spending(budget.text), notes=FREE)
        number = floor(each / price + ROUNDING)
        if not number:
            what = f"a budget of {budget.text} is {each:.3g} min for each of the {len(slides)} slides"
            return Allotment(Spending(budget.text), short=f"{what}; {COUNTERS[kind]} cost {price:g} each")
    if kind is Supervision.COARSE:
        return _regions(budget, number, slides)
    return _reviews_of(budget, number, slides, method, dataset)


def _regions(budget: RunBudget, number: int | None, slides: Sequence[Slide]) -> Allotment:
    """So many regions of every slide, or a share of them."""
    spending = Spending(budget.text)
    if any(isinstance(slide, PatchSet) for slide in slides):
        return Allotment(spending, short="of a set of tiles no regions are drawn")
    if number is None:
        text = f"{budget.text} of the regions of each slide, one at least"
        return Allotment(spending, regions=Regions(budget.amount), notes=text, bounds=("regions", budget.text))
    text = f"at most {number} regions of each of {len(slides)} slides"
    return Allotment(spending, regions=Regions(number=number), notes=text, bounds=("regions", number))


def _reviews_of(
    budget: RunBudget, number: int | None, slides: Sequence[Slide], method: Method, dataset: Dataset
) -> Allotment:
    """So many reviews of every slide, or a share of them, one at least of a slide with tissue."""
    if number is None:
        asked = {slide.id: _asked(method, dataset, [slide]) for slide in slides}
        most = {name: max(min(1, whole), floor(budget.amount * whole + ROUNDING)) for name, whole in asked.items()}
    else:
        most = {slide.id: number for slide in slides}
    if short := _too_few(budget, max(most.values(), default=0), " of any slide", method, dataset):
        return Allotment(Spending(budget.text), short=short)
    given, first = [own for own in most.values() if own], _begun_with(method, dataset)
    text = f"at most {min(given)} to {max(given)} reviews of each of {len(given)} slides"
    if few := sum(own <= first for own in given):
        text += f", of {few} no more than the queries it begins with"
    if blank := len(most) - len(given):
        text += f"; {blank} without tissue"
    return Allotment(Spending(budget.text, reviews_of=most), notes=text, bounds=("reviews", *sorted(most.items())))


def _begun_with(method: Method, dataset: Dataset) -> int:
    """How many reviews are spent on queries, before anything is learnt."""
    return method.review_counts(len(seen_by(method, dataset).classes)).first


def _too_few(budget: RunBudget, number: int, of: str, method: Method, dataset: Dataset) -> str:
    """Why so few reviews teach nothing; empty where they may."""
    first = _begun_with(method, dataset)
    if number > first:
        return ""
    queries = f"; it begins with {first} queries (--set queries=…)" if first else ""
    return f"a budget of {budget.text} pays {number or 'no'} review{'s' * (number != 1)}{of}{queries}"


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
