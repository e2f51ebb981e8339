"""The sums and unit scores of a slide that all metrics are computed from, so that no map is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import PredictionError
from benchmark.metrics.objects import ObjectEvidence, compare_objects, connected
from benchmark.metrics.ranked import Ranked
from benchmark.metrics.refinement import RefinementEvidence
from benchmark.metrics.score_sums import ScoreSums
from benchmark.metrics.segmentation import Confusion


@dataclass(frozen=True, eq=False)
class Embedded:
    """Cells in a feature space, `values` n × d, and their true classes, `labels` n."""

    values: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SlideEvidence:
    """One slide's contribution to every metric.

    `cells`: truth against prediction over the tissue cells that have a score, None without a truth;
    `ranked`: the scores of these cells, by class; `sums`: the same for calibration.
    `scored` and `unscored`: how many tissue cells have a score and how many have none.
    `objects`, `coarse`: None where there is no object annotation, or no coarse one. `annotation`: truth against the
    coarse annotation over the cells of `cells`, so that a refiner is compared with what it was given.
    `unit_labels` (n, 0 or 1) and `unit_scores` (n, NaN = not scored): the image-level part. `counted`: False where the
    truth has known gaps: nothing is counted cell by cell. `classes`: confusion matrix of all classes (truth ×
    predicted) over the cells of `cells`, None where the prediction has none.
    `embedded`: cells in the method's feature space. `before`, `units_before`: as `sums` and `unit_scores`, before
    scores were scaled by a temperature.
    """

    slide: str
    patient: str
    subset: str | None
    cells: Confusion | None
    scored: int
    unscored: int
    objects: ObjectEvidence | None
    coarse: RefinementEvidence | None
    unit_labels: NDArray[np.int8]
    unit_scores: NDArray[np.float32]
    annotation: Confusion | None = None
    ranked: Ranked | None = None
    counted: bool = True
    classes: NDArray[np.int64] | None = None
    embedded: Embedded | None = None
    sums: ScoreSums | None = None
    before: ScoreSums | None = None
    units_before: NDArray[np.float32] | None = None


def uncounted(
    slide: str,
    patient: str,
    *,
    scores: NDArray[np.float32],
    unit_labels: NDArray[np.int8],
    unit_scores: NDArray[np.float32],
    tissue: NDArray[np.bool_] | None = None,
    objects: bool = False,
    subset: str | None = None,
) -> SlideEvidence:
    """The evidence of a slide whose truth has known gaps: its units, how much of it is scored, and no cell or object.

    `objects`: the dataset numbers objects. Arguments and errors are those of `gather`.
    """
    evidence = gather(
        slide,
        patient,
        truth=None,
        scores=scores,
        unit_labels=unit_labels,
        unit_scores=unit_scores,
        tissue=tissue,
        subset=subset,
    )
    return replace(
        evidence,
        cells=Confusion(),
        objects=ObjectEvidence() if objects else None,
        coarse=RefinementEvidence(),
        annotation=Confusion(),
        ranked=Ranked.pooled([]),
        sums=ScoreSums.pooled([]),
        before=ScoreSums.pooled([]),
        counted=False,
    )


def gather(
    slide: str,
    patient: str,
    *,
    truth: NDArray[np.int8] | None,
    scores: NDArray[np.float32],
    mask: NDArray[np.bool_] | None = None,
    unit_labels: NDArray[np.int8],
    unit_scores: NDArray[np.float32],
    tissue: NDArray[np.bool_] | None = None,
    instances: NDArray[np.int32] | None = None,
    coarse: NDArray[np.int8] | None = None,
    subset: str | None = None,
    unscaled: NDArray[np.float32] | None = None,
) -> SlideEvidence:
    """Reduce one slide's maps (all rows × cols of the evaluation grid) to the sums that the metrics need.

    A cell is predicted positive when its score > 0.5, strictly: a tie goes to the negative class, as with argmax.
    `mask`, the method's own decision (after its post-processing), takes the place of that rule; a cell without a
    score stays out either way. Without a `truth`, only the units count.
    In `truth` and `coarse` every class above 0 is positive. Cells outside `tissue` (default: everything is tissue)
    count nowhere. Predicted objects are the 8-connected components of the positive cells, holes left open; they are
    compared with the numbered objects of `instances` where the truth is positive. Units may come as a grid.
    `unscaled`: the scores before they were scaled by a temperature.

    Raises `PredictionError` when shapes or labels do not fit, naming the slide.
    """
    like, whose = (scores, "scores") if truth is None else (truth, "truth")
    maps = {"scores": scores, "mask": mask, "tissue": tissue, "instances": instances, "coarse": coarse}
    maps["unscaled"] = unscaled
    for name, array in maps.items():
        if array is not None and array.shape != like.shape:
            msg = f"slide {slide!r}: expected {name} of shape {like.shape} (that of the {whose}), got {array.shape}"
            raise PredictionError(msg)
    if mask is not None and mask.dtype != np.bool_:
        raise PredictionError(f"slide {slide!r}: expected a mask of bool, got {mask.dtype}")
    labels, unit_values = np.asarray(unit_labels).ravel(), np.asarray(unit_scores, dtype=np.float32).ravel()
    if labels.shape != unit_values.shape:
        raise PredictionError(f"slide {slide!r}: expected {labels.size} unit scores, got {unit_values.size}")
    if not ((labels == 0) | (labels == 1)).all():
        raise PredictionError(f"slide {slide!r}: unit labels must be 0 or 1, got {sorted(set(labels.tolist()))}")
    scored = ~np.isnan(scores)
    where = scored if tissue is None else scored & tissue
    number, total = int(np.count_nonzero(where)), scores.size if tissue is None else int(np.count_nonzero(tissue))
    units = (labels.astype(np.int8), unit_values)
    if truth is None:
        return SlideEvidence(slide, patient, subset, None, number, total - number, None, None, *units)
    positive, predicted = truth > 0, (scores > 0.5 if mask is None else mask) & where
    objects = None
    if instances is not None:
        present = positive if tissue is None else positive & tissue
        objects = compare_objects(connected(predicted), np.where(present, instances, 0).astype(np.int32))
    return SlideEvidence(
        slide=slide,
        patient=patient,
        subset=subset,
        cells=Confusion.of(positive, predicted, where),
        scored=number,
        unscored=total - number,
        objects=objects,
        coarse=None if coarse is None else RefinementEvidence.of(positive, coarse > 0, predicted, where),
        unit_labels=units[0],
        unit_scores=units[1],
        annotation=None if coarse is None else Confusion.of(positive, coarse > 0, where),
        ranked=Ranked.of(positive, scores, where),
        sums=ScoreSums.of_cells(positive, scores, where),
        before=None if unscaled is None else ScoreSums.of_cells(positive, unscaled, where),
    )


@dataclass(frozen=True, eq=False)
class Units:
    """The units of several slides in one row: labels, scores, names and the number of each one's patient.

    Patients are numbered 0 … P−1; one without a unit has no number.
    """

    labels: NDArray[np.int8]
    scores: NDArray[np.float64]
    names: list[str]
    patients: NDArray[np.int64]

    @classmethod
    def of(cls, slides: Sequence[SlideEvidence]) -> Units:
        """Join the units. One of a slide's own is called like the slide, one of many `slide#index`."""
        empty = np.empty(0)
        names = [
            slide.slide if slide.unit_labels.size == 1 else f"{slide.slide}#{index}"
            for slide in slides
            for index in range(slide.unit_labels.size)
        ]
        owners = np.repeat(patient_numbers(slides), np.array([s.unit_labels.size for s in slides], dtype=np.int64))
        return cls(
            labels=np.concatenate([empty, *(slide.unit_labels for slide in slides)]).astype(np.int8),
            scores=np.concatenate([empty, *(slide.unit_scores for slide in slides)]).astype(np.float64),
            names=names,
            patients=np.unique(owners, return_inverse=True)[1].astype(np.int64),
        )


def patient_numbers(slides: Sequence[SlideEvidence]) -> NDArray[np.int64]:
    """A number 0, 1, 2 … for each slide's patient, in the order in which they first appear."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(slide.patient, len(numbers)) for slide in slides], dtype=np.int64)
