"""A harness for learning from weak, coarse, hybrid and interactive labels on histology slides.

Importing it is cheap: methods, datasets and the heavy libraries are imported when they are first used.
"""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Look up `__version__` only when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("histobench")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
