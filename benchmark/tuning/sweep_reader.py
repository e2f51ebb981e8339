"""Reading a sweep file, shipped or one's own. Every mistake in it is reported with its line.

PyYAML's nodes carry the lines. ruamel.yaml, whose values know their lines, was tried: it gives no line for a bad date
or `!!int abc`, reads unknown tags and aliases of themselves without an error, takes `yes` for text where the project's
other YAML files take it for true, and its values need a conversion to plain ones: more code, fewer errors found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from benchmark.describe import legal_range
from benchmark.errors import ConfigError
from benchmark.plain_yaml import short
from benchmark.reporting.references.unique import UniqueKeys
from benchmark.tuning.sweep_file import DimensionSpec, Objective, Pruner, Sampler, SweepFile

SHIPPED = "benchmark.sweeps"

Key = str | int
Lines = Mapping[tuple[Key, ...], int]
"""Path of keys → its line, from 1."""

MOST_LINES = 100_000
"""Paths that are remembered: aliases of aliases can make a few lines stand for billions."""

_EXPONENT = r"^[-+]?(?:[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"


@dataclass(frozen=True)
class LoadedSweep:
    """A sweep file with the line of everything in it."""

    file: SweepFile
    path: Path
    name: str
    lines: Lines

    def line(self, *keys: Key) -> int:
        """The line of the value under these keys, or of the nearest one around it."""
        return _line_of(self.lines, keys)

    def error(self, message: str, *keys: Key, fix: str | None = None) -> ConfigError:
        """An error at the line of these keys."""
        return ConfigError(f"{self.path}, line {self.line(*keys)}: {message}", fix=fix)


def read_sweep(path: Path) -> LoadedSweep:
    """Read and check a sweep file.

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a valid sweep; one line per mistake.
    """
    content, lines = _read_yaml(path)
    if not isinstance(content, dict):
        kind = "nothing" if content is None else type(content).__name__
        raise ConfigError(f"{path}, line 1: the file holds {kind}, expected `method:`, `objectives:`, `space:` …")
    try:
        return LoadedSweep(SweepFile.model_validate(content), path, path.stem, lines)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}, {text}" for text in _mistakes(error, lines))) from None


def shipped(name: str) -> Path | None:
    """The shipped sweep of that name, or None."""
    return Path(str(files(SHIPPED))) / f"{name}.yaml" if name in shipped_names() else None


def shipped_names() -> list[str]:
    """The names of all shipped sweeps."""
    return sorted(path.name.removesuffix(".yaml") for path in files(SHIPPED).iterdir() if path.name.endswith(".yaml"))


def sweep_path(name: str) -> Path:
    """The file of a shipped sweep, or of one's own. Raises `ConfigError` listing the shipped ones."""
    path = Path(name).expanduser()
    if (own := shipped(name)) is not None:
        return own
    if path.is_file():
        return path
    known = shipped_names()
    close = difflib.get_close_matches(path.stem, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    kind = "file" if path.suffix or len(path.parts) > 1 else "sweep"
    raise ConfigError(f"there is no {kind} {name!r}; {hint}shipped are: {', '.join(known)}", fix="or name a YAML file")


# --- YAML with the line of every key


class _Loader(UniqueKeys):
    """Refuses a repeated key, reads `1e-4` as a number."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_EXPONENT), list("-+.0123456789"))


def _read_yaml(path: Path) -> tuple[Any, Lines]:
    """The content of a file and the lines of its keys. Raises `ConfigError` with the line."""
    if not path.is_file():
        raise ConfigError(f"there is no sweep file {path}")
    raw = path.read_bytes()
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
        return content, _with_objectives(dict(islice(_walk(node, (), ()), MOST_LINES)))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}, line {_error_line(error, raw)}: not YAML: {_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}, line 1: nested too deep") from None


def _walk(
    node: yaml.Node | None, keys: tuple[Key, ...], above: tuple[yaml.Node, ...]
) -> Iterator[tuple[tuple[Key, ...], int]]:
    if node is None:
        return
    if any(node is ancestor for ancestor in above):
        raise yaml.constructor.ConstructorError(None, None, "an alias of something around it", node.start_mark)
    if not keys:
        yield keys, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield (*keys, key.value), key.start_mark.line + 1
                yield from _walk(value, (*keys, key.value), (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield (*keys, place), value.start_mark.line + 1
            yield from _walk(value, (*keys, place), (*above, node))


def _with_objectives(lines: dict[tuple[Key, ...], int]) -> Lines:
    """A single `objective` is the first of `objectives`."""
    single: dict[tuple[Key, ...], int] = {}
    for keys, line in lines.items():
        if keys[:1] == ("objective",):
            single |= {("objectives", 0, *keys[1:]): line, ("objectives",): lines["objective",]}
    return {**single, **lines}


def _line_of(lines: Lines, keys: tuple[Key, ...]) -> int:
    """The line of the longest known beginning of `keys`."""
    known: tuple[Key, ...] = ()
    for key in keys:
        longer = next((path for path in ((*known, key), (*known, str(key))) if path in lines), None)
        if longer is None:
            break
        known = longer
    return lines.get(known, 1)


def _error_line(error: yaml.YAMLError, raw: bytes) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    return raw.decode("utf-8-sig").count("\n", 0, getattr(error, "position", 0)) + 1


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]


# --- pydantic's mistakes in words


def _mistakes(error: ValidationError, lines: Lines) -> Iterator[str]:
    """Every mistake as `line N: …`, by line."""
    line_of_words = {}
    for mistake in error.errors():
        keys = mistake["loc"]
        if "field" in mistake.get("ctx", {}):
            keys = (*keys, mistake["ctx"]["field"])
        line_of_words[_words(mistake)] = _line_of(lines, keys)
    yield from (f"line {line}: {words}" for words, line in sorted(line_of_words.items(), key=lambda item: item[1]))


def _words(mistake: ErrorDetails) -> str:
    *above, last = mistake["loc"] or ("",)
    place, model = ".".join(map(str, mistake["loc"])), _owner(tuple(above))
    message = mistake["msg"].removeprefix("Value error, ")
    field = model.model_fields.get(str(last))
    if mistake["type"] == "sweep":
        return f"{place}: {message}" if place else message
    if mistake["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(last), model.model_fields, n=1, cutoff=0.5)
        return f"there is no field {place!r}; {f'the nearest is {close[0]!r}' if close else 'remove it'}"
    if mistake["type"] == "missing":
        return f"{place} is missing"
    if mistake["type"] == "model_type":
        fields = ", ".join(_owner((*above, last)).model_fields)
        return f"{place} = {short(mistake['input'])} is not legal; expected {fields}"
    if field is None or mistake["type"] == "value_error":
        return f"{place}: {message}"
    return f"{place} = {short(mistake['input'])} is not legal: {message}; expected {legal_range(field)}"


def _owner(keys: tuple[Key, ...]) -> type[BaseModel]:
    """The part of the file that the field behind these keys belongs to."""
    parts: Mapping[Key, type[BaseModel]] = {
        "sampler": Sampler,
        "pruner": Pruner,
        "objectives": Objective,
        "space": DimensionSpec,
    }
    return parts.get(keys[0], SweepFile) if keys else SweepFile
