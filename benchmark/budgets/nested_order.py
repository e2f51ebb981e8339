"""The order in which training slides are labelled: what a budget pays is a beginning of it, so budgets are nested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from benchmark.budgets.budget import ROUNDING
from benchmark.dataset import Dataset, Split
from benchmark.seeds import seed_of

if TYPE_CHECKING:
    from benchmark.slides import Slide


@dataclass(frozen=True)
class Counted:
    """A slide, how many units it has, and which classes they are of: 0 negative, 1 positive; none where unlabelled."""

    slide: Slide
    units: int
    classes: frozenset[int]

    @property
    def patient(self) -> str:
        """Whose slide it is; where nobody says, nobody else's."""
        return self.slide.patient or self.slide.id


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

    Slides are stratified by the classes of their units. The i-th of the n slides of a stratum (from 0) stands at
    (i + 1/2) / n among all, but the first one of every stratum stands at the beginning. Which slide that is: of the
    patient who has had the fewest so far, in all strata together; of equal ones, in this stratum; then in the order of
    a hash of seed and patient. The slides of a patient come in the order of a hash of seed and slide, which also
    orders strata that stand at one place. So every beginning has about the strata of the whole, and few slides are
    spread over many patients, also where a patient has slides in several strata.
    """
    used: Counter[str] = Counter()
    strata = [_Stratum(own, seed) for own in by_stratum(slides).values()]
    order = []
    while strata:
        first = min(stratum.place for stratum in strata)
        next_ones = [(stratum.next(used), stratum) for stratum in strata if stratum.place == first]
        each, stratum = min(next_ones, key=lambda pair: (_hash(seed, pair[0]), pair[0].slide.id))
        stratum.take(used)
        order.append(each)
        strata = [stratum for stratum in strata if stratum.queue]
    return order


class _Stratum:
    """The slides of a stratum that are not in the order yet."""

    def __init__(self, slides: Sequence[Counted], seed: int) -> None:
        self.size, self.taken = len(slides), 0
        self._left: dict[str, list[Counted]] = {}
        for each in sorted(slides, key=lambda each: (_hash(seed, each), each.slide.id), reverse=True):
            self._left.setdefault(each.patient, []).append(each)
        self.queue = [(0, 0, seed_of("budget", seed, "patient", patient), patient) for patient in self._left]
        """A heap of (slides used in all strata when it was put there, in this one, hash, patient)."""
        heapify(self.queue)

    @property
    def place(self) -> float:
        """Where its next slide stands among all, from 0 to 1."""
        return (self.taken + 0.5) / self.size if self.taken else 0.0

    def next(self, used: Counter[str]) -> Counted:
        """Its next slide. `used`: how many slides of each patient are in the order."""
        known, here, tie, patient = self.queue[0]
        while known != used[patient]:
            heapreplace(self.queue, (used[patient], here, tie, patient))
            known, here, tie, patient = self.queue[0]
        return self._left[patient][-1]

    def take(self, used: Counter[str]) -> None:
        """Put its next slide into the order."""
        _, here, tie, patient = heappop(self.queue)
        self._left[patient].pop()
        used[patient] += 1
        self.taken += 1
        if self._left[patient]:
            heappush(self.queue, (used[patient], here + 1, tie, patient))


def by_stratum(slides: Sequence[Counted]) -> dict[frozenset[int], list[Counted]]:
    """Classes of the units → the slides that have these."""
    strata: dict[frozenset[int], list[Counted]] = {}
    for each in slides:
        strata.setdefault(each.classes, []).append(each)
    return strata


def across_strata(slides: Sequence[Counted]) -> bool:
    """Whether a patient has slides in several strata."""
    patients = [{each.patient for each in own} for own in by_stratum(slides).values()]
    return sum(map(len, patients)) > len(set().union(*patients))


def _hash(seed: int, each: Counted) -> int:
    return seed_of("budget", seed, "slide", each.slide.id)


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
