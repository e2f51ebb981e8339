"""A harness for learning from weak, coarse, hybrid and interactive labels on histology slides.

Importing it is cheap: methods, datasets and the heavy libraries are imported when they are first used.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Import what is public only when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("histobench")
    if name == "trials":
        from benchmark.tuning.stored_study import trials

        return trials
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
