"""The slides that a budget pays: a beginning of their nested order, and the same share of the validation slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from benchmark.budgets.allotment import Allotment
from benchmark.budgets.budget import ROUNDING, RunBudget, least_text
from benchmark.budgets.nested_order import (
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
    train, validation = (nested_order(counted(dataset, split), seed) for split in (Split.TRAIN, Split.VALIDATION))
    if budget.unit == "slides" and budget.amount > len(train):
        what = f"{budget.text} are more than the {len(train)} training slides"
        return Allotment(Spending(budget.text), short=what)
    offer = _Offer(train, validation, prices, method, dataset)
    number = offer.paid(budget)
    beginning, aside = train[:number], offer.alongside(number)
    units = sum(each.units for each in beginning)
    text = f"{number} of {len(train)} training slides"
    if offer.units != len(train):
        text += f" ({units} of {offer.units} units)"
    if not beginning or lacks_class(beginning, train):
        return Allotment(Spending(budget.text), short=_too_small(budget, text, offer))
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


@dataclass(frozen=True)
class _Offer:
    """Both splits in their nested order, and what the labels of their slides take."""

    train: Sequence[Counted]
    validation: Sequence[Counted]
    prices: Mapping[str, float]
    method: Method
    dataset: Dataset

    @property
    def units(self) -> int:
        """Of all training slides."""
        return sum(each.units for each in self.train)

    def paid(self, budget: RunBudget | None) -> int:
        """How many training slides a budget pays; None pays all."""
        if budget is None:
            return len(self.train)
        if budget.unit == "share":
            return paid_by_units(self.train, budget.amount)
        if budget.unit == "slides":
            return round(budget.amount)
        return sum(total <= budget.amount + ROUNDING for total in self.minutes)

    @cached_property
    def minutes(self) -> list[float]:
        """What the first training slides take, one, two …, together with the validation slides beside them."""
        aside = [0.0, *accumulate(self._minutes(self.validation))]
        costs = accumulate(self._minutes(self.train))
        return [cost + aside[len(self.alongside(number))] for number, cost in enumerate(costs, start=1)]

    def alongside(self, number: int) -> Sequence[Counted]:
        """The validation slides beside `number` training slides: the same share of their units.

        None where that would leave out a class: nothing could be selected on them.
        """
        share = sum(each.units for each in self.train[:number]) / self.units if self.units else 0.0
        aside = self.validation[: paid_by_units(self.validation, share)]
        return [] if lacks_class(aside, self.validation) else aside

    def _minutes(self, slides: Sequence[Counted]) -> list[float]:
        """Of an expert, for the labels of each slide."""
        seen = seen_by(self.method, self.dataset)
        counts = [self.method.label_counts(each.slide, seen) for each in slides]
        return [sum(number * self.prices[name] for name, number in each.items()) for each in counts]


def _too_small(budget: RunBudget, text: str, offer: _Offer) -> str:
    """Why a budget is too small, and what the least would be."""
    count = least(offer.train)
    needed = f"{count} slide{'s' * (count != 1)}"
    if count and budget.unit != "slides":
        share = 100 * sum(each.units for each in offer.train[:count]) / max(1, offer.units)
        amount = offer.minutes[count - 1] if budget.unit == "minutes" else share
        needed += f" ({least_text(amount, budget.unit, lambda known: offer.paid(known) == count)})"
    return f"a budget of {budget.text} pays {text}, less than one patient of each class, which takes {needed}"
