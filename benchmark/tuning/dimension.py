"""A search space: dimensions with their ranges and conditions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from benchmark.describe import plain

Label = str | int | float | bool | None
Kind = Literal["float", "int", "categorical"]

_NEAR = 1e-8
"""How far, in steps, a value may be from a step and still stand on it."""


@dataclass(frozen=True)
class Dimension:
    """One parameter that is searched. Choices are plain JSON values, so a tuple is a list here.

    `when`: the values of other parameters for which it counts; elsewhere it keeps the preset's value.
    """

    name: str
    kind: Kind
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = None
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    symbol: str = ""

    @property
    def labels(self) -> list[Label]:
        """What Optuna stores for each choice: scalars as they are, lists and mappings as JSON text."""
        return [_label(choice) for choice in self.choices]

    def label(self, choice: Any) -> Label:
        """What Optuna stores for a choice. Raises `ValueError` for what is none."""
        return self.labels[_place(_plain(choice), self.choices)]

    def value(self, label: Label) -> Any:
        """The choice behind a label. Raises `ValueError` for what is none."""
        return self.choices[_place(label, self.labels)]

    def holds(self, value: Any) -> bool:
        """Whether a value of the parameter lies in the range, on a step where there are steps."""
        if self.kind == "categorical":
            return any(_same(_plain(value), choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or self.low is None or self.high is None:
            return False
        if not self.low <= value <= self.high or (self.kind == "int" and value != int(value)):
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return math.isclose(steps, round(steps), rel_tol=0, abs_tol=_NEAR)

    @property
    def title(self) -> str:
        """The name with the paper's symbol: `reweight_constant (V)`."""
        return f"{self.name} ({self.symbol})" if self.symbol else self.name

    @property
    def text(self) -> str:
        """The range in words: `0.1 … 0.8`, `4 … 64 (log)`, `none | cc when scope=image`."""
        if self.kind == "categorical":
            words = " | ".join(map(plain, self.choices))
        else:
            how = " (log)" if self.log else f" (step {plain(self.step)})" if self.step is not None else ""
            words = f"{plain(self.low)} … {plain(self.high)}{how}"
        conditions = ", ".join(f"{name}={' | '.join(map(plain, values))}" for name, values in self.when.items())
        return f"{words} when {conditions}" if conditions else words

    def facts(self) -> dict[str, Any]:
        """Everything that decides what can be drawn, as plain JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "low": self.low,
            "high": self.high,
            "log": self.log,
            "step": self.step,
            "choices": list(self.choices),
            "when": {name: list(values) for name, values in sorted(self.when.items())},
        }


@dataclass(frozen=True)
class Space:
    """The dimensions, parents before children, and the published values of all parameters as plain JSON."""

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
        """Whether a dimension counts, given the values chosen so far.

        A parent outside the space has its fixed value; one in it that does not count itself lets no child count.
        """
        return self._active(dimension, chosen, self.base)

    def published(self, base: BaseModel) -> dict[str, Any]:
        """The values that `base` has in the dimensions that count there: the first trial."""
        return self.point_of(base.model_dump(mode="json"))

    def point_of(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """As `published`, of parameters as plain JSON."""
        point: dict[str, Any] = {}
        for dimension in self.dimensions:
            if self._active(dimension, point, base):
                value = base[dimension.name]
                point[dimension.name] = int(value) if dimension.kind == "int" and dimension.holds(value) else value
        return point

    def facts(self) -> list[dict[str, Any]]:
        """Everything that decides what can be drawn, as plain JSON; part of a study's identity.

        The fixed value of a parameter that a condition names is not among it, for it is one of the trial's settings.
        """
        return [dimension.facts() for dimension in self.dimensions]

    def table(self) -> list[tuple[str, str, str]]:
        """Name with symbol, range in words, published value (– where the dimension does not count)."""
        point = self.point_of(self.base)
        return [(one.title, one.text, plain(point[one.name]) if one.name in point else "–") for one in self.dimensions]

    def _active(self, dimension: Dimension, chosen: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
        for parent, values in dimension.when.items():
            known = chosen if parent in self else base
            if parent not in known or not any(_same(_plain(known[parent]), value) for value in values):
                return False
        return True


def _label(choice: Any) -> Label:
    if choice is None or isinstance(choice, str | int | float):
        return choice
    return json.dumps(choice, ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _same(one: Any, other: Any) -> bool:
    """Equality in which true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _place(wanted: Any, among: tuple[Any, ...] | list[Label]) -> int:
    for place, one in enumerate(among):
        if _same(wanted, one):
            return place
    raise ValueError(f"{wanted!r} is none of {list(among)}")
