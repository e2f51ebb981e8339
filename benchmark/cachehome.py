"""Where the cache is."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "BENCH_CACHE"


def cache_home() -> Path:
    """The folder for features, stages and miniatures: `BENCH_CACHE`, else the user's cache folder."""
    if variable := os.environ.get(CACHE_VARIABLE):
        return Path(variable).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("histobench")
