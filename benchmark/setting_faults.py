"""What is wrong with a setting, in words: the field, what was given, what is legal, the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from benchmark.describe import in_brackets, legal_range
from benchmark.errors import ConfigError, RegistryError
from benchmark.plain_yaml import short

OWNERS = ("method", "dataset")
_PATHS = {"path_not_file": "file", "path_not_directory": "folder"}
_TELLING = frozenset({"value_error", "multiple_of"})
"""Errors whose own message says more than the legal range."""


def refuse_features(without: Sequence[str], others: Sequence[str]) -> ConfigError:
    """The error for features made elsewhere where methods `without` a use for them are asked, among `others`."""
    takers = fields_elsewhere()["features"]
    named, does = ", ".join(without), "does" if len(without) == 1 else "do"
    pronoun = "it takes" if len(without) == 1 else "they take"
    what = f"{named} {does} not work on frozen features, so {pronoun} none that were made elsewhere"
    if others:
        return ConfigError(what, fix=f"--method {','.join(others)} (all that do: {', '.join(takers)})")
    return ConfigError(what, fix=f"methods that do: {', '.join(takers)}")


def refuse_unknown(name: str, models: Mapping[str, type[BaseModel]]) -> ConfigError:
    """The error for a `--set` name that none of the models has: the nearest of theirs, and of other methods."""
    owner, dot, bare = name.partition(".")
    name = bare if dot and owner in OWNERS else name
    fields = {known: owner for owner, model in models.items() for known in model.model_fields}
    elsewhere = fields_elsewhere()
    other = next(iter(difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.75)), None)
    own = next(iter(difflib.get_close_matches(name, fields, n=1, cutoff=0.5 if other is None else 0.6)), None)
    if own is None and other is None:
        msg = f"--set {name}: neither {' nor '.join(models)} has a field of that name"
        return ConfigError(msg, fix=f"bench info {next(iter(models))}")
    near = []
    if own is not None:
        near.append(f"the nearest is {own!r} of {fields[own]} ({legal_range(models[fields[own]].model_fields[own])})")
    if other is not None and (own is None or _ratio(name, other) > _ratio(name, own)):
        near.append(f"{other!r} is one of {', '.join(elsewhere[other])}")
    msg = f"--set {name}: no such field in {', '.join(models)}; {'; '.join(near)}"
    return ConfigError(msg, fix=f"bench info {fields[own] if own is not None else elsewhere[other or name][0]}")


def fields_elsewhere() -> dict[str, list[str]]:
    """Field → the registered methods that have it. Imports them all, so only messages ask for it."""
    from benchmark.registry import methods

    holders: dict[str, list[str]] = {}
    for name in methods().names():
        try:
            fields = methods().load(name).Params.model_fields
        except RegistryError:  # `bench doctor` tells of a plug-in that is broken
            continue
        for field_name in fields:
            holders.setdefault(field_name, []).append(name)
    return holders


def _ratio(left: str, right: str) -> float:
    return difflib.SequenceMatcher(None, left, right).ratio()


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A validation error as one line: each field with its value and legal range."""
    lines = []
    for mistake in error.errors():
        path = [str(part) for part in mistake["loc"]]
        name = path[0] if path else ""
        if mistake["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.5)
            nearest = f"; the nearest is {close[0]!r} ({legal_range(model.model_fields[close[0]])})" if close else ""
            lines.append(f"there is no field {name!r}{nearest}")
        elif name in model.model_fields:
            if mistake["type"] == "value_error":
                told = mistake["msg"].removeprefix("Value error, ")
                lines.append(f"{'.'.join(path)} = {short(mistake['input'])} is not legal: {told}")
                continue
            if mistake["type"] in _PATHS:
                lines.append(f"{'.'.join(path)}: {_no_path(mistake['input'], _PATHS[mistake['type']])}")
                continue
            allowed = legal_range(model.model_fields[name])
            reason = "" if allowed and mistake["type"] not in _TELLING else f": {mistake['msg']}"
            hint = (
                f", written {brackets}" if (brackets := in_brackets(model.model_fields[name], mistake["input"])) else ""
            )
            lines.append(f"{'.'.join(path)} = {short(mistake['input'])} is not legal{reason}; expected {allowed}{hint}")
        else:
            lines.append(mistake["msg"].removeprefix("Value error, "))
    return "; ".join(lines)


def _no_path(given: object, kind: str) -> str:
    """What is wrong with a path that should be a file or a folder."""
    path = Path(str(given)).expanduser().absolute()
    return f"{path} is no {kind}" if path.exists() else f"there is no {kind} {path}"
