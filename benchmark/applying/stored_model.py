"""The model of a stored run, ready to score slides that it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark import config, storage
from benchmark.applying.given_slides import Given
from benchmark.applying.model_card import CARD, CONFIG, WEIGHTS, ModelCard
from benchmark.applying.own_layout import open_slide
from benchmark.cachehome import cache_home
from benchmark.context import Context, Reporter
from benchmark.dataset import Dataset
from benchmark.digest import content_digest
from benchmark.errors import BlankSlideError, ConfigError, RegistryError
from benchmark.method import Method
from benchmark.metrics.temperature import scaled
from benchmark.registry import datasets, methods
from benchmark.running.device import choose_device, prepare
from benchmark.running.evaluate import checked, decision
from benchmark.running.heat import at_temperature
from benchmark.seeds import seed_of
from benchmark.slides import ScoreMap, Slide
from benchmark.slides.magnification import matched
from benchmark.supervision import TRANSDUCTIVE, Labels, Ledger

if TYPE_CHECKING:
    from pydantic import BaseModel

    from benchmark.annotations import Annotation


@dataclass(frozen=True)
class Predicted:
    """What a model says of a slide.

    `slide`: as it was read, perhaps at a coarser resolution than its own.
    `score`: the highest of its units' scores; `positive`: it reaches the threshold.
    `scores`: on the evaluation grid; `mask`: the method's own decision there, or score > 0.5.
    """

    slide: Slide
    score: float
    positive: bool | None
    scores: ScoreMap
    mask: NDArray[np.bool_]
    notes: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the scored cells that are positive."""
        scored = np.isfinite(self.scores.values)
        return float((self.mask & scored).sum() / max(1, scored.sum()))


@dataclass(frozen=True)
class StoredModel:
    """A model's folder, read and checked; nothing is computed yet."""

    folder: Path
    card: ModelCard
    kind: type[Method]
    params: BaseModel
    dataset: type[Dataset]
    options: BaseModel
    seed: int

    @classmethod
    def open(cls, folder: Path) -> StoredModel:
        """Read a model. Raises `BenchError` when a file is missing, or a plug-in that it needs is not installed."""
        lacking = [name for name in (CARD, CONFIG, WEIGHTS) if not (folder / name).is_file()]
        if lacking:
            msg = f"{folder} holds no stored model that can be used elsewhere: no {', '.join(lacking)}"
            raise ConfigError(msg, fix="repeat the run with this version: bench run --config config.yaml --force")
        card, file = ModelCard.load(folder / CARD), config.read_file(folder / CONFIG)
        try:
            kind, dataset = methods().load(file.method or ""), datasets().load(file.dataset or "")
        except RegistryError as error:
            msg = f"the model of {card.run} on {card.dataset} needs a component that is not installed: {error.what}"
            fix = "pip install the package that registers it; bench list shows what there is"
            raise RegistryError(msg, fix=fix) from error
        params = config.validated(kind.Params, file.params, kind.name)
        options = config.validated(dataset.Options, file.options, dataset.name)
        return cls(folder, card, kind, params, dataset, options, file.seed or 0)

    def ready(self, *, device: str, cache: Path | None, reporter: Reporter) -> Predictor:
        """Load the weights. Raises `BenchError` for a method that needs labels of the slides it scores."""
        if self.kind.supervision and self.kind.supervision <= TRANSDUCTIVE and not self._learnt():
            msg = f"{self.card.run} learnt nothing for other slides: it refines each slide's own annotation"
            raise ConfigError(msg, fix=f"bench refine SLIDE --annotation FILE --method {self.kind.name} --out FOLDER")
        return Predictor(self, choose_device(device), cache or cache_home(), reporter)

    def _learnt(self) -> bool:
        state = storage.load(self.folder / WEIGHTS)
        return any(value is not None for value in state.values())

    def check_classes(self, classes: tuple[str, ...]) -> None:
        """Raise `ConfigError` where other classes are wanted than the model tells apart."""
        if classes and classes != self.card.classes:
            msg = f"the model of {self.card.run} tells {' from '.join(self.card.classes)}, not {' from '.join(classes)}"
            raise ConfigError(msg, fix="choose a run that was fitted on these classes: bench leaderboard")

    def at_scale(self, slide: Slide) -> tuple[Slide, tuple[str, ...]]:
        """The slide at a resolution that the model knows, and a note where it was scanned finer and is read coarser.

        Raises `DataError` for a slide with coarser pixels, or of a resolution that is not known.
        """
        if self.card.mpp is None:
            return slide, ()
        return matched(
            slide,
            self.card.mpp,
            unknown="--mpp 0.25   (usual at 40×; 0.5 at 20×), or a table with the column mpp",
            coarser="scan the slide at that resolution; a table with the column mpp corrects a wrong one",
        )


class NoLabels:
    """The `LabelSource` of slides of which nothing is known."""

    def __init__(self, model: StoredModel) -> None:
        self.classes = model.card.classes
        self._name = model.kind.name

    def truth(self, slide: Slide) -> Annotation:
        """Always `ConfigError`."""
        raise self._refusal(slide)

    def coarse(self, slide: Slide) -> Annotation:
        """Always `ConfigError`."""
        raise self._refusal(slide)

    def annotated(self, slide: Slide) -> bool:
        """False."""
        return False

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """Always `ConfigError`."""
        raise self._refusal(slide)

    def _refusal(self, slide: Slide) -> ConfigError:
        msg = f"{self._name} asks for labels of slide {slide.id!r}, and a prediction has none"
        return ConfigError(msg, fix=f"bench refine SLIDE --annotation FILE --method {self._name} --out FOLDER")


class Predictor:
    """A model with its weights; scores one slide after another, batch by batch."""

    def __init__(self, model: StoredModel, device: str, cache: Path, reporter: Reporter) -> None:
        self.model = model
        self._device, self._cache, self._reporter = device, cache, reporter
        prepare(device, seed_of("run", model.seed))
        self._layout = model.dataset.unrooted(model.options)
        self._layout.classes = model.card.classes
        self._method = model.kind(model.params)
        self._method.restore(storage.load(model.folder / WEIGHTS), self._context(""))

    def predict(self, given: Given, mpp: float | None = None) -> Predicted:
        """Score a slide; `mpp`: its resolution where it states none.

        A slide with finer pixels than the model learnt from is read at the model's resolution.
        Raises `DataError` when it cannot be read, has coarser pixels, or does not state its resolution.
        """
        slide, _, told = open_slide(given, mpp)
        slide, rescaled = self.model.at_scale(slide)
        notes = (*told, *rescaled)
        self._method.check_slides([], [slide])
        method, layout = self._method, self._layout
        context = self._context(content_digest(slide.path.parent, [slide.path]) + slide.arrangement)
        labels = Labels(NoLabels(self.model), [slide], method.supervision, Ledger(), owner=method.name, sealed=True)
        grid = layout.evaluation_grid(slide)
        try:
            prediction = checked(method.predict(slide, labels, context), method, slide)
        except BlankSlideError as error:
            nothing = ScoreMap(grid, np.full(grid.shape, np.nan, np.float32))
            return self._judged(slide, 0.0, nothing, np.zeros(grid.shape, np.bool_), (*notes, error.what))
        scores = prediction.scores.on(grid)
        mask = decision(prediction, scores, method, slide)
        units = prediction.units
        if units is None:
            units = prediction.scores.units(layout.unit_grid(slide), layout.unit_top(slide))
        score = float(np.nan_to_num(units, nan=0.0).max())
        own = scores.values > 0.5 if mask is None else mask
        heat = self.model.card.temperatures
        if "unit" in heat:
            score = float(scaled(np.array([score]), heat["unit"])[0])
        return self._judged(slide, score, at_temperature(scores, heat.get("cell")), own, (*notes, *prediction.notes))

    def _judged(
        self, slide: Slide, score: float, scores: ScoreMap, mask: NDArray[np.bool_], notes: tuple[str, ...]
    ) -> Predicted:
        limit = self.model.card.threshold.value
        return Predicted(slide, score, None if limit is None else score >= limit, scores, mask, notes)

    def _context(self, digest: str) -> Context:
        return Context(
            geometry=self._layout,
            folder=self._cache / "stages",
            ledger=Ledger(),
            seed=self.model.seed,
            device=self._device,
            data_digest=digest,
            reporter=self._reporter,
            features=self._cache / "features",
        ).bind(self._method)
