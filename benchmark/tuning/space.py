"""A search space: dimensions, each an Optuna distribution with what Optuna has no place for.

Optuna's distributions carry bounds, `log` and `step`. Added here: the condition `when` (Optuna's spaces are conditional
by the objective's control flow alone), the paper's symbol, and choices that are lists (Optuna stores scalars).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from pydantic import BaseModel

from benchmark.describe import plain
from benchmark.errors import StudyError

Label = str | int | float | bool | None
Distribution = FloatDistribution | IntDistribution | CategoricalDistribution

_NEAR = 1e-8
"""How far, in steps, a value may be from a step and still stand on it; Optuna's tolerance."""


@dataclass(frozen=True)
class Dimension:
    """One parameter that is searched; `categorical` makes those with choices.

    `choices` are plain JSON values, so a tuple is a list here; the distribution has their labels, in the same order.
    `when`: the values of other parameters for which the dimension is active; elsewhere it keeps the preset's value.
    """

    name: str
    distribution: Distribution
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    symbol: str = ""

    def label(self, choice: Any) -> Any:
        """What Optuna stores: of a choice its label, numbers as they are. Raises `ValueError` for no choice."""
        if not isinstance(self.distribution, CategoricalDistribution):
            return choice
        return self.distribution.choices[_index(_as_json(choice), self.choices)]

    def value(self, label: Any) -> Any:
        """The choice behind a label; numbers as they are. Raises `ValueError` for no label."""
        if not isinstance(self.distribution, CategoricalDistribution):
            return label
        return self.choices[_index(label, self.distribution.choices)]

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range, on a step where there are steps. Optuna's own check is private."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return any(_same(_as_json(value), choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not distribution.low <= value <= distribution.high:
            return False
        if isinstance(distribution, IntDistribution) and value != int(value):
            return False
        steps = 0.0 if distribution.step is None else (value - distribution.low) / distribution.step
        return math.isclose(steps, round(steps), rel_tol=0, abs_tol=_NEAR)

    @property
    def title(self) -> str:
        """The name with the paper's symbol: `reweight_constant (V)`."""
        return f"{self.name} ({self.symbol})" if self.symbol else self.name

    @property
    def text(self) -> str:
        """The range in words: `0.1 … 0.8`, `4 … 64 (log)`, `none | cc when scope=image`."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            words = " | ".join(map(plain, self.choices))
        else:
            unstepped = 1 if isinstance(distribution, IntDistribution) else None
            step = "" if distribution.step == unstepped else f" (step {plain(distribution.step)})"
            scale = " (log)" if distribution.log else step
            words = f"{plain(distribution.low)} … {plain(distribution.high)}{scale}"
        conditions = ", ".join(f"{name}={' | '.join(map(plain, values))}" for name, values in self.when.items())
        return f"{words} when {conditions}" if conditions else words

    def facts(self) -> dict[str, Any]:
        """All that decides what can be drawn, as plain JSON; `dimension_of` is the inverse, without the symbol."""
        return {
            "name": self.name,
            "distribution": json.loads(distribution_to_json(self.distribution)),
            "choices": list(self.choices),
            "when": {name: list(values) for name, values in sorted(self.when.items())},
        }


def categorical(
    name: str, choices: Sequence[Any], when: Mapping[str, tuple[Any, ...]] | None = None, symbol: str = ""
) -> Dimension:
    """A dimension with choices, whose labels have to differ."""
    return Dimension(
        name, CategoricalDistribution(list(map(choice_label, choices))), tuple(choices), when or {}, symbol
    )


def choice_label(choice: Any) -> Label:
    """What Optuna stores for a choice: scalars as they are, lists and mappings as JSON text."""
    if choice is None or isinstance(choice, str | int | float):
        return choice
    return json.dumps(choice, ensure_ascii=False, sort_keys=True)


def dimension_of(facts: Mapping[str, Any]) -> Dimension:
    """A dimension from its facts. Raises `StudyError` for facts of before Optuna's distributions were kept in them."""
    if "distribution" not in facts:
        message = "the storage has a study of an earlier version, which cannot be read"
        raise StudyError(message, fix="--storage URL, for another storage")
    distribution = json_to_distribution(json.dumps(facts["distribution"]))
    assert isinstance(distribution, FloatDistribution | IntDistribution | CategoricalDistribution)
    when = {name: tuple(values) for name, values in facts["when"].items()}
    return Dimension(facts["name"], distribution, tuple(facts["choices"]), when)


@dataclass(frozen=True)
class Space:
    """The dimensions, parents before children, and the preset's values of all parameters as plain JSON."""

    dimensions: tuple[Dimension, ...]
    base: Mapping[str, Any]

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)

    def __len__(self) -> int:
        return len(self.dimensions)

    def __getitem__(self, name: str) -> Dimension:
        """The dimension of that name. Raises `KeyError`."""
        return {dimension.name: dimension for dimension in self.dimensions}[name]

    def __contains__(self, name: object) -> bool:
        return any(dimension.name == name for dimension in self.dimensions)

    def active(self, dimension: Dimension, chosen: Mapping[str, Any]) -> bool:
        """Whether a dimension is active, given the values chosen so far.

        A parent outside the space has its fixed value; a parent in it that is inactive makes its children inactive.
        """
        return self._active(dimension, chosen, self.base)

    def published(self, base: BaseModel) -> dict[str, Any]:
        """The values that `base` has in the dimensions that are active there: the first trial."""
        return self.point_of(base.model_dump(mode="json"))

    def point_of(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """As `published`, of parameters as plain JSON."""
        point: dict[str, Any] = {}
        for dimension in self.dimensions:
            if self._active(dimension, point, base):
                value = base[dimension.name]
                whole = isinstance(dimension.distribution, IntDistribution) and dimension.holds(value)
                point[dimension.name] = int(value) if whole else value
        return point

    def facts(self) -> list[dict[str, Any]]:
        """All that decides what can be drawn, as plain JSON; part of a study's identity.

        The fixed value of a parameter that a condition names is not among it: it is one of the trial's settings.
        """
        return [dimension.facts() for dimension in self.dimensions]

    def table(self) -> list[tuple[str, str, str]]:
        """Name with symbol, range in words, the preset's value (– where the dimension is inactive)."""
        point = self.point_of(self.base)
        return [
            (dimension.title, dimension.text, plain(point[dimension.name]) if dimension.name in point else "–")
            for dimension in self.dimensions
        ]

    def _active(self, dimension: Dimension, chosen: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
        for parent, values in dimension.when.items():
            known = chosen if parent in self else base
            if parent not in known or not any(_same(_as_json(known[parent]), value) for value in values):
                return False
        return True


def _as_json(value: Any) -> Any:
    return [_as_json(part) for part in value] if isinstance(value, list | tuple) else value


def _same(value: Any, other: Any) -> bool:
    """Equality in which true is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _index(wanted: Any, values: Sequence[Any]) -> int:
    for index, value in enumerate(values):
        if _same(wanted, value):
            return index
    raise ValueError(f"{wanted!r} is none of {list(values)}")
