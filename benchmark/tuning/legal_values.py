"""What a field of `Method.Params` may hold, as a search space has to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from benchmark.describe import legal_range

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Legal:
    """The legal values of one field."""

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
        """Where the default is from; empty for what is technical."""
        return self._note("source")

    @property
    def given(self) -> bool:
        """Whether it says what there is to work with; see `benchmark.method.param`."""
        return bool(self._note("given"))

    @property
    def optional(self) -> bool:
        """Whether it may be null."""
        return any(option.get("type") == "null" for option in self._options)

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All that it may be, where these can be counted (Literal and bool)."""
        if len(self._options) != 1:
            return None
        schema = self._options[0]
        if schema.get("type") == "boolean" and not _is_fixed(schema):
            return (False, True)
        return tuple(schema.get("enum", [schema.get("const")])) if _is_fixed(schema) else None

    @property
    def number(self) -> Literal["float", "int"] | None:
        """Which numbers it takes, if it takes any beside null and other things."""
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
            found = self._adapter.dump_python(self._adapter.validate_python(value), mode="json")
        except ValidationError:
            raise ValueError(f"{value!r} is not legal; expected {self.range}") from None
        text = isinstance(value, str) and isinstance(found, str)
        if not text and (found != _listed(value) or isinstance(found, bool) != isinstance(value, bool)):
            raise ValueError(f"{value!r} is of another type; expected {self.range}")
        return found

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


def _is_fixed(schema: Schema) -> bool:
    return "enum" in schema or "const" in schema


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value
