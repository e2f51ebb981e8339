"""The order in which training slides are labelled: what a budget pays is a beginning of it, so budgets are nested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from benchmark.dataset import Dataset, Split
from benchmark.seeds import seed_of

if TYPE_CHECKING:
    from benchmark.slides import Slide

ROUNDING = 1e-9
"""A share of the units that falls short of a whole slide by no more than this still pays it."""


@dataclass(frozen=True)
class Counted:
    """A slide, how many units it has, and which classes they are of: 0 negative, 1 positive; none where unlabelled."""

    slide: Slide
    units: int
    classes: frozenset[int]


_counted: WeakKeyDictionary[Dataset, dict[Split, tuple[Counted, ...]]] = WeakKeyDictionary()


def counted(dataset: Dataset, split: Split) -> tuple[Counted, ...]:
    """The slides of a split with their units, read once per dataset."""
    known = _counted.setdefault(dataset, {})
    if split not in known:
        known[split] = tuple(_count(dataset, slide) for slide in dataset.slides(split))
    return known[split]


def _count(dataset: Dataset, slide: Slide) -> Counted:
    if not dataset.labelled(slide):
        grid = dataset.unit_grid(slide)
        return Counted(slide, grid.rows * grid.cols, frozenset())
    labels = dataset.unit_labels(slide)
    return Counted(slide, int(labels.size), frozenset(labels.ravel().tolist()))


def nested_order(slides: Sequence[Counted], seed: int) -> list[Counted]:
    """All slides, in the order in which they are labelled.

    Slides are stratified by the classes of their units. Within a stratum the patients take turns, in the order of a
    hash of seed and patient; the slides of a patient come in the order of a hash of seed and slide. The i-th of the n
    slides of a stratum (from 0) stands at (i + 1/2) / n among all, but the first one of every stratum stands at the
    beginning. So every beginning has about the strata of the whole, and as many patients as it can have.
    """
    strata: dict[frozenset[int], dict[str, list[Counted]]] = {}
    for each in slides:
        strata.setdefault(each.classes, {}).setdefault(each.slide.patient or each.slide.id, []).append(each)
    placed = []
    for patients in strata.values():
        turns = [
            (turn, seed_of("budget", seed, "patient", patient), each)
            for patient, own in patients.items()
            for turn, each in enumerate(sorted(own, key=lambda each: seed_of("budget", seed, "slide", each.slide.id)))
        ]
        stratum = [each for *_, each in sorted(turns, key=lambda turn: (*turn[:2], turn[2].slide.id))]
        for number, each in enumerate(stratum):
            place = (number + 0.5) / len(stratum) if number else 0.0
            placed.append((place, seed_of("budget", seed, "slide", each.slide.id), each))
    return [each for *_, each in sorted(placed, key=lambda entry: (*entry[:2], entry[2].slide.id))]


def paid_by_units(order: Sequence[Counted], share: float) -> int:
    """How many slides of a beginning of `order` have together no more than that share of all units."""
    sums = list(accumulate(each.units for each in order))
    allowed = share * (sums[-1] if sums else 0) + ROUNDING
    return sum(total <= allowed for total in sums)


def lacks_class(beginning: Sequence[Counted], whole: Sequence[Counted]) -> bool:
    """Whether a class that the whole has is in no unit of the beginning."""
    return classes_of(beginning) != classes_of(whole)


def classes_of(slides: Sequence[Counted]) -> frozenset[int]:
    """The classes of their units together."""
    return frozenset[int]().union(*(each.classes for each in slides))


def least(order: Sequence[Counted]) -> int:
    """The fewest slides of a beginning that has every class, and one slide at least; 0 without slides."""
    return next((count for count in range(1, len(order) + 1) if not lacks_class(order[:count], order)), 0)
