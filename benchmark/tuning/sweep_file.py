"""The fields of a sweep file and which of them go together; `sweep_reader` reports what is refused here with its line.

Bounds, `log` and `step` are checked here rather than by Optuna's distributions: those name no field, and lower `high`
without a word where the steps do not lead to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from benchmark.config import DEFAULT_PRESET
from benchmark.seeds import MOST_SEED

Direction = Literal["maximize", "minimize"]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, le=MOST_SEED)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """Base of all parts of a sweep file: unknown fields are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Objective(Part):
    """A metric and its better direction."""

    metric: Name
    direction: Direction


class Constraint(Part):
    """A bound that a trial's metric has to keep: one that does not keep it never wins."""

    metric: Name
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            count = "no bound" if self.at_least is None else "two bounds"
            raise wrong("metric", f"{count} for {self.metric}; expected `at_least` or `at_most`, a number")
        return self

    @property
    def text(self) -> str:
        """`image/sensitivity >= 0.95`."""
        low, high = self.at_least, self.at_most
        return f"{self.metric} >= {low:g}" if low is not None else f"{self.metric} <= {high:g}"

    def excess(self, value: float) -> float:
        """By how much a value misses the bound; 0 or less where it keeps it."""
        return self.at_least - value if self.at_least is not None else value - (self.at_most or 0.0)

    def facts(self) -> dict[str, Any]:
        """As plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)


class Sampler(Part):
    """What chooses the next point; the first `startup` points are random."""

    kind: Literal["tpe", "random", "qmc", "nsga2"] = "tpe"
    seed: Seed = 0
    startup: Count = 10


class Pruner(Part):
    """What stops a trial early, by the curve `watch` that the method logs. `direction` None: that of the objective.

    Nothing is pruned before `startup` trials are complete, nor before a trial's step `warmup`. `wilcoxon` watches a
    metric slide by slide while the validation slides are scored: a trial ends when a signed-rank test against the same
    slides of the best trial says with p < `p` that it is worse; `warmup` counts slides.
    """

    kind: Literal["none", "median", "hyperband", "wilcoxon"] = "none"
    watch: Name | None = None
    direction: Direction | None = None
    startup: Annotated[int, Field(strict=True, ge=0)] = 5
    warmup: Annotated[int, Field(strict=True, ge=0)] = 0
    p: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.kind in ("median", "hyperband") and self.watch is None:
            raise wrong("kind", f"kind = {self.kind} needs `watch`, the name of a logged curve")
        if self.kind != "wilcoxon" and self.p is not None:
            raise wrong("p", f"kind = {self.kind} has no `p`; that is of kind = wilcoxon")
        if self.kind == "wilcoxon" and "startup" in self.model_fields_set:
            raise wrong("startup", "kind = wilcoxon has no `startup`: it compares with the best trial so far")
        return self

    def facts(self) -> dict[str, Any]:
        """As plain JSON; `p` only where it is given, so that studies of before know themselves again."""
        facts = self.model_dump(mode="json")
        return facts if self.p is not None else {name: value for name, value in facts.items() if name != "p"}


class DimensionSpec(Part):
    """The values to search of one parameter. `when`: only where other parameters have one of these values."""

    type: Literal["float", "int", "categorical"]
    low: Number | None = None
    high: Number | None = None
    log: Annotated[bool, Field(strict=True)] = False
    step: Number | None = None
    choices: list[Any] | None = None
    when: dict[str, list[Any]] = Field(default_factory=dict)

    @field_validator("choices")
    @classmethod
    def _choices_differ(cls, choices: list[Any] | None) -> list[Any] | None:
        for place, choice in enumerate(choices or ()):
            if not _is_plain(choice):
                raise ValueError(
                    f"the choice {choice!r} is neither a finite number, text, true, false, null nor a list"
                )
            if choice in (choices or ())[:place]:
                raise ValueError(f"the choice {choice!r} is given twice")
        if choices is not None and len(choices) < 2:
            raise ValueError(f"{len(choices)} of them: nothing to choose from")
        return choices

    @field_validator("when")
    @classmethod
    def _can_hold(cls, when: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in when.items():
            if not values or not all(map(_is_plain, values)):
                raise ValueError(
                    f"{name} has no values, or none that YAML and JSON both have; write {name}: [value, …]"
                )
        return when

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.type == "categorical":
            self._check_categorical()
        else:
            self._check_numeric()
        return self

    def _check_categorical(self) -> None:
        given = [name for name in ("low", "high", "log", "step") if name in self.model_fields_set]
        if given:
            raise wrong(given[0], f"type = categorical has `choices`, no `{given[0]}`")
        if self.choices is None:
            raise wrong("type", "type = categorical needs `choices`, a list of two or more")

    def _check_numeric(self) -> None:
        if self.choices is not None:
            raise wrong("choices", f"type = {self.type} has `low` and `high`, no `choices`")
        if self.low is None or self.high is None:
            raise wrong("type", f"type = {self.type} needs `{'low' if self.low is None else 'high'}`")
        if self.low == self.high:
            raise wrong("high", f"low and high are both {self.low:g}: nothing to search; give the value under `params`")
        if self.low > self.high:
            raise wrong("low", f"low = {self.low:g} is above high = {self.high:g}: the bounds are reversed")
        if self.log and self.low <= 0:
            raise wrong("low", f"low = {self.low:g} with log: expected more than 0")
        if self.log and self.step is not None:
            raise wrong("step", "log and step exclude each other")
        if self.type == "int":
            self._check_whole()
        if self.step is not None:
            self._check_step(self.low, self.high, self.step)

    def _check_whole(self) -> None:
        for name, value in (("low", self.low), ("high", self.high), ("step", self.step)):
            if value is not None and value != int(value):
                raise wrong(name, f"{name} = {value:g} with type = int: expected a whole number")

    def _check_step(self, low: float, high: float, step: float) -> None:
        if step <= 0:
            raise wrong("step", f"step = {step:g}: expected more than 0")
        steps = (high - low) / step
        if not math.isclose(steps, round(steps), rel_tol=0, abs_tol=1e-8) or round(steps) < 1:
            raise wrong("step", f"steps of {step:g} do not lead from low = {low:g} to high = {high:g}")


class SweepFile(Part):
    """The YAML file. `space` None: derived from the ranges that the method declares.

    `params` are fixed settings of the method, `options` of the dataset; `seed` is that of every trial, `seeds` those of
    the closing test. `patience`: the study ends when so many complete trials in a row were no better than the best.
    """

    method: Name
    dataset: Name | None = None
    preset: Name = DEFAULT_PRESET
    about: str = ""
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    space: dict[str, DimensionSpec] | None = None
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    trials: Count = 50
    patience: Count | None = None
    seed: Seed = 0
    seeds: tuple[Seed, ...] = (0,)

    @property
    def measured(self) -> list[str]:
        """The metrics of the objectives and of the constraints, each once."""
        objectives = [objective.metric for objective in self.objectives]
        return list(dict.fromkeys([*objectives, *(constraint.metric for constraint in self.constraints)]))

    @model_validator(mode="before")
    @classmethod
    def _one_objective(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or "objective" not in content:
            return content
        if "objectives" in content:
            raise wrong("objective", "`objective` and `objectives` are both given; keep one")
        rest = {name: value for name, value in content.items() if name != "objective"}
        return {**rest, "objectives": [content["objective"]]}

    @field_validator("objectives")
    @classmethod
    def _metrics_differ(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        _check_distinct("a metric", [objective.metric for objective in objectives])
        return objectives

    @field_validator("constraints")
    @classmethod
    def _constraints_differ(cls, constraints: tuple[Constraint, ...]) -> tuple[Constraint, ...]:
        if constraints:
            _check_distinct("a bound", [constraint.text.rpartition(" ")[0] for constraint in constraints])
        return constraints

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        _check_distinct("a seed", seeds)
        return seeds

    @field_validator("space")
    @classmethod
    def _space_is_not_empty(cls, space: dict[str, DimensionSpec] | None) -> dict[str, DimensionSpec] | None:
        if space is not None and not space:
            raise ValueError("empty space: name a parameter, or leave `space` out to have it derived")
        return space

    @model_validator(mode="after")
    def _can_prune(self) -> Self:
        if self.pruner.kind != "none" and len(self.objectives) > 1:
            raise wrong("pruner", f"pruning needs a single objective, there are {len(self.objectives)}")
        if self.patience is not None and len(self.objectives) > 1:
            raise wrong("patience", f"patience needs a single objective, there are {len(self.objectives)}")
        return self


def wrong(field: str, message: str) -> PydanticCustomError:
    """A mistake between several fields, reported at the line of one of them."""
    return PydanticCustomError("sweep", "{message}", {"message": message, "field": field})


def _is_plain(value: Any) -> bool:
    """Whether YAML and JSON both have such a value, and it is finite."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _check_distinct(noun: str, values: Sequence[Any]) -> None:
    if not values:
        raise ValueError(f"empty; expected {noun} or more")
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value} is given twice")
