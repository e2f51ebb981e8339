"""Where studies are kept."""

from __future__ import annotations

import os

STORAGE = "sqlite:///studies.db"


def storage_of(chosen: str | None) -> str:
    """The storage of `--storage`, else `BENCH_STUDIES`, else `./studies.db`."""
    return chosen or os.environ.get("BENCH_STUDIES") or STORAGE
