"""What this machine has and lacks; each fault comes with its fix."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.doctor.check import Check

__all__ = ["Check", "examine"]


def examine(store: str | None = None) -> Iterator[Check]:
    """Run every check and yield each result as it comes. `store` is the argument of `--store`."""
    from benchmark.doctor import machine, places, preset_weights, software

    yield software.check_python()
    yield from software.check_packages()
    yield from software.check_plugins()
    yield from software.check_encoders()
    yield from machine.check_devices()
    yield machine.check_cores()
    yield machine.check_memory()
    yield places.check_store(store)
    yield places.check_cache()
    yield from places.check_data()
    yield from preset_weights.check_weights()
    yield software.check_completion()
