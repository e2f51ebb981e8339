"""What a method declares of its parameters, and the search space of a sweep file that writes none: those ranges."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from benchmark.describe import legal_range
from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.tuning.space import Dimension, Space, categorical

Schema = Mapping[str, Any]

FACTOR = 4
"""A range without a second end goes from a fourth of the published value to four times as much."""
MARGIN = 0.01
"""An end that is itself not legal moves towards the published value by this share of their distance."""
DECADES = 1000
"""A range between two declared ends is searched in logarithms when its ends are this far apart."""


@dataclass(frozen=True)
class Legal:
    """The legal values of one field of `Method.Params`, as a search space has to know them."""

    name: str
    field: FieldInfo

    @property
    def range(self) -> str:
        """In words: `float > 1`."""
        return legal_range(self.field)

    @property
    def symbol(self) -> str:
        """The paper's symbol, or nothing."""
        return self._note("symbol")

    @property
    def source(self) -> str:
        """Where the default comes from; empty for technical parameters."""
        return self._note("source")

    @property
    def given(self) -> bool:
        """Whether it states what there is to work with (labels, weights, networks); see `benchmark.method.param`."""
        return bool(self._note("given"))

    @property
    def optional(self) -> bool:
        """Whether it may be null."""
        return any(option.get("type") == "null" for option in self._options)

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All legal values, where these can be counted (Literal and bool)."""
        if len(self._options) != 1:
            return None
        schema = self._options[0]
        if schema.get("type") == "boolean" and not _is_fixed(schema):
            return (False, True)
        return tuple(schema.get("enum", [schema.get("const")])) if _is_fixed(schema) else None

    @property
    def number(self) -> Literal["float", "int"] | None:
        """Which numbers are legal, if any, beside null and other types."""
        kinds = {option.get("type") for option in self._options if not _is_fixed(option)}
        return "float" if "number" in kinds else "int" if "integer" in kinds else None

    @property
    def bounds(self) -> Schema:
        """The JSON schema of the number: `minimum`, `exclusiveMaximum`, `multipleOf` …; empty where it is none."""
        wanted = {"float": "number", "int": "integer"}.get(self.number or "")
        return next((option for option in self._options if option.get("type") == wanted), {}) if wanted else {}

    def plain(self, value: Any) -> Any:
        """The value as JSON has it, after validation. Raises `ValueError`: not legal, or of another type."""
        try:
            plain = self._adapter.dump_python(self._adapter.validate_python(value), mode="json")
        except ValidationError:
            raise ValueError(f"{value!r} is not legal; expected {self.range}") from None
        text = isinstance(value, str) and isinstance(plain, str)
        if not text and (plain != _listed(value) or isinstance(plain, bool) != isinstance(value, bool)):
            raise ValueError(f"{value!r} is of another type; expected {self.range}")
        return plain

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        annotated: Any = Annotated[self.field.annotation, self.field]
        return TypeAdapter(annotated)

    @cached_property
    def _options(self) -> list[Schema]:
        schema = self._adapter.json_schema()
        named = schema.get("$defs", {})
        options = schema.get("anyOf", [schema])
        return [named[option["$ref"].rsplit("/", 1)[-1]] if "$ref" in option else option for option in options]

    def _note(self, name: str) -> str:
        notes = self.field.json_schema_extra
        return str(notes.get(name) or "") if isinstance(notes, Mapping) else ""


def derived_space(method: type[Method], base: BaseModel, *, fixed: Collection[str] = ()) -> Space:
    """The space of a method's declared ranges around the published values `base`, without the parameters `fixed`.

    Parameters without a `source` are technical (batch sizes of scoring, caches, files); those declared as `given` state
    which labels, weights or networks there are. Both are left out. Of the others:

    * Literal and bool: all values.
    * A number with both ends: from one to the other; logarithmic when low > 0 and high ≥ 1000 · low.
    * A number with one end: a fourth of the published value to four times as much, as far as it is legal (whole
      numbers rounded outwards); logarithmic when low > 0. A published 0 gives no scale and is left out.
    * An end that is not legal itself: of a float, it moves inwards by 1 % of its distance to the published value; of
      a whole number, to the next one.
    * `multiple_of`: steps of that size through the published value, never logarithmic.
    * Numbers without an end, and parameters that may be null, lists, texts and files: left out.

    Raises:
        ConfigError: nothing is left.
    """
    values = base.model_dump(mode="json")
    legal = [Legal(name, field) for name, field in method.Params.model_fields.items() if name not in fixed]
    searchable = [field for field in legal if field.source and not field.given and not field.optional]
    derived = [_dimension(field, values[field.name]) for field in searchable]
    dimensions = tuple(dimension for dimension in derived if dimension is not None)
    if not dimensions:
        message = f"{method.name} declares no range to search; write a space"
        raise ConfigError(message, fix=f"bench info {method.name}")
    return Space(dimensions, values)


def _dimension(legal: Legal, value: Any) -> Dimension | None:
    if legal.values is not None:
        return categorical(legal.name, legal.values, symbol=legal.symbol) if len(legal.values) > 1 else None
    if legal.number is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = legal.number == "int"
    ends = _ends(legal, value, whole)
    if ends is None:
        return None
    low, high, both = ends
    step = legal.bounds.get("multipleOf")
    if step is not None:
        low, high = (value + math.trunc((end - value) / step) * step for end in (low, high))
    if not low < high or not low <= value <= high:
        return None
    log = step is None and low > 0 and (not both or high >= DECADES * low)
    if whole:
        return Dimension(legal.name, IntDistribution(int(low), int(high), log, int(step or 1)), symbol=legal.symbol)
    return Dimension(legal.name, FloatDistribution(low, high, log, step), symbol=legal.symbol)


def _ends(legal: Legal, value: float, whole: bool) -> tuple[float, float, bool] | None:
    """Lowest and highest value to search, and whether both are declared; None where no end or no scale is known."""
    lowest, highest = (_end(legal, side, value, whole) for side in ("inimum", "aximum"))
    if lowest is None and highest is None:
        return None
    if lowest is not None and highest is not None:
        return lowest, highest, True
    if value == 0:
        return None
    small, large = sorted((value / FACTOR, value * FACTOR))
    if whole:
        small, large = math.floor(small), math.ceil(large)
    low = small if lowest is None else max(small, lowest)
    return low, large if highest is None else min(large, highest), False


def _end(legal: Legal, side: str, value: float, whole: bool) -> float | None:
    """The outermost value on one side that may be searched; None where that side is open."""
    declared = legal.bounds.get(f"m{side}"), legal.bounds.get(f"exclusiveM{side}")
    inclusive, exclusive = (None if end is None else float(end) for end in declared)
    if exclusive is None:
        return inclusive
    sign = 1 if value > exclusive else -1
    if whole:
        return exclusive + sign
    moved = exclusive + MARGIN * (value - exclusive)
    tidy = float(f"{moved:.3g}")
    return tidy if sign * (tidy - exclusive) > 0 and sign * (value - tidy) >= 0 else moved


def _is_fixed(schema: Schema) -> bool:
    return "enum" in schema or "const" in schema


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, list | tuple) else value
