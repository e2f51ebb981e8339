"""What LC-MIL and DkNN share: encoder, cells of a slide, and one model per slide or for all slides."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError
from benchmark.learning.encoders.feature_params import folder_of
from benchmark.learning.encoders.feature_rows import Rows
from benchmark.method import Method, Prediction
from benchmark.slides import Grid, ScoreMap, stream_patches
from benchmark.supervision import Labels, Supervision, View

from .cells import Cells, Told, rows_of
from .cleaning_params import ENCODER_FIELDS, PLACE_FIELDS, CleaningParams

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.context import Context
    from benchmark.learning.encoders.elsewhere import FeatureFolder
    from benchmark.learning.encoders.features import Features
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.slides import Slide

CITATION = (
    "Wang, Popel, Sulam: Label Cleaning Multiple Instance Learning: Refining Coarse Annotations on Single"
    " Whole-Slide Images. 2021"
)
PAPER = "https://arxiv.org/abs/2109.10778"
WIDER = 1.25
"""Self-supervised training crops its views from patches this much larger than the encoder's input."""

Scores = NDArray[np.float32]
K = TypeVar("K", bound=CleaningParams, covariant=True)


class Cleaner(Method[K]):
    """Refines coarse annotations: each slide by itself (scope=slide) or by a model of all training slides (cohort)."""

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.COARSE})
    fields: ClassVar[tuple[str, ...]]
    """Parameters behind the scores; the others only post-process them."""

    def __init__(self, params: K) -> None:
        super().__init__(params)
        self._weights: Mapping[str, Any] | None = None
        self._encoder: FrozenEncoder | FeatureFolder | None = None
        self._folder: FeatureFolder | None = None
        self._model: dict[str, Any] | None = None

    def check_slides(self, train: Sequence[Slide], scored: Sequence[Slide]) -> None:
        """With features made elsewhere, every slide that the method looks at has a file."""
        if (folder := self._elsewhere()) is not None:
            folder.require(self._looked_at(train, scored))

    def prepare(self, train: Sequence[Slide], scored: Sequence[Slide], context: Context) -> None:
        """Read the features made elsewhere of all slides, so that a missing row is told before anything else."""
        folder, slides = self._elsewhere(), self._looked_at(train, scored)
        if folder is None:
            return
        unused = folder.unused([*train, *scored])
        if unused:
            context.reporter.say(f"features: {len(unused)} files in {folder.folder} belong to no slide: {unused[0]} …")
        for slide in context.track(slides, "features made elsewhere", len(slides)):
            try:
                cells = self._cells(slide, context)
                self.rows(slide, cells, cells.patches(self.params.patch), context)
            except DataError:  # of the slide itself: it is left out with this reason when its turn comes
                continue

    def _looked_at(self, train: Sequence[Slide], scored: Sequence[Slide]) -> Sequence[Slide]:
        return scored if self.params.scope == "slide" else [*train, *scored]

    def fit(self, train: View, validation: View, context: Context) -> None:
        """The stages "encoder" (self-supervised, if asked for) and, with scope=cohort, "cohort" (the model)."""
        after: tuple[str, ...] = ()
        if self.params.encoder_training == "self-supervised":
            uses = (*PLACE_FIELDS, *ENCODER_FIELDS)
            self._weights = context.stage("encoder", lambda: self._pretrained(train, context), uses=uses, code=Cleaner)
            after = ("encoder",)
        if self.params.scope == "cohort":
            self._model = context.stage("cohort", lambda: self._cohort(train, context), uses=self.fields, after=after)

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """The refined annotation of a slide: scores of its tissue cells, and the mask after post-processing."""
        cells = self._cells(slide, context)
        if self.params.scope == "cohort" and cells.tissue.any():
            return self._finished(cells, self.apply(self._learnt(), slide, cells, context))
        annotation = labels.coarse(slide)
        coarse = cells.coarse(annotation)
        if why := self.unteachable(cells, coarse):
            unchanged = _unchanged(annotation, slide, context, why)
            return replace(unchanged, notes=(*unchanged.notes, *_dropped(cells)))
        name = f"{self.name}:{slide.id}:{self.encoder(context).digest}"
        scores = context.stage(name, lambda: self._refined(slide, cells, coarse, context), uses=self.fields)
        return self._finished(cells, scores)

    def unteachable(self, cells: Cells, coarse: Told) -> str | None:
        """Why nothing can be learnt from a slide's coarse annotation; None when it can."""
        told = coarse[cells.tissue]
        if told.size == 0:
            return "there is no tissue"
        inside = told[told >= 0]
        if inside.size == 0:
            return "every tissue cell lies in an area to ignore"
        if not inside.any():
            return "no tissue cell lies inside the coarse annotation"
        return "every tissue cell lies inside the coarse annotation" if inside.all() else None

    @abstractmethod
    def learn(self, parts: list[tuple[Slide, Cells, Told]], axis: str, context: Context) -> dict[str, Any]:
        """A model of some slides' coarse annotations (rows × cols each); `axis` seeds it."""

    @abstractmethod
    def apply(self, model: dict[str, Any], slide: Slide, cells: Cells, context: Context) -> Scores:
        """The scores of a slide's tissue cells, n."""

    @abstractmethod
    def decide(self, scores: Scores, tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Scores (rows × cols, NaN without tissue) → mask, by the method's threshold and post-processing."""

    def _refined(self, slide: Slide, cells: Cells, coarse: Told, context: Context) -> Scores:
        return self.apply(self.learn([(slide, cells, coarse)], slide.id, context), slide, cells, context)

    def _cohort(self, train: View, context: Context) -> dict[str, Any]:
        parts = []
        for slide in train:
            cells = self._cells(slide, context)
            if not cells.tissue.any():
                continue
            coarse = cells.coarse(train.labels.coarse(slide))
            if (coarse[cells.tissue] >= 0).any():
                parts.append((slide, cells, coarse))
        if not parts:
            what = "scope=cohort needs training slides with tissue outside of areas to ignore, and there are none"
            raise DataError(what, fix="--set scope=slide")
        return self.learn(parts, "cohort", context)

    def _learnt(self) -> dict[str, Any]:
        assert self._model is not None, "fit comes before predict"
        return self._model

    def _finished(self, cells: Cells, scores: Scores) -> Prediction:
        spread = cells.spread(scores)
        mask = self.decide(spread, cells.tissue)
        return Prediction(ScoreMap(cells.grid, spread), mask=mask, notes=_dropped(cells))

    def _cells(self, slide: Slide, context: Context) -> Cells:
        """The slide's tissue cells; with features made elsewhere, those that have some."""
        cells, folder = Cells.of(slide, context, self.params.cell), self._elsewhere()
        return cells if folder is None else cells.covered(slide, self.params.patch, folder)

    def _elsewhere(self) -> FeatureFolder | None:
        if self._folder is None:
            self._folder = folder_of(
                self.params, lambda side, step: f"--set method.patch={side} --set method.cell={step}"
            )
        return self._folder

    def encoders(self) -> tuple[str, ...]:
        """The frozen encoder; VGG16's fully connected layers come from the same weights."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        if (folder := self._elsewhere()) is not None:
            return (folder.seen(),)
        if params.encoder_training == "self-supervised":
            own = "the training slides of the run, without labels"
            if params.encoder_pretrained or params.encoder_weights is not None:
                start = seen_by(params.encoder, pretrained=True, weights=params.encoder_weights)
                return (f"{start}, then {own}",)
            return (f"{params.encoder}: nothing but {own}",)
        return (seen_by(params.encoder, pretrained=params.encoder_pretrained, weights=params.encoder_weights),)

    def rows(self, slide: Slide, cells: Cells, patches: Grid, context: Context) -> Features:
        """Frozen features of a slide's tissue cells."""
        return rows_of(cells, slide, self.encoder(context), patches, context)

    def encoder(self, context: Context) -> FrozenEncoder | FeatureFolder:
        """The frozen encoder that the parameters name, or the one that `fit` trained; or features made elsewhere."""
        if self._encoder is None:
            self._encoder = self._elsewhere() or self._created(context)
        return self._encoder

    def _created(self, context: Context) -> FrozenEncoder:
        from benchmark.learning.encoders import selfsupervised
        from benchmark.learning.encoders.frozen import create_encoder

        params = self.params
        if params.encoder_training == "self-supervised":
            assert self._weights is not None, "fit comes before predict"
            return selfsupervised.frozen(
                params.encoder, dict(self._weights), side=params.input_side, device=context.device
            )
        if not params.encoder_pretrained and params.encoder_weights is None:
            context.reporter.say(f"encoder {params.encoder}: random weights, no pre-training")
        return create_encoder(
            params.encoder,
            part="trunk" if params.encoder == "vgg16" else "pooled",
            pretrained=params.encoder_pretrained,
            weights=params.encoder_weights,
            side=params.input_side,
            device=context.device,
        )

    def _pretrained(self, train: View, context: Context) -> dict[str, Any]:
        """Self-supervised weights from tissue patches of the training slides, evenly over slides; no labels."""
        from benchmark.learning.encoders.pretraining import pretrained_on

        side = round(self.params.input_side * WIDER)
        return dict(pretrained_on(self._patches(train, side, context), side, self.params, context))

    def _patches(self, train: View, side: int, context: Context) -> Iterator[NDArray[np.uint8]]:
        """Tissue patches drawn evenly from the slides, batch after batch."""
        from benchmark.learning.encoders.pretraining import patches_of_slide

        params = self.params
        for slide in context.track(train.slides, "patches for the encoder", len(train)):
            cells = Cells.of(slide, context, params.cell)
            where = np.zeros(cells.grid.shape, np.bool_)
            where.ravel()[patches_of_slide(slide.id, np.flatnonzero(cells.tissue), len(train), params, context)] = True
            for part in stream_patches(slide, cells.patches(params.patch), where, side=side):
                yield part.pixels

    def state(self) -> dict[str, Any]:
        """The self-supervised encoder and the model of the cohort; nothing of single slides."""
        return {"encoder": None if self._weights is None else dict(self._weights), "model": self._model}

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Take over `state`."""
        self._weights, self._model, self._encoder = state["encoder"], state["model"], None


def joined(parts: list[tuple[Features, Told]]) -> tuple[Rows, Told]:
    """Features and coarse labels of several slides under one numbering."""
    return Rows([features for features, _ in parts]), np.concatenate([labels for _, labels in parts])


def checked(loss: float, name: str) -> float:
    """The loss, or `ConfigError` when it is no longer a finite number."""
    if not math.isfinite(loss):
        raise ConfigError(f"{name}: the loss became {loss}", fix="lower the learning rate: --set lr=1e-5")
    return loss


def _dropped(cells: Cells) -> tuple[str, ...]:
    missing = "have no features made elsewhere and no score"
    return (f"{cells.dropped} of {cells.dropped + cells.tissue.sum()} tissue cells {missing}",) if cells.dropped else ()


def _unchanged(annotation: Annotation, slide: Slide, context: Context, why: str) -> Prediction:
    """The annotation on the evaluation grid, so that it loses nothing to cells of our own."""
    grid = context.geometry.evaluation_grid(slide)
    inside: NDArray[np.bool_] = annotation.labels(grid) > 0
    tissue = context.geometry.tissue(slide, grid)
    known = inside.astype(np.float32) if tissue is None or not tissue.any() else np.where(tissue, inside, np.nan)
    return Prediction(ScoreMap(grid, known.astype(np.float32)), mask=inside, notes=(f"returned unchanged: {why}",))
