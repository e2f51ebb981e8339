"""The `space` of a sweep file as a search space, checked against the parameters of the method."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import BaseModel

from benchmark import config
from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.tuning.declared_space import Legal, derived_space
from benchmark.tuning.space import Dimension, Space, categorical, choice_label
from benchmark.tuning.sweep_file import DimensionSpec
from benchmark.tuning.sweep_reader import LoadedSweep
from benchmark.yaml_lines import Key


def base_of(loaded: LoadedSweep, method: type[Method]) -> BaseModel:
    """The preset with the fixed `params`: the published setting. Raises `ConfigError` with the line."""
    file, reader = loaded.file, _Reader(loaded, method, {})
    try:
        config.resolve(method, file.preset)
    except ConfigError as error:
        raise loaded.error(error.what, "preset", fix=error.fix) from None
    for name, value in file.params.items():
        reader.plain(reader.legal(reader.field(name, "params", name)), value, name, "params", name)
    try:
        return config.resolve(method, file.preset, file.params)
    except ConfigError as error:
        raise loaded.error(error.what, "params", fix=error.fix) from None


def space_of(loaded: LoadedSweep, method: type[Method], base: BaseModel) -> Space:
    """The space of a sweep file, or the derived one where it writes none.

    Args:
        loaded: the file; its `space` names parameters by field or by the paper's symbol.
        method: whose `Params` say what is legal.
        base: the published setting; it is the first trial, so it must lie in the space.

    Raises:
        ConfigError: with the line: a name that is unknown, fixed or given twice, a wrong type, a bound or choice that
            is not legal, a condition that cannot hold, or a published value outside.
    """
    reader = _Reader(loaded, method, base.model_dump(mode="json"))
    if loaded.file.space is None:
        fixed = {reader.field(name, "params", name) for name in loaded.file.params}
        return derived_space(method, base, fixed=fixed)
    return reader.space(loaded.file.space)


class _Reader:
    """One reading of a `space`; keeps how each field was written, for the lines."""

    def __init__(self, loaded: LoadedSweep, method: type[Method], base: Mapping[str, Any]) -> None:
        self.loaded = loaded
        self.method = method
        self.base = base
        self.fields = method.Params.model_fields
        self.written: dict[str, str] = {}

    def space(self, specs: Mapping[str, DimensionSpec]) -> Space:
        """Check all and put parents before children."""
        params = {self.field(name, "params", name): name for name in self.loaded.file.params}
        for name in specs:
            field = self.field(name, "space", name)
            if field in params:
                raise self.wrong(f"{name} is fixed under `params` and searched here; keep one", "space", name)
            if field in self.written:
                raise self.wrong(f"{name} is {self.written[field]}, which is searched already", "space", name)
            self.written[field] = name
        dimensions = {field: self._dimension(field, specs[name]) for field, name in self.written.items()}
        space = Space(self._ordered(dimensions), self.base)
        for dimension in space:
            self._check_reachable(dimension, dimensions)
        self._check_published(space)
        return space

    def field(self, name: str, *keys: Key) -> str:
        """The field behind a name or symbol. Raises `ConfigError` with the nearest."""
        symbols = config.symbols_of(self.method.Params)
        if name in self.fields:
            return name
        if name in symbols:
            return symbols[name]
        several = [field for field in self.fields if self.legal(field).symbol == name]
        if several:
            raise self.wrong(f"{name} is the symbol of {' and '.join(several)}; write the field's name", *keys)
        close = difflib.get_close_matches(name, [*self.fields, *symbols], n=1, cutoff=0.5)
        nearest = symbols.get(close[0], close[0]) if close else ""
        hint = f"; the nearest is {close[0]!r} ({self.legal(nearest).range})" if close else ""
        raise self.wrong(f"{self.method.name} has no parameter {name!r}{hint}", *keys)

    def legal(self, field: str) -> Legal:
        """What a field may hold."""
        return Legal(field, self.fields[field])

    def wrong(self, message: str, *keys: Key) -> ConfigError:
        """An error at the line of these keys."""
        return self.loaded.error(message, *keys, fix=f"bench info {self.method.name}")

    def plain(self, legal: Legal, value: Any, name: str, *keys: Key) -> Any:
        """The value as JSON has it. Raises `ConfigError` where it is not legal."""
        try:
            return legal.plain(value)
        except ValueError as error:
            switch = isinstance(value, bool) and set(legal.values or ()) & {"yes", "no", "on", "off"}
            hint = "; YAML reads yes, no, on and off as true and false: quote them" if switch else ""
            raise self.wrong(f"{name}: {error}{hint}", *keys) from None

    def _dimension(self, field: str, spec: DimensionSpec) -> Dimension:
        legal, when = self.legal(field), self._conditions(field, spec)
        if spec.type == "categorical":
            return self._categorical(legal, spec, when)
        name = self.written[field]
        if legal.number is None or (legal.number == "int" and spec.type == "float"):
            fitting = "type = int" if legal.number else "type = categorical"
            message = f"{name} is {legal.range}, which type = {spec.type} does not fit; expected {fitting}"
            raise self.wrong(message, "space", name, "type")
        number = int if spec.type == "int" else float
        low, high = number(spec.low or 0), number(spec.high or 0)
        for key, end in (("low", low), ("high", high)):
            self.plain(legal, end, f"{key} of {name}", "space", name, key)
        step = None if spec.step is None else number(spec.step)
        self._check_multiple(legal, step, name)
        if spec.type == "int":
            return Dimension(
                field, IntDistribution(int(low), int(high), spec.log, int(step or 1)), when=when, symbol=legal.symbol
            )
        return Dimension(field, FloatDistribution(low, high, spec.log, step), when=when, symbol=legal.symbol)

    def _check_multiple(self, legal: Legal, step: float | None, name: str) -> None:
        multiple = legal.bounds.get("multipleOf")
        if multiple is not None and (step is None or abs(step / multiple - round(step / multiple)) > 1e-9):
            message = f"{name} is {legal.range}; expected a step that is a multiple of {multiple:g}"
            raise self.wrong(message, "space", name, *(() if step is None else ("step",)))

    def _categorical(self, legal: Legal, spec: DimensionSpec, when: Mapping[str, tuple[Any, ...]]) -> Dimension:
        name = self.written[legal.name]
        choices: list[Any] = []
        for place, choice in enumerate(spec.choices or ()):
            keys = ("space", name, "choices", place)
            choices.append(self.plain(legal, choice, f"the choice for {name}", *keys))
            if choice_label(choices[-1]) in [choice_label(other) for other in choices[:-1]]:
                raise self.wrong(f"the choice {choice!r} of {name} has the value of one before it", *keys)
        return categorical(legal.name, choices, when, legal.symbol)

    def _conditions(self, field: str, spec: DimensionSpec) -> dict[str, tuple[Any, ...]]:
        name, conditions = self.written[field], {}
        for parent, values in spec.when.items():
            keys = ("space", name, "when", parent)
            owner = self.field(parent, *keys)
            if owner == field:
                raise self.wrong(f"{name} is made conditional on itself", *keys)
            if owner in conditions:
                raise self.wrong(f"{parent} is given twice in one condition", *keys)
            conditions[owner] = tuple(
                self.plain(self.legal(owner), value, f"the condition {parent} of {name}", *keys, place)
                for place, value in enumerate(values)
            )
        return conditions

    def _ordered(self, dimensions: Mapping[str, Dimension]) -> tuple[Dimension, ...]:
        """In the order of the file, each after its parents."""
        left, ordered = dict(dimensions), dict[str, Dimension]()
        while left:
            ready = next((field for field, dimension in left.items() if not set(dimension.when) & set(left)), None)
            if ready is None:
                circle = [self.written[field] for field in left]
                message = f"the conditions of {', '.join(circle)} depend on each other"
                raise self.wrong(message, "space", circle[0], "when")
            ordered[ready] = left.pop(ready)
        return tuple(ordered.values())

    def _check_reachable(self, dimension: Dimension, dimensions: Mapping[str, Dimension]) -> None:
        """Refuse a condition on a value that its parent never has here."""
        for parent, values in dimension.when.items():
            name, owner = self.written[dimension.name], dimensions.get(parent)
            when = (self.loaded.file.space or {})[name].when
            written = next(condition for condition in when if self.field(condition) == parent)
            keys = ("space", name, "when", written)
            fixed = categorical(parent, (self.base[parent],))
            if owner is None and not any(map(fixed.holds, values)):
                message = f"{name} is never searched: {written} is {self.base[parent]!r} here and not searched itself"
                raise self.wrong(message, *keys)
            for place, value in enumerate(values):
                if owner is not None and not owner.holds(value):
                    message = f"{name} depends on {written} = {value!r}, which is not searched; {written}: {owner.text}"
                    raise self.wrong(message, *keys, place)

    def _check_published(self, space: Space) -> None:
        point = space.point_of(self.base)
        for field, value in point.items():
            dimension, name = space[field], self.written[field]
            if not dimension.holds(value):
                hint = "; write type: categorical with null among the choices" if value is None else ""
                reason = f"the value of the preset {self.loaded.file.preset}, which is the first trial{hint}"
                raise self.wrong(f"{name} ({dimension.text}) must include {value!r}, {reason}", "space", name)
