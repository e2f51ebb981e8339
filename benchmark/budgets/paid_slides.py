"""The slides that a budget pays: a beginning of their nested order, and the same share of the validation slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from benchmark.budgets.allotment import Allotment
from benchmark.budgets.budget import RunBudget
from benchmark.budgets.nested_order import (
    ROUNDING,
    Counted,
    across_strata,
    counted,
    lacks_class,
    least,
    nested_order,
    paid_by_units,
)
from benchmark.dataset import Dataset, Split
from benchmark.supervision import Spending
from benchmark.two_classes import seen_by

if TYPE_CHECKING:
    from benchmark.method import Method

ACROSS = "patients take turns across strata"
"""The rule that draws other slides than the one before where a patient has slides in several strata."""


def paid_slides(
    budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset, seed: int
) -> Allotment:
    """So many slides of the nested order; of the validation slides, the same share of the units."""
    train = nested_order(counted(dataset, Split.TRAIN), seed)
    validation = nested_order(counted(dataset, Split.VALIDATION), seed)
    if budget.unit == "slides" and budget.amount > len(train):
        what = f"{budget.text} are more than the {len(train)} training slides"
        return Allotment(Spending(budget.text), short=what)
    number = _paid(budget, prices, method, dataset, train, validation)
    beginning, aside = train[:number], _alongside(train, number, validation)
    units, everything = sum(each.units for each in beginning), sum(each.units for each in train)
    text = f"{number} of {len(train)} training slides"
    if everything != len(train):
        text += f" ({units} of {everything} units)"
    if not beginning or lacks_class(beginning, train):
        return Allotment(Spending(budget.text), short=_too_small(budget, text, train, prices, method, dataset))
    withheld = {each.slide.id for each in (*train[number:], *validation[len(aside) :])}
    spending = Spending(
        budget.text,
        withheld=frozenset(withheld),
        paid=f"it pays {text} and {len(aside)} of {len(validation)} validation slides",
        minutes=budget.amount if budget.unit == "minutes" else None,
        prices=dict(prices),
    )
    shown = {split: frozenset(s.slide.id for s in own) for split, own in _parts(beginning, aside).items()}
    revised = [ACROSS] if withheld and (across_strata(train) or across_strata(validation)) else []
    return Allotment(spending, shown=shown if withheld else None, notes=text, revised=revised)


def _parts(train: Sequence[Counted], validation: Sequence[Counted]) -> dict[Split, Sequence[Counted]]:
    return {Split.TRAIN: train, Split.VALIDATION: validation}


def _paid(
    budget: RunBudget,
    prices: Mapping[str, float],
    method: Method,
    dataset: Dataset,
    train: Sequence[Counted],
    validation: Sequence[Counted],
) -> int:
    """How many training slides a budget pays."""
    if budget.unit == "share":
        return paid_by_units(train, budget.amount)
    if budget.unit == "slides":
        return round(budget.amount)
    costs = _minutes(train, prices, method, dataset)
    aside = [0.0, *accumulate(_minutes(validation, prices, method, dataset))]
    totals = [
        cost + aside[len(_alongside(train, number, validation))]
        for number, cost in enumerate(accumulate(costs), start=1)
    ]
    return sum(total <= budget.amount + ROUNDING for total in totals)


def _minutes(slides: Sequence[Counted], prices: Mapping[str, float], method: Method, dataset: Dataset) -> list[float]:
    """Of an expert, for the labels of each slide."""
    seen = seen_by(method, dataset)
    counts = [method.label_counts(each.slide, seen) for each in slides]
    return [sum(number * prices[name] for name, number in each.items()) for each in counts]


def _alongside(train: Sequence[Counted], number: int, validation: Sequence[Counted]) -> Sequence[Counted]:
    """The validation slides beside `number` training slides: the same share of their units.

    None where that would leave out a class: nothing could be selected on them.
    """
    total = sum(each.units for each in train)
    share = sum(each.units for each in train[:number]) / total if total else 0.0
    aside = validation[: paid_by_units(validation, share)]
    return [] if lacks_class(aside, validation) else aside


def _too_small(
    budget: RunBudget,
    text: str,
    train: Sequence[Counted],
    prices: Mapping[str, float],
    method: Method,
    dataset: Dataset,
) -> str:
    """Why a budget is too small, and what the least would be."""
    count = least(train)
    needed = f"{count} slide{'s' * (count != 1)}"
    if budget.unit == "minutes":
        needed += f" ({sum(_minutes(train[:count], prices, method, dataset)):.4g} min)"
    elif budget.unit == "share":
        share = sum(each.units for each in train[:count]) / max(1, sum(each.units for each in train))
        needed += f" ({100 * share:.3g}%)"
    return f"a budget of {budget.text} pays {text}, less than one patient of each class, which takes {needed}"
