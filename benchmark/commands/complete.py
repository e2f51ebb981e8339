"""Shell completion: names of components, also after a comma, and fixed words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import typer

from benchmark.discovery import Entry
from benchmark.errors import RegistryError
from benchmark.registry import Registry, datasets, encoders, methods

Suggestions = list[tuple[str, str]]


def method_list(incomplete: str) -> Suggestions:
    """Methods for `--method`: the last name of `a,b` is completed."""
    return _after_comma(incomplete, _entries("method"))


def dataset_list(incomplete: str) -> Suggestions:
    """Datasets for `--dataset`: the last name of `a,b` is completed."""
    return _after_comma(incomplete, _entries("dataset"))


def dataset_name(incomplete: str) -> Suggestions:
    """One dataset."""
    return [(entry.name, entry.summary) for entry in _entries("dataset") if entry.name.startswith(incomplete)]


def any_name(incomplete: str) -> Suggestions:
    """One method, dataset or encoder."""
    entries = [*_entries("method"), *_entries("dataset"), *_entries("encoder")]
    return [(entry.name, entry.summary) for entry in entries if entry.name.startswith(incomplete)]


def setting(context: typer.Context, incomplete: str) -> Suggestions:
    """Parameters and options for `--set`: those of the methods and datasets typed before it, or of the sweep's."""
    return [
        (f"{owner}{name}=", about)
        for owner, fields in _fields(context.params)
        for name, about in fields
        if f"{owner}{name}=".startswith(incomplete)
    ]


def _fields(typed: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What each typed component takes, by bare name, and by `method.` or `dataset.` where both have that name."""
    found: dict[str, dict[str, str]] = {"method": {}, "dataset": {}}
    for kind, registry, model in (("method", methods(), "Params"), ("dataset", datasets(), "Options")):
        for part in str(typed.get(kind) or "").split(","):
            try:
                fields = getattr(registry.load(part.partition(":")[0]), model).model_fields
            except RegistryError:  # not typed to its end yet
                continue
            found[kind].update({name: field.description or "" for name, field in fields.items()})
    both = found["method"].keys() & found["dataset"].keys()
    for kind, fields in found.items():
        yield "", [(name, about) for name, about in fields.items() if name not in both]
        yield f"{kind}.", [(name, about) for name, about in fields.items() if name in both]


def preset(incomplete: str) -> Suggestions:
    """The presets that every method has."""
    words = {"paper": "the paper's values", "quick": "minutes on two CPU cores", "smoke": "seconds, for tests"}
    return [(word, about) for word, about in words.items() if word.startswith(incomplete)]


def device(incomplete: str) -> Suggestions:
    """The devices."""
    words = {"auto": "the first GPU, else the CPU", "cpu": "", "cuda": "the first GPU"}
    return [(word, about) for word, about in words.items() if word.startswith(incomplete)]


def _after_comma(incomplete: str, entries: Iterable[Entry]) -> Suggestions:
    done, comma, last = incomplete.rpartition(",")
    used = {part.partition(":")[0] for part in done.split(",")}
    candidates = [(entry.name, entry.summary) for entry in entries if entry.name not in used]
    if not comma:
        candidates.append(("all", "all that are installed"))
    return [(f"{done}{comma}{name}", about) for name, about in candidates if name.startswith(last)]


def _entries(kind: str) -> list[Entry]:
    try:
        registries: dict[str, Callable[[], Registry[Any]]]
        registries = {"method": methods, "dataset": datasets, "encoder": encoders}
        return registries[kind]().entries()
    except RegistryError:  # a broken installation is reported by the verb, not while a line is typed
        return []
