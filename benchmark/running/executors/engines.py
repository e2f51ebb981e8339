"""Every installed engine, through the entry points `bench.engines`."""

from __future__ import annotations

from benchmark.registry import Registry
from benchmark.running.executors.executor import Engine


def engines() -> Registry[Engine]:
    """Every installed engine. Beside `benchmark.registry`, for what an engine does reaches as far as the datasets."""
    return Registry("engine", "bench.engines", "benchmark.running.executors.executor:Engine")
