"""Predict slides one by one and keep only what the metrics need of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.two_class_annotation import positive_cells
from benchmark.errors import BlankSlideError, DataError, PredictionError
from benchmark.file_names import file_name
from benchmark.method import Prediction
from benchmark.metrics.calibrated import Kind
from benchmark.metrics.evidence import SlideEvidence, gather, uncounted
from benchmark.metrics.segmentation import Confusion, miou
from benchmark.running.evaluate_classes import class_counts, embedded_cells
from benchmark.running.heat import at_temperature, measured_at
from benchmark.slides import Grid, ScoreMap
from benchmark.storage import whole_file
from benchmark.supervision import Labels

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.dataset import Dataset
    from benchmark.method import Method
    from benchmark.slides import Slide
    from benchmark.two_classes import TwoClassView


AHEAD = 2
"""Slides whose maps wait to be measured while the next one is scored; more would only take memory."""

Scored = Callable[[int, SlideEvidence], None]
"""Is given the place of a slide among those that are scored, and its evidence."""


@dataclass
class Evaluation:
    """What came of scoring some slides: evidence, and by slide id why it is left out, why its cells are, and notes."""

    evidence: list[SlideEvidence] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    uncounted: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def evaluate(
    method: Method,
    dataset: Dataset,
    slides: Sequence[Slide],
    labels: Labels,
    context: Context,
    *,
    what: str,
    keep: Path | None = None,
    temperatures: Mapping[Kind, float] | None = None,
    scored: Scored | None = None,
) -> Evaluation:
    """Score `slides` and gather the evidence for each.

    `temperatures`: of cells and units, by which their scores are scaled before anything reads them; decisions stay.
    Score maps go into `keep`/scores as they come, a method's own decisions into `keep`/masks; `scored` is given each
    slide's place among `slides` and its evidence. A slide whose pixels or annotation cannot be read is named and left
    out, the others go on. The method and the dataset are asked in this thread alone; a second one measures the maps
    meanwhile. Raises `DataError` when none is left of
    slides that are kept (those of the test split), and `PredictionError` when not one of their cells has a score.
    """
    with ThreadPoolExecutor(1, "measuring") as pool:
        measuring, heat = Measuring(pool, scored), temperatures or {}
        done = _evaluated(method, dataset, slides, labels, context, measuring, what=what, keep=keep, heat=heat)
    if keep is not None and slides and not done.evidence:
        first = next(iter(done.unreadable.values()))
        raise DataError(f"none of the {len(slides)} {what} slides can be used; the first: {first}")
    if keep is not None and done.evidence and not any(slide.scored for slide in done.evidence):
        msg = f"{method.name} scored no tissue cell of any of the {len(done.evidence)} {what} slides (all are NaN)"
        raise PredictionError(msg)
    return done


class Measuring:
    """Evidence that another thread gathers, in the order in which it was asked for."""

    def __init__(self, pool: ThreadPoolExecutor, scored: Scored | None = None) -> None:
        self._pool, self._scored = pool, scored
        self._waiting: deque[tuple[int, Future[SlideEvidence]]] = deque()
        self.done: list[SlideEvidence] = []

    def add(self, measure: Callable[[], SlideEvidence], place: int = 0) -> None:
        """Have one more measured; waits where too many are waiting. Raises what an earlier one raised."""
        self._waiting.append((place, self._pool.submit(measure)))
        self.finish(AHEAD)

    def finish(self, left: int = 0) -> list[SlideEvidence]:
        """All that is measured, once no more than `left` are waiting."""
        while len(self._waiting) > left:
            place, future = self._waiting.popleft()
            self.done.append(future.result())
            if self._scored is not None:
                self._scored(place, self.done[-1])
        return self.done


def _evaluated(
    method: Method,
    dataset: Dataset,
    slides: Sequence[Slide],
    labels: Labels,
    context: Context,
    measuring: Measuring,
    *,
    what: str,
    keep: Path | None,
    heat: Mapping[Kind, float],
) -> Evaluation:
    subset = {slide.id: name for name, part in dataset.subsets().items() for slide in part}
    done = Evaluation()
    for number, slide in enumerate(context.track(slides, f"scoring {what} slides", len(slides))):
        try:
            name = file_name(slide.id, ".png")
            prediction = _predicted(method, dataset, slide, labels, context)
            scores = prediction.scores.on(dataset.evaluation_grid(slide))
            mask = decision(prediction, scores, method, slide)
            raw, scores = scores, at_temperature(scores, heat.get("cell"))
            measure = _evidence(dataset, slide, prediction, scores, mask, subset.get(slide.id), raw)
            measure = partial(measured_at, heat["unit"], measure) if "unit" in heat else measure
        except DataError as error:
            done.unreadable[slide.id] = error.what
            context.reporter.say(f"left out: {error.what}")
            continue
        measuring.add(measure, number)
        if why := dataset.uncounted(slide):
            done.uncounted[slide.id] = why
        done.notes.update({slide.id: "; ".join(prediction.notes)} if prediction.notes else {})
        if keep is not None:
            scores.save(keep / "scores" / name)
            if mask is not None:
                ScoreMap(scores.grid, mask.astype(np.float32)).save(keep / "masks" / name)
            for title, picture in prediction.figures.items():
                _save_picture(picture, keep / "figures" / file_name(f"{slide.id}_{title}", ".png"))
    done.evidence = measuring.finish()
    return done


def _save_picture(picture: NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    with whole_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _predicted(method: Method, dataset: Dataset, slide: Slide, labels: Labels, context: Context) -> Prediction:
    """What the method says; of a slide of glass alone, that nothing is there (hybrid supervision: it scores 0)."""
    try:
        return checked(method.predict(slide, labels, context), method, slide)
    except BlankSlideError:
        grid = dataset.evaluation_grid(slide)
        nothing = ScoreMap(grid, np.full(grid.shape, np.nan, np.float32))
        units = np.zeros(dataset.unit_grid(slide).shape, np.float32)
        return Prediction(nothing, units, notes=("no tissue: its units score 0",))


def _tissue(dataset: Dataset, slide: Slide, grid: Grid) -> NDArray[np.bool_] | None:
    try:
        return dataset.tissue(slide, grid)
    except BlankSlideError:
        return np.zeros(grid.shape, np.bool_)


def decision(prediction: Prediction, scores: ScoreMap, method: Method, slide: Slide) -> NDArray[np.bool_] | None:
    """The method's own mask on the grid of `scores`, or None where it leaves the decision to the harness."""
    if prediction.mask is None:
        return None
    own = np.asarray(prediction.mask)
    if own.dtype != np.bool_ or own.shape != prediction.scores.grid.shape:
        msg = f"{method.name} returned a mask of {own.dtype} {own.shape} for slide {slide.id!r}"
        raise PredictionError(f"{msg}, expected bool {prediction.scores.grid.shape}")
    mask: NDArray[np.bool_] = ScoreMap(prediction.scores.grid, own.astype(np.float32)).on(scores.grid).values > 0.5
    return mask


def checked(prediction: object, method: Method, slide: Slide) -> Prediction:
    """The prediction, or `PredictionError` when it is not one."""
    if not isinstance(prediction, Prediction) or not isinstance(prediction.scores, ScoreMap):
        got = type(getattr(prediction, "scores", prediction)).__name__
        msg = f"{method.name} returned {got} for slide {slide.id!r}, expected a Prediction with a ScoreMap"
        raise PredictionError(msg)
    return prediction


def _evidence(
    dataset: Dataset,
    slide: Slide,
    prediction: Prediction,
    scores: ScoreMap,
    mask: NDArray[np.bool_] | None,
    subset: str | None,
    raw: ScoreMap,
) -> Callable[[], SlideEvidence]:
    """What is left to do for the evidence of a slide: arithmetic on arrays that nobody changes."""
    grid = scores.grid
    units = dataset.unit_grid(slide)
    unit_scores = prediction.units
    if unit_scores is None:
        unit_scores = prediction.scores.units(units, dataset.unit_top(slide))
    if unit_scores.shape != units.shape:
        msg = f"unit scores of slide {slide.id!r} have shape {unit_scores.shape}, expected {units.shape}"
        raise PredictionError(msg)
    lost = np.isnan(unit_scores)
    if prediction.units is not None and lost.any():
        lost &= ~np.isnan(prediction.scores.units(units, dataset.unit_top(slide)))
        if lost.any():
            msg = (
                f"{lost.sum()} of {lost.size} unit scores of slide {slide.id!r} are NaN, though cells there are scored"
            )
            raise PredictionError(msg)
    tissue, labelled = _tissue(dataset, slide, grid), dataset.labelled(slide)
    known: dict[str, Any] = {
        "scores": scores.values,
        "tissue": tissue,
        "unit_labels": dataset.unit_labels(slide).ravel() if labelled else np.empty(0, np.int8),
        # A unit without any scored cell (no tissue) scores 0, as in the hybrid paper.
        "unit_scores": np.nan_to_num(unit_scores.ravel().astype(np.float32), nan=0.0) if labelled else np.empty(0),
        "subset": subset,
    }
    if dataset.uncounted(slide):
        return partial(uncounted, slide.id, slide.patient, objects=dataset.objects, **known)
    drawn: dict[str, Any] = {"truth": None}
    if labelled and tissue is not None and not tissue.any():
        drawn = {"truth": np.zeros(grid.shape, np.int8), "coarse": np.zeros(grid.shape, np.int8)}
    elif dataset.annotated(slide):
        truth = dataset.truth(slide)
        unknown = truth.ignored(grid)
        if unknown.any():
            known["tissue"] = ~unknown if tissue is None else tissue & ~unknown
        drawn = {
            "truth": positive_cells(truth.labels(grid), dataset.positive).astype(np.int8),
            "instances": truth.instances(grid) if dataset.objects else None,
            "coarse": positive_cells(dataset.coarse(slide).labels(grid), dataset.positive).astype(np.int8),
        }
    unscaled = None if raw is scores else raw.values
    measure = partial(gather, slide.id, slide.patient, mask=mask, unscaled=unscaled, **known, **drawn)
    if drawn["truth"] is None:
        return measure
    counts = np.zeros(grid.shape, np.bool_) if tissue is not None and not tissue.any() else known["tissue"]
    classes = class_counts(dataset, slide, prediction, scores, counts)
    embedded = embedded_cells(dataset, slide, prediction)
    return lambda: replace(measure(), classes=classes, embedded=embedded)


class Examination:
    """Scores class maps of training slides against the truth; a method hands maps in and gets nothing back."""

    def __init__(self, dataset: Dataset | TwoClassView) -> None:
        self._dataset = dataset
        self._counts: dict[str, Confusion] = {}

    def __call__(self, name: str, slide: Slide, classes: NDArray[np.int8]) -> None:
        """Add one slide's map, height × width in level-0 pixels."""
        annotation, grid = self._dataset.truth(slide), Grid.pixels(slide.size)
        truth, known = annotation.labels(grid), ~annotation.ignored(grid)
        if classes.shape != truth.shape:
            msg = f"the {name} map of slide {slide.id!r} has shape {classes.shape}, expected {truth.shape}"
            raise PredictionError(msg)
        positive = self._dataset.positive
        counts = Confusion.of(positive_cells(truth[known], positive), positive_cells(classes[known], positive))
        self._counts[name] = self._counts[name] + counts if name in self._counts else counts

    def results(self) -> dict[str, float]:
        """Pooled mIoU per name, as `train/<name>_miou`."""
        scores = {f"train/{name}_miou": miou(counts) for name, counts in self._counts.items()}
        return {name: score for name, score in scores.items() if score is not None}
