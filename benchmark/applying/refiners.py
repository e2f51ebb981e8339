"""Which registered methods refine annotations: those that learn from coarse annotations and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.errors import ConfigError, RegistryError
from benchmark.registry import methods
from benchmark.supervision import Supervision

if TYPE_CHECKING:
    from benchmark.method import Method


def refines(kind: type[Method]) -> bool:
    """True for a method whose only supervision is a coarse annotation."""
    return kind.supervision == {Supervision.COARSE}


def refiners() -> dict[str, type[Method]]:
    """Name → method, of all that refine. A plug-in that cannot be imported is passed over; `bench doctor` names it."""
    known: dict[str, type[Method]] = {}
    for name in methods().names():
        try:
            kind = methods().load(name)
        except RegistryError:
            continue
        if refines(kind):
            known[name] = kind
    return known


def refiner(name: str | None) -> type[Method]:
    """The refiner of that name; None: the one that offers itself. Raises `ConfigError` for what refines nothing."""
    if name is not None:
        kind = methods().load(name)
        if not refines(kind):
            learns = ", ".join(sorted(kind.supervision)) or "nothing"
            msg = f"{name} does not refine annotations: it learns from {learns} labels"
            raise ConfigError(msg, fix=f"--method one of {', '.join(refiners())}")
        return kind
    known = refiners()
    if not known:
        raise ConfigError("no registered method refines annotations", fix="bench list methods")
    offered = [kind for kind in known.values() if kind.suggested]
    if len(known) > 1 and len(offered) != 1:
        raise ConfigError("several methods refine annotations", fix=f"--method one of {', '.join(known)}")
    return (offered or list(known.values()))[0]
