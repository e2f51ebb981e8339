"""A dataset of which a few slides of each split are left, for a first look at data that are large."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from benchmark.dataset import Dataset, Split

if TYPE_CHECKING:
    from benchmark.slides import Slide


class _FewSlides(Dataset):
    """Put before a dataset's own class, so that everything else is as it is there."""

    _few: Mapping[Split, Sequence[Slide]]

    def slides(self, split: Split) -> Sequence[Slide]:
        """Those that were drawn."""
        return self._few[split]

    def missing(self, split: Split) -> Mapping[str, str]:
        """None: only slides that can be used were drawn."""
        return {}

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """The parts of the test split, as far as their slides were drawn."""
        drawn = {slide.id for slide in self._few[Split.TEST]}
        parts = {name: [slide for slide in part if slide.id in drawn] for name, part in super().subsets().items()}
        return {name: part for name, part in parts.items() if part}


def few_slides(dataset: Dataset, number: int) -> Dataset:
    """The same data with at most `number` slides of each split.

    The order of the draw is that of a digest of the slides' ids, positive and negative slides in turn, so a smaller
    number gives a subset of a larger one, on every machine. The slides keep the dataset's order.
    """
    kind = type(dataset)
    few: Dataset = object.__new__(type(kind.__name__, (_FewSlides, kind), {"__module__": kind.__module__}))
    few.__dict__.update(dataset.__dict__)
    assert isinstance(few, _FewSlides)
    few._few = {split: _drawn(dataset, dataset.slides(split), number) for split in Split}
    return few


def _drawn(dataset: Dataset, slides: Sequence[Slide], number: int) -> list[Slide]:
    if len(slides) <= number:
        return list(slides)
    order = sorted(slides, key=lambda slide: hashlib.sha256(slide.id.encode()).digest())
    positive = [slide for slide in order if dataset.labelled(slide) and dataset.unit_labels(slide).any()]
    known = {slide.id for slide in positive}
    negative = [slide for slide in order if slide.id not in known]
    turns = chain.from_iterable(zip_longest(positive, negative))
    chosen = {slide.id for slide in [slide for slide in turns if slide is not None][:number]}
    return [slide for slide in slides if slide.id in chosen]
