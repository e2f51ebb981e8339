"""Shell completion: names of components, also after a comma, and fixed words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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
