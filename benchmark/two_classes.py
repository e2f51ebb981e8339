"""What a method that tells only two classes apart sees of a dataset with more: the positive classes and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.dataset import Dataset
    from benchmark.method import Method
    from benchmark.slides import Grid, Slide


class TwoClassView:
    """A dataset whose class 1 are its `positive` classes and whose class 0 is the rest; all else as it is."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    @property
    def classes(self) -> tuple[str, ...]:
        """`rest`, and the names of the positive classes."""
        return "rest", "+".join(self._dataset.classes[index] for index in sorted(self._dataset.positive))

    @property
    def positive(self) -> frozenset[int]:
        """Class 1."""
        return frozenset({1})

    def truth(self, slide: Slide) -> Annotation:
        """The expert's annotation, of two classes."""
        return self._reduced(self._dataset.truth(slide))

    def coarse(self, slide: Slide) -> Annotation:
        """The coarse annotation, of two classes."""
        return self._reduced(self._dataset.coarse(slide))

    def annotated(self, slide: Slide) -> bool:
        """As it is."""
        return self._dataset.annotated(slide)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """As they are: 1 positive, 0 negative."""
        return self._dataset.unit_labels(slide)

    def unit_grid(self, slide: Slide) -> Grid:
        """As it is."""
        return self._dataset.unit_grid(slide)

    def patch_grid(self, slide: Slide) -> Grid:
        """As it is."""
        return self._dataset.patch_grid(slide)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """As it is."""
        return self._dataset.evaluation_grid(slide)

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_] | None:
        """As it is."""
        return self._dataset.tissue(slide, grid)

    def _reduced(self, annotation: Annotation) -> Annotation:
        from benchmark.annotations.two_class_annotation import TwoClasses

        return TwoClasses(annotation, self._dataset.positive, len(self._dataset.classes))


def seen_by(method: Method | type[Method], dataset: Dataset) -> Dataset | TwoClassView:
    """The dataset as a method sees it: as it is where the method tells all classes apart, or there are only two."""
    return dataset if method.multiclass or len(dataset.classes) == 2 else TwoClassView(dataset)
