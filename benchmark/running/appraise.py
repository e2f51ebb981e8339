"""How good an annotation is after so many reviews: scored by the harness, logged, and never told to the method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.context import ClassMap
from benchmark.expert import cell_classes
from benchmark.identity import digest_of
from benchmark.metrics import multiclass
from benchmark.metrics.retrieval import mean_precision_at_10, neighbour_hits, perfect_share_at_10

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.slides import Slide
    from benchmark.two_classes import TwoClassView

MOST = 20_000
"""P@10 compares every cell with every other; of more cells it is left out."""


class Appraiser:
    """Scores class maps against the truth. `slides`: the test slides, as pixels, on which a method may be watched.

    `data`: a digest of the files of the dataset, test set included. `digest`: of that and of which slides are watched.
    """

    def __init__(self, dataset: Dataset | TwoClassView, slides: Sequence[Slide], data: str) -> None:
        self.slides = slides
        self.digest = digest_of([data, [slide.id for slide in slides]])
        self._dataset = dataset
        self._truths: dict[tuple[str, str, float | None], NDArray[np.int8]] = {}

    def __call__(self, maps: Sequence[ClassMap], *, share: float | None, only: int | None) -> Mapping[str, float]:
        """The metrics of all counted cells together; none where the truth of no slide is known.

        `share`: see `cell_classes`. `only`: tell this class from all others.
        """
        truths, predicted, embeddings = [], [], []
        for each in maps:
            if not self._dataset.annotated(each.slide) or self._dataset.uncounted(each.slide):
                continue
            truth = self._truth(each, share)
            if only is not None:
                truth = np.where(truth < 0, truth, np.where(truth == only, only, 0)).astype(np.int8)
            counted = (each.classes >= 0) & (truth >= 0)
            truths.append(truth[counted])
            predicted.append(each.classes[counted])
            if each.embeddings is not None:
                embeddings.append(each.embeddings[counted[each.classes >= 0]])
        if not truths or not sum(part.size for part in truths):
            return {}
        wanted, given = np.concatenate(truths), np.concatenate(predicted)
        metrics = class_metrics(wanted, given, self._dataset.classes)
        if len(embeddings) == len(truths) and wanted.size <= MOST:
            hits = neighbour_hits(np.concatenate(embeddings), wanted)
            for name, value in (
                ("p_at_10", mean_precision_at_10(hits, wanted)),
                ("perfect_p_at_10", perfect_share_at_10(hits, wanted)),
            ):
                if value is not None:
                    metrics[name] = value
        return metrics

    def _truth(self, each: ClassMap, share: float | None) -> NDArray[np.int8]:
        """The class of every cell of the map's grid; -1 where the annotation says that nobody knows."""
        key = (each.slide.id, each.grid.digest, share)
        if key not in self._truths:
            annotation = self._dataset.truth(each.slide)
            truth = cell_classes(annotation, each.grid, len(self._dataset.classes), share)
            self._truths[key] = np.where(annotation.ignored(each.grid), -1, truth).astype(np.int8)
        return self._truths[key]


def class_metrics(truth: NDArray[np.int8], predicted: NDArray[np.int8], classes: Sequence[str]) -> dict[str, float]:
    """Accuracy, F1 and Jaccard of every class, and their means over classes (`metrics.multiclass`).

    `truth`, `predicted`: class indices, n ≥ 1.
    """
    matrix = multiclass.confusion_matrix(truth, predicted, len(classes))
    metrics = {
        "accuracy": float(multiclass.accuracy(matrix)),
        "f1_macro": float(multiclass.f1_macro(matrix)),
        "jaccard_macro": float(multiclass.jaccard_macro(matrix)),
    }
    for name, f1, jaccard in zip(
        classes, multiclass.f1_per_class(matrix), multiclass.jaccard_per_class(matrix), strict=True
    ):
        metrics |= {f"f1_{name}": float(f1), f"jaccard_{name}": float(jaccard)}
    return metrics
