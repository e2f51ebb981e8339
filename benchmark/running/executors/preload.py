"""What the server process loads once, so that every process forked from it starts with it in memory.

Nothing here may start a thread or open a file: both do not survive a fork.
"""

from __future__ import annotations

import importlib

import torch  # noqa: F401

import benchmark.reporting.page
import benchmark.running.job
import benchmark.running.run  # noqa: F401
from benchmark.tracking import LOADED_BY_MLFLOW as TRACKING_MODULES

for _name in (
    "alembic.command",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "matplotlib.font_manager",
    "jinja2.ext",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "sklearn.metrics",
    "skimage.measure",
    "scipy.stats",
    "sqlalchemy.dialects.sqlite",
    *TRACKING_MODULES,
):
    importlib.import_module(_name)
