"""What a budget comes to for a method on a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.budgets.allotment import Allotment
from benchmark.budgets.budget import RunBudget
from benchmark.budgets.paid_reviews import paid_kind, paid_per_slide, paid_reviews
from benchmark.budgets.paid_slides import paid_slides
from benchmark.dataset import Dataset, Split
from benchmark.errors import ConfigError
from benchmark.supervision import COUNTERS, Spending, Supervision
from benchmark.two_classes import seen_by

if TYPE_CHECKING:
    from benchmark.method import Method

NO_LABELS = "it learns from no labels, so that no budget changes it"
CHOSEN_WHILE_LEARNING = (
    "which patches are drawn in detail is chosen while it learns, so that their minutes are not known beforehand: "
    "give it a budget in % or in slides"
)


def allot(budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset, seed: int) -> Allotment:
    """What a budget comes to for a method; the same slides for all methods, but for minutes.

    Methods that only ask for reviews see all slides and spend the budget by their own choice of patches, except for a
    budget in slides. Refiners, and reviews of the slides that are scored, get their part of it per slide.
    Raises `ConfigError` for minutes where what the method is given of these slides has no price.
    """
    kinds = method.supervision
    if not kinds:
        return Allotment(Spending(budget.text), short=NO_LABELS)
    if budget.unit == "minutes" and Supervision.PIXEL in kinds and not method.transductive():
        return Allotment(Spending(budget.text), short=CHOSEN_WHILE_LEARNING)
    if budget.unit == "minutes":
        _require_prices(budget, prices, method, dataset)
    if method.transductive():
        return paid_per_slide(budget, prices, method, dataset)
    if kinds == {Supervision.REVIEW} and budget.unit != "slides":
        return paid_reviews(budget, prices, method, dataset)
    return paid_slides(budget, prices, method, dataset, seed)


def _require_prices(budget: RunBudget, prices: Mapping[str, float], method: Method, dataset: Dataset) -> None:
    """Raise `ConfigError` where something that the method is given of these slides has no minutes."""
    for counter in sorted(_counters(method, dataset) - set(prices)):
        what = f"{method.name} learns from {counter} of {dataset.name}, for which the cost model has no minutes"
        raise ConfigError(f"--budget {budget.text}: {what}", fix=f"--cost-model FILE with {counter}: minutes")


def _counters(method: Method, dataset: Dataset) -> frozenset[str]:
    """What the ledger counts of the labels of a method: of tiles the classes, where other slides have masks."""
    if method.transductive():
        return frozenset({COUNTERS[paid_kind(method)]})
    seen = seen_by(method, dataset)
    slides = [slide for split in (Split.TRAIN, Split.VALIDATION) for slide in dataset.slides(split)]
    counted = {name for slide in slides for name in method.label_counts(slide, seen)}
    reviewed = method.supervision & {Supervision.REVIEW}
    return frozenset(counted) | {COUNTERS[kind] for kind in reviewed}
