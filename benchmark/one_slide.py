"""A dataset of which one slide is left: what a person annotated, scored like any test slide."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.dataset import Dataset, Split
from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.slides import Slide


class _OneSlide(Dataset):
    """Put before a dataset's own class, so that everything else is as it is there."""

    _only: Slide

    def slides(self, split: Split) -> Sequence[Slide]:
        """The one slide, as a test slide."""
        return [self._only] if split is Split.TEST else []

    def missing(self, split: Split) -> Mapping[str, str]:
        """None: no other slide is expected."""
        return {}

    @property
    def excluded(self) -> Mapping[str, str]:
        """None: nothing was chosen from."""
        return {}

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """None."""
        return {}


def one_slide(dataset: Dataset, name: str) -> Dataset:
    """The same data with one slide, of whichever split, as the test slide. Raises `DataError` for an unknown id."""
    slides = dataset.usable()
    if name not in slides:
        near = difflib.get_close_matches(name, slides, n=3, cutoff=0.3) or list(slides)[:3]
        msg = f"{dataset.name} has no slide {name!r} that can be used; some of its {len(slides)}: {', '.join(near)}"
        raise DataError(msg, fix=f"--slide {near[0]}")
    kind = type(dataset)
    only: Dataset = object.__new__(type(kind.__name__, (_OneSlide, kind), {"__module__": kind.__module__}))
    only.__dict__.update(dataset.__dict__)
    assert isinstance(only, _OneSlide)
    only._only = slides[name]
    return only
