"""CNFP sampling and its rivals (ACPR 2021): an expert reviews the patches that a strategy proposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmark.errors import BlankSlideError, DataError
from benchmark.expert import ExpertSettings
from benchmark.method import Embeddings, Method, MethodCard, Prediction
from benchmark.slides import ScoreMap
from benchmark.supervision import Budget, Labels, Supervision, View

from .coding import Coding
from .interactive_params import FIELDS, PRESETS, InteractiveParams
from .strip import strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.context import Context
    from benchmark.slides import Slide

    from .opened import Normalisation, Opened
    from .search_base import SearchBase
    from .stepwise import Stepwise
    from .two_nets import TwoNets

CITATION = "Interactive Learning for Assisting Whole Slide Image Annotation. ACPR 2021, LNCS 13189"
PAPER = "ACPR 2021, LNCS 13189"
NO_QUERY = "the expert found no cell of the wanted class to query: scored as free of it"


class Interactive(Method[InteractiveParams]):
    """Sessions of retrieval around a query, rounds of K reviews, both nets tuned after each; then f_cl says the rest.

    A subclass names its strategy by its `name`, see `strategies.STRATEGIES`.
    """

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.REVIEW})
    multiclass = True
    alone: ClassVar[Mapping[str, Any]] = {"search": "slide"}
    Params = InteractiveParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    def __init__(self, params: InteractiveParams) -> None:
        super().__init__(params)
        self._learnt: dict[str, Any] | None = None
        self._ready: tuple[Opened, TwoNets] | None = None

    def transductive(self) -> bool:
        """With search=slide the expert reviews the test slides themselves."""
        return self.params.search == "slide"

    def expert(self) -> ExpertSettings:
        """As the parameters `expert_…` say."""
        params = self.params
        return ExpertSettings(
            error=params.expert_error,
            fatigue=params.expert_fatigue,
            seconds=params.expert_seconds,
            answers=params.expert_answers,
        )

    def budgets(self) -> Mapping[Supervision, int | Budget]:
        """The parameter `budget`: in all, or per slide with search=slide. The loop itself ends after N · r · K."""
        most = self.params.budget
        if most is None:
            return {}
        return {Supervision.REVIEW: Budget(per_slide=most) if self.transductive() else Budget(total=most)}

    def encoders(self) -> Sequence[str]:
        """The encoder that is cut."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        return (seen_by(params.encoder, pretrained=params.encoder_pretrained, weights=params.encoder_weights),)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Refuse a query of an unknown class, and feedback that would mix classes."""
        Coding.of(self.params, tuple(classes))

    def fit(self, train: View, validation: View, context: Context) -> None:
        """With search=train, the stage "annotate": all sessions on the training slides."""
        if not self.transductive():
            self._learnt = context.stage(self._stage(context), lambda: self._cohort(train, context), uses=FIELDS)
            self._ready = None

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """What f_cl says of every cell, and the expert of those reviewed (search=slide: a stage per slide)."""
        if self.transductive():
            name = self._stage(context, slide)
            result = context.stage(name, lambda: self._alone(slide, labels, context), uses=FIELDS)
            return self._prediction(slide, result["probabilities"], result, context)
        assert self._learnt is not None, "fit comes before predict"
        opened, nets = self._restored(context)
        base = self._base([slide], opened, context)
        if not len(base):
            raise BlankSlideError(f"slide {slide.id!r} has no tissue cell")
        probabilities = nets.probabilities(base, np.arange(len(base), dtype=np.int64))
        told = self._prediction(slide, probabilities, self._learnt, context)
        values = nets.embed(base, np.arange(len(base), dtype=np.int64))
        rows, cols = base.parts[0].places.T
        return replace(told, embeddings=Embeddings(values, rows, cols))

    def steps(self, slide: Slide, context: Context) -> Stepwise:
        """The annotation of one slide step by step, for a person: what `predict` does with search=slide."""
        from .stepwise import Stepwise

        return Stepwise(self.name, self.params, slide, context)

    def _stage(self, context: Context, slide: Slide | None = None) -> str:
        """The name of the stage tells apart what share their code, the strategies, and what curves are drawn of."""
        name = f"annotate:{self.name}:{context.watch}"
        return name if slide is None else f"{name}:{slide.id}"

    def _cohort(self, train: View, context: Context) -> dict[str, Any]:
        """All sessions on the training slides; curves are watched on test slides."""
        from .opened import Opened

        coding = Coding.of(self.params, context.classes)
        slides = [slide for slide in train if train.labels.reviewable(slide)]
        opened = Opened.of(slides, self.params, coding, context)
        if not len(opened.base):
            raise DataError("there is no training slide with tissue to search", fix="--set search=slide")
        held_out = self._base(context.watched, opened, context) if context.watched else None
        result = self._sessions(opened, train.labels, context, alone=None, held_out=held_out)
        if result["nets"] is None:
            wanted = " or ".join(coding.classes[coding.index(label)] for label in coding.wanted)
            raise DataError(f"the expert found no training patch of class {wanted} to query", fix="--set query_class=…")
        return result

    def _alone(self, slide: Slide, labels: Labels, context: Context) -> dict[str, Any]:
        """All sessions on one slide."""
        from .opened import Opened

        opened = Opened.alone(slide, self.params, context)
        return self._sessions(opened, labels, context, alone=slide, held_out=None)

    def _sessions(
        self, opened: Opened, labels: Labels, context: Context, *, alone: Slide | None, held_out: SearchBase | None
    ) -> dict[str, Any]:
        from .annotate import Annotation

        coding, loop = opened.coding, opened.begin(self.name, labels, alone)
        annotation = Annotation(loop, labels, coding, self.params, context, alone, held_out)
        result = annotation.run() if loop.queries else {"maps": {}, "stopped": NO_QUERY}
        probabilities = None
        if alone is not None:
            nothing = np.zeros((len(opened.base), coding.size), np.float32)
            nothing[:, 0] = 1.0
            probabilities = loop.probabilities() if loop.queries else nothing
        nets = loop.nets.state() if loop.trained and alone is None else None
        normalisation = None if opened.normalisation is None else list(opened.normalisation)
        return {**result, "probabilities": probabilities, "nets": nets, "normalisation": normalisation}

    def _base(self, slides: Sequence[Slide], opened: Opened, context: Context) -> SearchBase:
        """Other slides, normalised like those searched."""
        from .opened import searched_cells
        from .search_base import SearchBase

        return SearchBase(searched_cells(slides, self.params, context), opened.encoder, context)

    def _restored(self, context: Context) -> tuple[Opened, TwoNets]:
        """Encoder and nets as `fit` left them."""
        from .opened import Opened, cut

        assert self._learnt is not None
        if self._ready is None:
            kept = self._learnt["normalisation"]
            normalisation: Normalisation | None = None if kept is None else (list(kept[0]), list(kept[1]))
            coding = Coding.of(self.params, context.classes)
            encoder = cut(self.params, normalisation, context)
            opened = Opened([], normalisation, encoder, self.params, coding, context)
            nets = opened.nets()
            nets.restore(self._learnt["nets"])
            self._ready = opened, nets
        return self._ready

    def _prediction(self, slide: Slide, p: Any, learnt: Mapping[str, Any], context: Context) -> Prediction:
        from .search_base import Cells

        coding = Coding.of(self.params, context.classes)
        cells = Cells.of(slide, context, cell=self.params.cell, patch=self.params.patch)
        positive = context.positive
        scores = np.full(cells.grid.shape, np.nan, np.float32)
        scores[cells.tissue] = coding.positive(p, positive)
        classes = np.zeros(cells.grid.shape, np.int8)
        classes[cells.tissue] = coding.indices(p.argmax(axis=1))
        maps = learnt["maps"].get(slide.id, [])
        figures = {"sessions": strip(maps, len(coding.classes))} if maps else {}
        notes = (str(learnt["stopped"]),) if learnt["stopped"] else ()
        mask = np.isin(classes, sorted(positive))
        return Prediction(ScoreMap(cells.grid, scores), mask=mask, classes=classes, figures=figures, notes=notes)

    def state(self) -> dict[str, Any]:
        """Nets and normalisation of search=train; nothing of single slides."""
        return {"learnt": self._learnt}

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Take over `state`."""
        self._learnt, self._ready = state["learnt"], None


def _card(title: str, notes: str = "") -> MethodCard:
    return MethodCard(f"Interactive annotation, {title}", CITATION, PAPER, notes=notes)


class Cnfp(Interactive):
    """Closest negatives and farthest positives."""

    name = "cnfp"
    card = _card("closest negatives and farthest positives", notes="Open points: docs/methods/interactive.md")


class FrontMidEnd(Interactive):
    """From the front, the middle and the end of the list."""

    name = "front-mid-end"
    card = _card("front, middle and end of the list")


class CnfpFrontMidEnd(Interactive):
    """Half by CNFP, half from front, middle and end."""

    name = "cnfp-fme"
    card = _card("half CNFP, half front, middle and end")


class TopK(Interactive):
    """The closest."""

    name = "top-k"
    card = _card("the K closest")


class AtRandom(Interactive):
    """Whatever comes."""

    name = "random"
    card = _card("at random")


class Entropy(Interactive):
    """The most uncertain by entropy."""

    name = "entropy"
    card = _card("highest entropy")


class Margin(Interactive):
    """The most uncertain by margin."""

    name = "margin"
    card = _card("smallest margin", notes="A reference that is not in the paper: Scheffer et al., 2001.")


class Coreset(Interactive):
    """The farthest from everything reviewed."""

    name = "coreset"
    card = _card("k-center greedy", notes="A reference that is not in the paper: Sener, Savarese, ICLR 2018.")
