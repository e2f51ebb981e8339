"""Components as plain data, for tables and JSON: cards, presets, parameters with their legal ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.encoder import Encoder
    from benchmark.method import Method

Schema = Mapping[str, Any]

_PATHS = {"path": "path", "file-path": "existing file", "directory-path": "existing folder"}
_JSON_TYPES = {"integer": "int", "number": "float", "string": "text", "boolean": "true | false", "null": "null"}

_BRACKETS = {"minimum": "[", "exclusiveMinimum": "(", "maximum": "]", "exclusiveMaximum": ")"}
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a method or one option of a dataset. `values` maps a preset's name to what it changes."""

    name: str
    symbol: str
    default: Any
    values: Mapping[str, Any]
    range: str
    unit: str
    source: str
    about: str


def parameters(model: type[BaseModel], presets: Mapping[str, Mapping[str, Any]] | None = None) -> list[Parameter]:
    """The fields of a pydantic model in their order, with what each preset changes."""
    rows = []
    for name, field in model.model_fields.items():
        notes = field.json_schema_extra if isinstance(field.json_schema_extra, Mapping) else {}
        rows.append(
            Parameter(
                name=name,
                symbol=str(notes.get("symbol", "")),
                default=None if field.is_required() else field.get_default(call_default_factory=True),
                values={preset: values[name] for preset, values in (presets or {}).items() if name in values},
                range=legal_range(field),
                unit=str(notes.get("unit", "")),
                source=str(notes.get("source", "")),
                about=field.description or "",
            )
        )
    return rows


def legal_range(field: FieldInfo) -> str:
    """What a field may hold, in short: `int ≥ 1`, `float in [0, 1)`, `vote | score`, `list of (float > 0)`."""
    annotated: Any = Annotated[field.annotation, field]
    schema = TypeAdapter(annotated).json_schema()
    return _range(schema, schema.get("$defs", {}))


def in_brackets(field: FieldInfo, value: Any) -> str:
    """How the list that a field holds is typed, `[0.5,0.5,0.5]`, where a single value was given; else nothing."""
    annotated: Any = Annotated[field.annotation, field]
    schema = TypeAdapter(annotated).json_schema()
    if schema.get("type") != "array" or isinstance(value, list | tuple | dict):
        return ""
    return f"[{','.join([plain(value)] * len(schema.get('prefixItems', 'ab')))}]"


def _range(schema: Schema, definitions: Schema) -> str:
    if "$ref" in schema:
        return _range(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "const" in schema or "enum" in schema:
        return " | ".join(str(choice) for choice in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " | ".join(_range(option, definitions) for option in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind in ("integer", "number"):
        return f"{_JSON_TYPES[kind]}{_bounds(schema)}{_multiple(schema)}"
    if kind == "array":
        return _list(schema, definitions)
    if kind == "object":
        return "mapping"
    if schema.get("format") in _PATHS:
        return _PATHS[schema["format"]]
    pattern = f" matching {schema['pattern']}" if "pattern" in schema else ""
    return f"{_JSON_TYPES.get(kind, kind)}{pattern}"


def _bounds(schema: Schema) -> str:
    lowest = next(((key, schema[key]) for key in ("minimum", "exclusiveMinimum") if key in schema), None)
    highest = next(((key, schema[key]) for key in ("maximum", "exclusiveMaximum") if key in schema), None)
    if lowest and highest:
        left, right = _BRACKETS[lowest[0]], _BRACKETS[highest[0]]
        return f" in {left}{lowest[1]:g}, {highest[1]:g}{right}"
    return "".join(f" {_SIGNS[key]} {value:g}" for key, value in filter(None, (lowest, highest)))


def _multiple(schema: Schema) -> str:
    return f", multiple of {schema['multipleOf']:g}" if "multipleOf" in schema else ""


def _list(schema: Schema, definitions: Schema) -> str:
    if "prefixItems" in schema:
        parts = [_range(item, definitions) for item in schema["prefixItems"]]
        return f"{len(parts)} × ({parts[0]})" if len(set(parts)) == 1 else f"({', '.join(parts)})"
    item = _range(schema["items"], definitions) if schema.get("items") else "any"
    least = f", at least {schema['minItems']}" if schema.get("minItems") else ""
    return f"list of ({item}){least}"


def plain(value: Any) -> str:
    """A value as it would be typed after `--set name=`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(plain(item) for item in value)}]"
    return str(value)


def in_words(values: Mapping[str, Any]) -> str:
    """Parameters with their values: `weighting=none, lr=0.001`."""
    return ", ".join(f"{name}={plain(value)}" for name, value in values.items())


def method_facts(method: type[Method]) -> dict[str, Any]:
    """Everything `bench info METHOD` shows, as plain data."""
    return {
        "card": dataclasses.asdict(method.card),
        "supervision": sorted(str(kind) for kind in method.supervision),
        "presets": {name: dict(values) for name, values in method.presets.items()},
        "parameters": [dataclasses.asdict(row) for row in parameters(method.Params, method.presets)],
    }


def dataset_facts(dataset: type[Dataset]) -> dict[str, Any]:
    """Everything `bench info DATASET` shows, as plain data."""
    return {
        "card": dataclasses.asdict(dataset.card),
        "options": [dataclasses.asdict(row) for row in parameters(dataset.Options)],
    }


def encoder_facts(encoder: type[Encoder]) -> dict[str, Any]:
    """Everything `bench info ENCODER` shows, as plain data."""
    from benchmark.learning.encoders.needed import remedy

    absent = encoder.absent()
    return {
        "card": dataclasses.asdict(encoder.card),
        "network": {
            "weights": encoder.origin(),
            "on this machine": "yes" if absent is None else f"no: {absent}",
            "to get them": "" if absent is None else remedy(encoder.name),
            "input": f"{encoder.side} × {encoder.side} px, {encoder.interpolation}",
            "mean": list(encoder.mean),
            "std": list(encoder.std),
            "features": encoder.width,
        },
    }
