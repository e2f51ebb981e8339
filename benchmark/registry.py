"""Name → component, through the entry points `bench.methods`, `bench.datasets` and `bench.encoders`.

The built-in components and those of other distributions register in the same way. Listing imports none of them.
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchmark import discovery
from benchmark.discovery import Entry
from benchmark.errors import RegistryError
from benchmark.near_names import did_you_mean, near_names

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.encoder import Encoder
    from benchmark.method import Method

T = TypeVar("T")

_LEGAL_NAME = re.compile(r"(?!all$)[a-z0-9][a-z0-9._-]*")


class Registry(Generic[T]):
    """The components of one kind.

    `base` is the contract class as `module:Class`; it is imported with the first component that is loaded.
    """

    def __init__(self, kind: str, group: str, base: str) -> None:
        self.kind = kind
        self.group = group
        self._base = base

    def entries(self) -> list[Entry]:
        """Every registered component, by name. Raises `RegistryError` when two have one name."""
        return list(self._by_name.values())

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        return list(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def entry(self, name: str) -> Entry:
        """The entry of `name`, without importing it. Raises `RegistryError` for an unknown name."""
        try:
            return self._by_name[name]
        except KeyError:
            raise unknown_name(self.kind, name, self.names()) from None

    def load(self, name: str) -> type[T]:
        """Import the component, check it against its contract and set its `name`.

        Raises `RegistryError` when the name is unknown, the import fails or the contract is broken; the other
        components stay usable.
        """
        entry = self.entry(name)
        component = self._import(entry)
        self._check(entry, component)
        if "name" not in vars(component):
            component.name = name
        elif component.name != name:
            raise RegistryError(
                f"{self.kind} {name!r} ({entry.origin}) names itself {component.name!r}; both names must be equal",
                fix=f"register the class as {component.name!r}, or drop its `name`",
            )
        loaded: type[T] = component
        return loaded

    def broken(self) -> dict[str, str]:
        """Name → why its component cannot be loaded, for those that cannot. Imports them all."""
        reasons: dict[str, str] = {}
        for name in self.names():
            try:
                self.load(name)
            except RegistryError as error:
                reasons[name] = error.what
        return reasons

    @cached_property
    def _by_name(self) -> dict[str, Entry]:
        by_name: dict[str, Entry] = {}
        for entry in discovery.find(self.kind, self.group):
            if entry.name in by_name:
                origins = f"{by_name[entry.name].origin}; {entry.origin}"
                msg = f"the {self.kind} name {entry.name!r} is registered twice: {origins}"
                raise RegistryError(msg, fix=f"pip uninstall {entry.distribution}")
            if not _LEGAL_NAME.fullmatch(entry.name):
                msg = f"{entry.name!r} ({entry.origin}) is not a valid {self.kind} name: use a-z, 0-9, '.', '_', '-'"
                raise RegistryError(msg, fix=f"rename it in the entry points of {entry.distribution}")
            by_name[entry.name] = entry
        return by_name

    def _import(self, entry: Entry) -> Any:
        module, _, attribute = entry.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:  # a plug-in's module may fail in any way
            msg = f"the {self.kind} {entry.name!r} ({entry.origin}) cannot be imported: {type(error).__name__}: {error}"
            raise RegistryError(msg, fix=f"pip install --upgrade {entry.distribution}, or uninstall it") from error

    def _check(self, entry: Entry, component: Any) -> None:
        module, _, attribute = self._base.partition(":")
        base: Any = getattr(importlib.import_module(module), attribute)
        broken = f"the {self.kind} {entry.name!r} ({entry.origin})"
        if not (inspect.isclass(component) and issubclass(component, base)):
            raise RegistryError(f"{broken} is not a subclass of {module}.{attribute}")
        if inspect.isabstract(component):
            missing = ", ".join(sorted(getattr(component, "__abstractmethods__", ())))
            raise RegistryError(f"{broken} is abstract; not implemented: {missing}")
        declared = [key for key, hint in base.__annotations__.items() if "ClassVar" in str(hint) and key != "name"]
        lacking = [key for key in declared if not hasattr(component, key)]
        if lacking:
            raise RegistryError(f"{broken} lacks the class attributes: {', '.join(lacking)}")


def unknown_name(kind: str, name: str, known: list[str], *, fix: str = "bench list") -> RegistryError:
    """The error for an unknown name, with the nearest known ones."""
    hint = did_you_mean(near_names(name, known)) or f"there are: {', '.join(known) or 'none'}"
    return RegistryError(f"there is no {kind} {name!r}; {hint}", fix=fix)


@cache
def methods() -> Registry[Method]:
    """Every installed method."""
    return Registry("method", "bench.methods", "benchmark.method:Method")


@cache
def datasets() -> Registry[Dataset]:
    """Every installed dataset."""
    return Registry("dataset", "bench.datasets", "benchmark.dataset:Dataset")


@cache
def encoders() -> Registry[Encoder]:
    """Every installed encoder of the catalogue."""
    return Registry("encoder", "bench.encoders", "benchmark.encoder:Encoder")


def refresh() -> None:
    """Forget what is cached, for a process that installs distributions while it runs."""
    methods.cache_clear()
    datasets.cache_clear()
    encoders.cache_clear()
    discovery.installed.cache_clear()
    discovery.spec_of.cache_clear()
