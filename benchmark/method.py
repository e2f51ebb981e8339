"""The Method contract: learn from what the supervision shows of the training slides, then score any slide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

from benchmark.errors import StageError
from benchmark.expert import ExpertSettings
from benchmark.identity import facts_of
from benchmark.supervision import Budget, Labels, Supervision, View

if TYPE_CHECKING:
    from benchmark.budgets.announced import Reviews
    from benchmark.context import Context, Geometry
    from benchmark.dataset import Dataset
    from benchmark.slides import ScoreMap, Slide


class Params(BaseModel):
    """Base of every method's parameters: unknown names are refused, values cannot change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def param(
    default: Any,
    about: str,
    *,
    symbol: str | None = None,
    unit: str | None = None,
    source: str | None = None,
    given: bool = False,
    **limits: Any,
) -> Any:
    """A parameter with what a reader wants to know: meaning, the paper's symbol, unit and source.

    `given`: it says which labels, weights or networks there are to work with, not how to use them best, so no search
    space is derived from it. `limits` are pydantic's (`ge`, `gt`, `le`, `lt`, `multiple_of`, `min_length` …) and form
    the legal range.
    """
    known = {"symbol": symbol, "unit": unit, "source": source, "given": given}
    notes: dict[str, Any] = {key: value for key, value in known.items() if value}
    return Field(default, description=about, json_schema_extra=notes, **limits)


def with_default(params: type[BaseModel], name: str, default: Any, source: str) -> Any:
    """The parameter `name` of another class, to be declared again with another default, and where that stands."""
    info = copy(params.model_fields[name])
    info.default = default
    notes = info.json_schema_extra
    info.json_schema_extra = {**(notes if isinstance(notes, dict) else {}), "source": source}
    return info


@dataclass(frozen=True)
class MethodCard:
    """What a method is and where it comes from, as `bench info` shows it."""

    title: str
    citation: str
    paper: str
    tables: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Where a method puts cells in its feature space, by which retrieval is judged.

    `values`: n × d, compared by Euclidean distance. `rows`, `cols` (n): their cells on the grid of the scores.
    """

    values: NDArray[np.floating[Any]]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """A method's answer for one slide.

    `scores`: probability of the positive class per cell, NaN where not scored.
    `units`: optional score per unit (rows × cols of the unit grid), else derived from `scores`.
    `mask`: optional decision per cell of the grid of `scores`, where a paper has a threshold and post-processing of
    its own; by default a cell is positive when its score > 0.5.
    `classes`: class of every cell on the grid of `scores`, for data with more than two classes.
    `embeddings`: optional; with them retrieval metrics are reported.
    `figures`: optional extra pictures, name → RGB image.
    `notes`: what a reader of this slide's numbers should know ("returned unchanged: …"); kept with its row.
    """

    scores: ScoreMap
    units: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    classes: NDArray[np.int8] | None = None
    embeddings: Embeddings | None = None
    figures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


P = TypeVar("P", bound=BaseModel, covariant=True, default=BaseModel)
"""A method's parameters: `class Colour(Method[ColourParams])` types `self.params`."""


class WatchedParams:
    """The parameters as a stage may read them: a name it does not declare raises `StageError`."""

    def __init__(self, params: BaseModel) -> None:
        self._params = params
        self._allowed: frozenset[str] | None = None
        self._stage = ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._allowed is not None and name not in self._allowed:
            msg = f"stage {self._stage!r} reads the parameter {name!r}, which it does not declare"
            raise StageError(msg, fix=f"add {name!r} to `uses` of context.stage({self._stage!r}, …)")
        return getattr(self._params, name)

    def restrict(self, stage: str, allowed: frozenset[str] | None) -> tuple[str, frozenset[str] | None]:
        """Admit only `allowed` (None: everything) and return what was in force before."""
        before = (self._stage, self._allowed)
        self._stage, self._allowed = stage, allowed
        return before

    def values(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The declared parameters as plain JSON values (files by content), for a stage's digest."""
        dumped = facts_of(self._params)
        missing = [name for name in names if name not in dumped]
        if missing:
            raise StageError(f"a stage declares parameters that do not exist: {', '.join(missing)}")
        return {name: dumped[name] for name in names}


class Method(ABC, Generic[P]):
    """Base of all methods. `presets['paper']` is empty: the defaults are the paper's values.

    A run without a preset takes `presets['quick']`: minutes on two cores, no download.
    """

    name: ClassVar[str]
    supervision: ClassVar[frozenset[Supervision]]
    card: ClassVar[MethodCard]
    Params: ClassVar[type[Params]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    multiclass: ClassVar[bool] = False
    """True where it tells all classes of a dataset apart; others see the positive classes and the rest."""
    suggested: ClassVar[bool] = False
    """True for the method to take where several of its supervision would do and nobody chose."""

    def __init__(self, params: P) -> None:
        self._watched = WatchedParams(params)

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Refuse a class whose `Params` are not those it is typed with, so that the type of `self.params` holds."""
        super().__init_subclass__(**keywords)
        for base in getattr(cls, "__orig_bases__", ()):
            for typed in get_args(base) if issubclass(get_origin(base) or object, Method) else ():
                params = getattr(cls, "Params", typed)
                if isinstance(typed, type) and not issubclass(params, typed):
                    raise TypeError(
                        f"{cls.__name__} is typed Method[{typed.__name__}], its Params are {params.__name__}"
                    )

    @property
    def params(self) -> P:
        """The parameters. Inside a stage, only those it declares."""
        return cast(P, self._watched)

    @property
    def watched(self) -> WatchedParams:
        """The parameters as the stage store reads and guards them."""
        return self._watched

    def budgets(self) -> Mapping[Supervision, int | Budget]:
        """How many labels of a kind the parameters allow at most (PIXEL and REVIEW)."""
        return {}

    def label_counts(self, slide: Slide, geometry: Geometry) -> Mapping[str, int]:
        """Counter of the ledger → how many labels of a training slide the method asks for, with these parameters.

        A budget in minutes is planned by it, and `Labels` refuses more; see `announced_counts` for the default.
        """
        from benchmark.budgets.announced import announced_counts

        return announced_counts(self.supervision, self.params, slide, geometry)

    def review_counts(self, classes: int) -> Reviews:
        """How many reviews the method asks for, with these parameters, on data of so many classes.

        A share of a budget is one of them; see `announced_reviews` for the default.
        """
        from benchmark.budgets.announced import announced_reviews

        return announced_reviews(self.params, classes)

    def expert(self) -> ExpertSettings:
        """Who answers reviews, with these parameters: by default an expert who never errs."""
        return ExpertSettings()

    def transductive(self) -> bool:
        """Whether labels of a test slide go into its own scores, with these parameters (refiners)."""
        return Supervision.COARSE in self.supervision

    def track(self) -> str:
        """Leaderboards rank methods of one track together: the kinds of label, and whether of the test slides."""
        kinds = "+".join(sorted(self.supervision)) or "none"
        return (
            f"{kinds} of the slide itself" if self.transductive() and Supervision.REVIEW in self.supervision else kinds
        )

    def no_probability(self) -> Mapping[str, str]:
        """Why scores of the level `unit` or `cell` are no probabilities, with these parameters; empty where all are.

        Such scores have no figures of calibration. It decides no number, so that it counts in no digest of code.
        """
        return {}

    def refits(self) -> bool:
        """Whether a final fit, with these parameters, may have the validation slides as training slides.

        True where nothing is selected on validation slides and they give no threshold that matters: the winner of a
        sweep is then fitted on both together.
        """
        return False

    def encoders(self) -> Sequence[str] | None:
        """What the networks have seen before, with these parameters: a `NAME: DATA` each (`encoders.seen_by`).

        Empty where no network starts from weights; None, the default, where the method does not say.
        """
        return None

    def starts_from(self) -> Sequence[str] | None:
        """The encoders whose published weights its networks start from, with these parameters.

        None, the default: as the parameters `…_pretrained` and `…_weights` say (`learning/encoders/needed.py`).
        """
        return None

    @classmethod
    def not_applicable(cls, dataset: Dataset) -> str | None:
        """Why this method cannot run on that dataset, or None when it can."""
        return None

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise `BenchError`, while a run is planned, for parameters that do not fit the data's classes."""

    def check_slides(self, train: Sequence[Slide], scored: Sequence[Slide]) -> None:
        """Raise `BenchError`, while a run is planned, for slides that lack what the method needs besides pixels.

        Names of files only: nothing is opened here.
        """

    def prepare(self, train: Sequence[Slide], scored: Sequence[Slide], context: Context) -> None:
        """Read, before `fit`, what the slides need besides pixels and labels, such as features made elsewhere.

        What is missing is then told at the start, not when the last slide is scored.
        """

    @abstractmethod
    def fit(self, train: View, validation: View, context: Context) -> None:
        """Learn from the training slides. Selection uses `validation`, which may be empty."""

    @abstractmethod
    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """Score one slide. `labels` is sealed except for transductive kinds."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `fit` learnt: tensors, arrays, numbers, strings, in dicts and lists."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Take over what another instance with the same parameters learnt."""
