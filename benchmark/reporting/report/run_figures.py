"""Where the report gets the artifacts of a run from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from benchmark.errors import TrackingError
from benchmark.tracking.artifacts import local_artifact
from benchmark.tracking.store import StoredRun, Tracker

PATIENCE = 3
"""Failures of the store after which it is not asked again: each may wait for a minute."""


class Files(Protocol):
    """Artifacts of stored runs as files on this machine."""

    def fetch(self, run: StoredRun, path: str) -> list[Path]:
        """The files of the artifact file or folder `path`, under that path; none when the run has none.

        Raises `TrackingError` when the store cannot say.
        """
        ...


class StoreFiles:
    """Artifacts of a tracking store: where they lie on this machine, else copied into `folder`."""

    def __init__(self, tracker: Tracker, folder: Path) -> None:
        self._tracker, self._folder = tracker, folder
        self._failures = 0

    def fetch(self, run: StoredRun, path: str) -> list[Path]:
        """See `Files`. A store that failed three times is not asked again."""
        here = local_artifact(run, path)
        if here is not None:
            return [here] if here.is_file() else sorted(file for file in here.rglob("*") if file.is_file())
        if self._failures >= PATIENCE:
            raise TrackingError("the store's artifacts cannot be reached")
        try:
            return self._tracker.download(run, path, self._folder / run.id)
        except TrackingError:
            self._failures += 1
            raise
