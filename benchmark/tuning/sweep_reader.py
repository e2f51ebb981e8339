"""Reading a sweep file, shipped or one's own. Every mistake in it is reported with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from benchmark.describe import legal_range
from benchmark.errors import ConfigError
from benchmark.plain_yaml import short
from benchmark.tuning.sweep_file import Constraint, DimensionSpec, Objective, Pruner, Sampler, SweepFile
from benchmark.yaml_lines import Key, Lines, line_of, read_with_lines

SHIPPED = "benchmark.sweeps"


@dataclass(frozen=True)
class LoadedSweep:
    """A sweep file with the line of everything in it."""

    file: SweepFile
    path: Path
    name: str
    lines: Lines

    def line(self, *keys: Key) -> int:
        """The line of the value under these keys, or of the nearest one around it."""
        return line_of(self.lines, keys)

    def error(self, message: str, *keys: Key, fix: str | None = None) -> ConfigError:
        """An error at the line of these keys."""
        return ConfigError(f"{self.path}, line {self.line(*keys)}: {message}", fix=fix)


def read_sweep(path: Path) -> LoadedSweep:
    """Read and check a sweep file.

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a valid sweep; one line per mistake.
    """
    content, lines = read_with_lines(path, "sweep file")
    lines = _with_objectives(lines)
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


def _with_objectives(lines: Lines) -> Lines:
    """A single `objective` is the first of `objectives`."""
    single: dict[tuple[Key, ...], int] = {}
    for keys, line in lines.items():
        if keys[:1] == ("objective",):
            single |= {("objectives", 0, *keys[1:]): line, ("objectives",): lines["objective",]}
    return {**single, **lines}


# --- pydantic's mistakes in words


def _mistakes(error: ValidationError, lines: Lines) -> Iterator[str]:
    """Every mistake as `line N: …`, by line."""
    line_of_words = {}
    for mistake in error.errors():
        keys = mistake["loc"]
        if "field" in mistake.get("ctx", {}):
            keys = (*keys, mistake["ctx"]["field"])
        line_of_words[_words(mistake)] = line_of(lines, keys)
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
        "constraints": Constraint,
        "space": DimensionSpec,
    }
    return parts.get(keys[0], SweepFile) if keys else SweepFile
