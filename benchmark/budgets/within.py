"""A dataset as far as a budget pays it: some training and validation slides, a part of each coarse annotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.budgets.allotment import Allotment
from benchmark.budgets.part_of import part_of, pieces
from benchmark.dataset import Dataset, Split
from benchmark.seeds import seed_of

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.slides import Slide


class _WithinBudget(Dataset):
    """Put before a dataset's own class, so that everything else is as it is there."""

    _whole: Dataset
    _allotment: Allotment
    _seed: int

    def slides(self, split: Split) -> Sequence[Slide]:
        """Those whose labels are paid; all that are scored."""
        slides, shown = self._whole.slides(split), self._allotment.shown
        if shown is None or split is Split.TEST:
            return slides
        return [slide for slide in slides if slide.id in shown[split]]

    def coarse(self, slide: Slide) -> Annotation:
        """The regions that are paid, in the order of a hash of seed, slide and number; holes cut them as before."""
        annotation, regions = self._whole.coarse(slide), self._allotment.regions
        if regions is None:
            return annotation
        outlines = pieces(annotation)
        drawn = [number for number, outline in enumerate(outlines) if outline.label]
        drawn.sort(key=lambda number: seed_of("budget", self._seed, "region", slide.id, number))
        lost = frozenset(drawn[regions.of(len(drawn)) :])
        if not lost:
            return annotation
        return part_of(annotation, frozenset(range(len(outlines))) - lost, len(outlines))


def within_budget(dataset: Dataset, allotment: Allotment, seed: int) -> Dataset:
    """The same data as far as the allotment pays them."""
    kind = type(dataset)
    paid: Dataset = object.__new__(type(kind.__name__, (_WithinBudget, kind), {"__module__": kind.__module__}))
    paid.__dict__.update(dataset.__dict__)
    assert isinstance(paid, _WithinBudget)
    paid._whole, paid._allotment, paid._seed = dataset, allotment, seed
    return paid
