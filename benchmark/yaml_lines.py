"""YAML files whose mistakes are told with their lines.

PyYAML's nodes carry the lines. ruamel.yaml, whose values know their lines, was tried: it gives no line for a bad date
or `!!int abc`, reads unknown tags and aliases of themselves without an error, takes `yes` for text where the project's
other YAML files take it for true, and its values need a conversion to plain ones: more code, fewer errors found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import ConfigError
from benchmark.reporting.references.unique import UniqueKeys

Key = str | int
Lines = Mapping[tuple[Key, ...], int]
"""Path of keys → its line, from 1."""

MOST_LINES = 100_000
"""Paths that are remembered: aliases of aliases can make a few lines stand for billions."""

_EXPONENT = r"^[-+]?(?:[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"


class _Loader(UniqueKeys):
    """Refuses a repeated key, reads `1e-4` as a number."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_EXPONENT), list("-+.0123456789"))


def read_with_lines(path: Path, kind: str) -> tuple[Any, Lines]:
    """The content of a file, a `kind` in messages, and the lines of its keys. Raises `ConfigError` with the line."""
    if not path.is_file():
        raise ConfigError(f"there is no {kind} {path}")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the {kind} {path} cannot be read: {error.strerror}", fix=f"ls -l {path}") from error
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
        return content, dict(islice(_walk(node, (), ()), MOST_LINES))
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


def line_of(lines: Lines, keys: tuple[Key, ...]) -> int:
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
