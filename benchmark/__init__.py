"""A harness for learning from weak, coarse, hybrid and interactive labels on histology slides.

Importing it is cheap: methods, datasets and the heavy libraries are imported when they are first used. For a notebook
there are `benchmark.results()` and `benchmark.leaderboard()`, which give data frames; for slides of one's own
`benchmark.refine()`, `benchmark.predict()` and `benchmark.load_run()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.notebook import leaderboard as leaderboard
    from benchmark.notebook import results as results
    from benchmark.own_slides import load_run as load_run
    from benchmark.own_slides import predict as predict
    from benchmark.own_slides import refine as refine
    from benchmark.tuning.stored_study import trials as trials

    __version__: str

NOTEBOOK = ("leaderboard", "results", "trials")
OWN_SLIDES = ("load_run", "predict", "refine")


def __getattr__(name: str) -> Any:
    """Look up `__version__`, `results`, `refine` and the like only when they are asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("histobench")
    if name == "trials":
        from benchmark.tuning.stored_study import trials

        return trials
    if name in OWN_SLIDES:
        from benchmark import own_slides

        return getattr(own_slides, name)
    if name in NOTEBOOK:
        from benchmark import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "__version__", *NOTEBOOK, *OWN_SLIDES})
