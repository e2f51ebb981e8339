"""The file of `--on`: which engine, and its options. Every mistake is told with its line."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.describe import legal_range
from benchmark.errors import ConfigError, EngineError, RegistryError
from benchmark.plain_yaml import short
from benchmark.running.executors.engines import engines
from benchmark.running.executors.executor import Engine
from benchmark.yaml_lines import Lines, line_of, read_with_lines


def read_engine(path: Path) -> Engine:
    """The engine of a file, set up. Raises `ConfigError` with a line per mistake."""
    content, lines = read_with_lines(path, "engine file")
    if not isinstance(content, dict) or "engine" not in content:
        known = ", ".join(f"`engine: {name}`" for name in engines().names())
        raise ConfigError(f"{path}, line 1: the file names no engine; expected one of {known}")
    options: dict[str, Any] = {str(key): value for key, value in content.items()}
    name = options.pop("engine")
    try:
        kind = engines().load(str(name))
    except RegistryError as error:
        raise ConfigError(f"{path}, line {line_of(lines, ('engine',))}: {error.what}", fix=error.fix) from None
    mistakes = [*_unknown(kind, options, lines), *_illegal(kind, options, lines)]
    if mistakes:
        fix = f"docs/clusters.md   # the keys of engine {name}"
        raise ConfigError("\n".join(f"{path}, line {line}: {text}" for line, text in sorted(mistakes)), fix=fix)
    return kind(kind.Options.model_validate(options))


def engine_of(name: str, options: dict[str, Any]) -> Engine:
    """An engine from what was kept of its file. Raises `EngineError` when it is not what it was."""
    kind = engines().load(name)
    try:
        return kind(kind.Options.model_validate(options))
    except ValidationError as error:
        raise EngineError(f"the engine {name} does not take its earlier options: {error.errors()[0]['msg']}") from None


def _unknown(kind: type[Engine], options: dict[str, Any], lines: Lines) -> list[tuple[int, str]]:
    """A key that the engine does not have, with the nearest that it has."""
    known, mistakes = kind.keys(), []
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            nearest = f"the nearest is {close[0]!r}" if close else f"there are: {', '.join(sorted(known))}"
            mistakes.append((line_of(lines, (key,)), f"the engine {kind.name} has no key {key!r}; {nearest}"))
    return mistakes


def _illegal(kind: type[Engine], options: dict[str, Any], lines: Lines) -> list[tuple[int, str]]:
    """A value that a key may not have, with the legal range."""
    known = kind.keys()
    try:
        kind.Options.model_validate({key: value for key, value in options.items() if key in known})
    except ValidationError as error:
        return [(line_of(lines, tuple(mistake["loc"])), _words(kind, mistake)) for mistake in error.errors()]
    return []


def _words(kind: type[Engine], mistake: Any) -> str:
    place = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "missing":
        return f"{place} is missing"
    field = kind.Options.model_fields.get(str(mistake["loc"][0]) if mistake["loc"] else "")
    expected = f"; expected {legal_range(field)}" if field is not None and mistake["type"] != "value_error" else ""
    told = mistake["msg"].removeprefix("Value error, ")
    return f"{place} = {short(mistake['input'])} is not legal: {told}{expected}"
