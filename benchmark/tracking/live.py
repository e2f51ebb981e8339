"""A run being written: numbers are sent in batches by a thread, and the run never stays open behind a dead process."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from benchmark.errors import TrackingError
from benchmark.tracking.names import stored_name, stored_tags
from benchmark.tracking.owner import alive_tag

FLUSH_ENTRIES, FLUSH_SECONDS, AWAY_SECONDS, ALIVE_SECONDS = 200, 2.0, 20.0, 60.0
NOTE = "mlflow.note.content"

Number = tuple[str, float, int, int]
"""Name, value, milliseconds since 1970, step."""

_live: weakref.WeakSet[LiveRun] = weakref.WeakSet()
_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a run's numbers go. Every method raises `TrackingError` when the store does not take them."""

    def numbers(self, batch: Sequence[Number]) -> None:
        """Add metrics."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""

    def upload(self, folder: Path) -> None:
        """Add every file under the folder as an artifact."""

    def model(self, folder: Path) -> None:
        """Store the folder as the run's model; metrics that come later are the model's too."""

    def close(self, status: str) -> None:
        """Set the final status."""


class LiveRun:
    """A run being written. What `log` takes is sent every two seconds, so training never waits for the store.

    What cannot be sent is kept and sent later. The run ends by `finish` or `end`, at the latest when Python does.
    """

    def __init__(self, sink: Sink, run_id: str, url: str | None) -> None:
        self.id, self.url = run_id, url
        self._sink, self._process = sink, os.getpid()
        self._waiting: list[Number] = []
        self._finished = False
        self._adding, self._sending = threading.Lock(), threading.Lock()
        self._wake, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._send_on, name=f"tracking {run_id[:8]}", daemon=True).start()
        _live.add(self)

    def log(self, name: str, value: float, step: int | None = None) -> None:
        """Keep one number for the next batch. Any thread may call this."""
        entry = (stored_name(name), float(value), int(time.time() * 1000), 0 if step is None else int(step))
        with self._adding:
            self._waiting.append(entry)
        if len(self._waiting) >= FLUSH_ENTRIES:
            self._wake.set()

    def log_metrics(self, values: Mapping[str, float]) -> None:
        """Send numbers that have no step, now."""
        for name, value in values.items():
            self.log(name, value)
        self.flush()

    def flush(self) -> None:
        """Send what waits, now. Raises `TrackingError`, and keeps the numbers, when the store does not take them."""
        with self._sending:
            with self._adding:
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            try:
                self._sink.numbers(batch)
            except BaseException:
                with self._adding:
                    self._waiting = batch + self._waiting
                raise

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        self._sink.tags(stored_tags(tags))

    def describe(self, markdown: str) -> None:
        """Set the text at the top of the run's page."""
        self.set_tags({NOTE: markdown})

    def artifacts(self, folder: Path) -> None:
        """Upload everything under `folder`, keeping its sub-folders."""
        self._sink.upload(folder)

    def model(self, folder: Path) -> None:
        """Store what the run learnt as a model that MLflow loads. Comes before its metrics."""
        self._sink.model(folder)

    def finish(self) -> None:
        """Send the rest and mark the run FINISHED."""
        self.flush()
        self._sink.close("FINISHED")
        self._finished = True
        self._stop()

    def abandon(self) -> None:
        """Send nothing more; somebody else ends the run."""
        self._stop()

    def end(self, status: Literal["FAILED", "KILLED"], reason: str, state: str = "") -> None:
        """Mark the run as ended before its time. Only warns when that fails: the cause matters more.

        `state` goes into the tag `bench.state`; by default it is `failed`, or `interrupted` for KILLED. A run that is
        FINISHED stays so, whatever happens while its process tidies up.
        """
        if self._finished:
            return
        self._stop()
        told = {"bench.reason": reason, "bench.state": state or ("failed" if status == "FAILED" else "interrupted")}
        for step in (self.flush, partial(self.set_tags, told), partial(self._sink.close, status)):
            try:
                step()
            except TrackingError as error:
                _log.warning("run %s could not be marked %s: %s", self.id, status, error.what)

    def _send_on(self) -> None:
        said = time.monotonic()
        while not self._over.is_set():
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            try:
                self.flush()
                if time.monotonic() - said > ALIVE_SECONDS:
                    said = time.monotonic()
                    self._sink.tags(alive_tag())
            except TrackingError as error:
                _log.warning("numbers of run %s are kept and sent later: %s", self.id, error.what)
                self._over.wait(AWAY_SECONDS)

    def _stop(self) -> None:
        self._over.set()
        self._wake.set()
        _live.discard(self)


@atexit.register
def _end_live_runs() -> None:
    for run in list(_live):
        # A forked child has its parent's runs in memory; they are not its to end.
        if run._process == os.getpid():
            run.end("KILLED", "the process ended before the run did")
