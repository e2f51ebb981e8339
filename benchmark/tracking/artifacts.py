"""The artifacts of stored runs: read where they lie, or fetched from a server."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmark import stored
from benchmark.errors import TrackingError
from benchmark.stored import MissingError, StoredRun
from benchmark.tracking.store import Tracker

PATIENCE = 3
"""Failures of the store after which it is not asked again: each may wait for a minute."""


class StoreArtifacts:
    """The artifacts of a store, see `benchmark.stored.Artifacts`; as a context manager it deletes its copies.

    What lies on this machine is read there; what a server keeps is copied once. A store that failed three times is
    not asked again.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._copies = tempfile.TemporaryDirectory(prefix="bench-artifacts-", ignore_cleanup_errors=True)
        self._copied: dict[tuple[str, str], list[Path]] = {}
        self._failures = 0

    def __enter__(self) -> StoreArtifacts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copies.cleanup()

    def fetch(self, run: StoredRun, path: str) -> list[Path]:
        """The files of the artifact file or folder `path`; none when the run has none.

        Raises `TrackingError` when the store cannot say.
        """
        here = local_artifact(run, path)
        if here is not None:
            return [here] if here.is_file() else sorted(file for file in here.rglob("*") if file.is_file())
        if (run.id, path) not in self._copied:
            self._copied[run.id, path] = self._copy(run, path)
        return self._copied[run.id, path]

    def _copy(self, run: StoredRun, path: str) -> list[Path]:
        if self._failures >= PATIENCE:
            raise TrackingError("the store's artifacts cannot be reached")
        try:
            return self._tracker.download(run, path, Path(self._copies.name) / run.id)
        except TrackingError:
            self._failures += 1
            raise


def slide_rows(tracker: Tracker, run: StoredRun) -> list[dict[str, Any]]:
    """The rows of a run's table per slide, see `benchmark.stored.slide_rows`; none when it is not to be had."""
    with StoreArtifacts(tracker) as artifacts:
        try:
            return stored.slide_rows(artifacts, run)
        except MissingError:
            return []


def whole_run(tracker: Tracker, run: StoredRun) -> StoredRun:
    """The run with all its numbers, see `benchmark.stored.with_numbers`."""
    with StoreArtifacts(tracker) as artifacts:
        return stored.with_numbers(artifacts, run)


def local_artifact(run: StoredRun, path: str) -> Path | None:
    """Where the artifact lies on this machine; None when the run's artifacts are kept by a server."""
    address = urlsplit(run.artifact_uri)
    if address.scheme not in ("", "file") or not address.path:
        return None
    return Path(unquote(address.path)) / path
