"""YAML with the line of every key."""

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

MOST = 100_000
"""Places that are remembered: aliases of aliases can make a few lines stand for billions."""

_EXPONENT = r"^[-+]?(?:[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"


class _Loader(UniqueKeys):
    """No key twice, `1e-4` is a number, and what looks like a date but is none has a line too."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """As the base class, with its ValueError as a YAML error."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_EXPONENT), list("-+.0123456789"))


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """The content of a file, and the line (from 1) of every path of keys in it. Raises `ConfigError` with the line."""
    if not path.is_file():
        raise ConfigError(f"there is no sweep file {path}")
    raw = path.read_bytes()
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
        return content, _with_objectives(dict(islice(_walk(node, (), ()), MOST)))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}, line {_line(error, raw)}: not YAML: {_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}, line 1: nested too deep") from None


def line_of(lines: Lines, keys: tuple[Key, ...]) -> int:
    """The line of the longest beginning of `keys` that is known."""
    known: tuple[Key, ...] = ()
    for key in keys:
        found = next((path for path in ((*known, key), (*known, str(key))) if path in lines), None)
        if found is None:
            break
        known = found
    return lines.get(known, 1)


def _walk(
    node: yaml.Node | None, keys: tuple[Key, ...], above: tuple[yaml.Node, ...]
) -> Iterator[tuple[tuple[Key, ...], int]]:
    if node is None:
        return
    if any(node is one for one in above):
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


def _line(error: yaml.YAMLError, raw: bytes) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    return raw.decode("utf-8-sig").count("\n", 0, getattr(error, "position", 0)) + 1


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]
