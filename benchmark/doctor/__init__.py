"""What this machine has and lacks: each check looks for itself and says how to mend what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.doctor.check import Check

__all__ = ["Check", "examine"]


def examine(store: str | None = None) -> Iterator[Check]:
    """Every check, one after the other, as its result comes. `store` is the argument of `--store`."""
    from benchmark.doctor import machine, places, software

    yield software.python()
    yield from software.packages()
    yield from software.plugins()
    yield from machine.devices()
    yield machine.processor()
    yield machine.memory()
    yield places.tracking(store)
    yield places.cache()
    yield from places.data()
    yield software.completion()
