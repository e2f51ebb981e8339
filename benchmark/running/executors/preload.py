"""What the server process loads once, so that every process forked from it starts with it in memory.

Nothing here may start a thread or leave a file open: both do not survive a fork.
"""

from __future__ import annotations

import gc
import importlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch  # noqa: F401
from PIL import Image

import benchmark.running.attempt  # noqa: F401
from benchmark.reporting import curves, style
from benchmark.reporting import summary_page as page
from benchmark.reporting.run_facts import RunFacts
from benchmark.tracking.mlflow_settings import LOADED_BY_MLFLOW

for _name in (
    "alembic.command",
    "alembic.config",
    "benchmark.reporting.references",
    "email.headerregistry",
    "imagecodecs",
    "openslide",
    "pandas.io.formats.csvs",
    "scipy.ndimage",
    "scipy.spatial",
    "scipy.special",
    "shapely.affinity",
    "skimage.measure",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "threadpoolctl",
    "tifffile",
    *LOADED_BY_MLFLOW,
):
    importlib.import_module(_name)


def rehearse() -> None:
    """Draw and render once: fonts, layouts and templates are looked up at the first time, which takes longest."""
    drawn = curves.roc(np.array([0, 1, 0, 1], np.int8), np.array([0.1, 0.4, 0.6, 0.9]), title="rehearsal", auc=0.75)
    with tempfile.TemporaryDirectory() as folder:
        style.save(drawn, Path(folder) / "rehearsal.png")
    for size in (18, 24):
        style.font(size)
        style.font(size, bold=True)
    Image.init()
    page.render(RunFacts("rehearsal", "", "", True, {"pixel/miou": 0.5}))


# Set by `local` for this process's own imports; what a run starts is to behave as its user knows it.
if os.environ.get("PYTHONSAFEPATH") == "for bench's server process":
    del os.environ["PYTHONSAFEPATH"]
# An error here would end the server for all runs; the run that draws meets it again and tells of it.
with suppress(Exception):
    rehearse()
# What is loaded stays: the collector of a forked process need not look at it, which would copy every page.
gc.collect()
gc.freeze()
