"""What a budget comes to for a method on a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.budgets.allotment import Allotment
from benchmark.budgets.budget import RunBudget
from benchmark.budgets.paid_reviews import paid_per_slide, paid_reviews
from benchmark.budgets.paid_slides import paid_slides
from benchmark.dataset import Dataset
from benchmark.supervision import Spending, Supervision

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
    """
    kinds = method.supervision
    if not kinds:
        return Allotment(Spending(budget.text), short=NO_LABELS)
    if method.transductive():
        return paid_per_slide(budget, prices, method, dataset)
    if kinds == {Supervision.REVIEW} and budget.unit != "slides":
        return paid_reviews(budget, prices, method, dataset)
    if budget.unit == "minutes" and Supervision.PIXEL in kinds:
        return Allotment(Spending(budget.text), short=CHOSEN_WHILE_LEARNING)
    return paid_slides(budget, prices, method, dataset, seed)
