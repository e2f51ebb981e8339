"""The files of a run in an offline folder: what one process writes, and what any process reads of it.

    DIR/bench-offline.json                          says what the folder is
    DIR/runs/EXPERIMENT/IDENTITY/RUN/run.json       the record: parameters, tags, status; replaced whole
                                     numbers.jsonl  logged numbers in their order, a batch per line
                                     artifacts/

Every run has a folder of its own that one process writes, so many jobs may share a file system without a lock.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.errors import TrackingError
from benchmark.file_names import file_name
from benchmark.storage import whole_file
from benchmark.stored import StoredRun
from benchmark.tracking.live import Number

MARKER, RECORD, NUMBERS, ARTIFACTS = "bench-offline.json", "run.json", "numbers.jsonl", "artifacts"
SCHEME = "offline:"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_IDENTITY = "none"


@dataclass(frozen=True)
class OfflineRun:
    """The record of a run. `dataset`: name, source, digest, profile; None for a run that never began."""

    id: str
    experiment: str
    description: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    dataset: Mapping[str, Any] | None
    started: int
    status: str = "RUNNING"
    ended: int = 0
    folder: Path = field(default=Path(), compare=False)

    @property
    def identity(self) -> str:
        """The tag `bench.identity`; empty where the run has none."""
        return self.tags.get("bench.identity", "")

    def place(self, root: Path) -> Path:
        """Where its files lie below the folder of all runs."""
        return runs_of(root, self.experiment, self.identity) / self.id

    def stored(self) -> StoredRun:
        """The run as any store has it, with the latest value of every number."""
        metrics = latest(numbers_of(self.folder))
        artifacts = (self.folder / ARTIFACTS).absolute().as_uri()
        params, tags = dict(self.params), dict(self.tags)
        return StoredRun(
            self.id, self.name, self.status, metrics, params, tags, artifacts, self.experiment, self.ended, self.started
        )


def runs_of(root: Path, experiment: str, identity: str) -> Path:
    """The folder of the runs of one identity."""
    return root / "runs" / file_name(experiment) / file_name(identity or _NO_IDENTITY)


def offline_folder(uri: str) -> Path | None:
    """The folder of an offline store: `offline:DIR`, or a folder that has the marker; None for any other store."""
    if uri.startswith(SCHEME):
        return Path(uri.removeprefix(SCHEME)).absolute()
    path = Path(uri).expanduser()
    return path.absolute() if "://" not in uri and (path / MARKER).is_file() else None


def require_offline(root: Path, *, make: bool) -> None:
    """Raise `TrackingError` unless the folder holds offline runs or, with `make`, can be made to."""
    marker = root / MARKER
    if marker.is_file():
        return
    if not make:
        there = "has no offline runs" if root.is_dir() else "is no folder"
        raise TrackingError(f"{root} {there}", fix=f"bench run … --offline {root}")
    if root.is_dir() and any(root.iterdir()) and not marker.is_file():
        msg = f"{root} holds other files and no {MARKER}; offline runs need a folder of their own"
        raise TrackingError(msg, fix="--offline a folder that is new or empty")
    with told(root):
        root.mkdir(parents=True, exist_ok=True)
        with whole_file(marker) as temporary:
            temporary.write_text(json.dumps({"format": 1}) + "\n", encoding="utf-8")


@contextmanager
def told(root: Path) -> Iterator[None]:
    """Failures of the file system as `TrackingError`s; a full disk or quota is named as such."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _FULL:
            raise TrackingError(f"no space left for the runs in {root}: {reason}", fix="df -h; quota") from error
        msg = f"the folder of offline runs {root} cannot be used: {reason} ({error.filename})"
        raise TrackingError(msg, fix="--offline a folder that can be written") from error


def write_record(root: Path, run: OfflineRun) -> OfflineRun:
    """Replace the record of a run, whole or not at all."""
    run = replace(run, folder=run.place(root))
    facts = {name: value for name, value in asdict(run).items() if name != "folder"}
    with told(root), whole_file(run.folder / RECORD) as temporary:
        temporary.write_text(json.dumps(facts, default=str), encoding="utf-8")
    return run


def read_record(folder: Path) -> OfflineRun | None:
    """The run in a folder; None where none has been begun yet."""
    try:
        facts = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return OfflineRun(**facts, folder=folder)
    except (FileNotFoundError, NotADirectoryError):  # a file that a desktop left among the folders
        return None
    except (OSError, ValueError, TypeError) as error:
        raise TrackingError(f"the offline run {folder} cannot be read: {type(error).__name__}: {error}") from error


def batches_of(folder: Path) -> Iterator[list[Number] | None]:
    """The batches of numbers in their order; None where the model was stored. A line cut short by a kill is left."""
    try:
        lines = (folder / NUMBERS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            batch = json.loads(line)
        except ValueError:
            continue
        yield None if batch == "model" else [(name, float(value), at, step) for name, value, at, step in batch]


def numbers_of(folder: Path) -> list[Number]:
    """All numbers in their order."""
    return [number for batch in batches_of(folder) if batch is not None for number in batch]


def latest(numbers: Sequence[Number]) -> dict[str, float]:
    """Name → the value of the last step, and of the last time within it, as MLflow has it."""
    last: dict[str, tuple[int, int, float]] = {}
    for name, value, at, step in numbers:
        if name not in last or (step, at) >= last[name][:2]:
            last[name] = (step, at, value)
    return {name: value for name, (_, _, value) in last.items()}


class OfflineSink:
    """Writes one run into its folder, see `live.Sink`."""

    def __init__(self, root: Path, run: OfflineRun) -> None:
        self._root, self._run, self._lock = root, run, threading.Lock()

    def numbers(self, batch: Sequence[Number]) -> None:
        """Add metrics."""
        self._append(json.dumps(list(batch)))

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        with self._lock:
            self._run = write_record(self._root, replace(self._run, tags={**self._run.tags, **values}))

    def upload(self, folder: Path) -> None:
        """Add every file under the folder as an artifact."""
        with told(self._root):
            shutil.copytree(folder, self._run.folder / ARTIFACTS, dirs_exist_ok=True)

    def model(self, folder: Path) -> None:
        """Note that the numbers which follow are the model's too; its files come with the artifacts."""
        self._append(json.dumps("model"))

    def close(self, status: str) -> None:
        """Set the final status."""
        with self._lock:
            self._run = write_record(self._root, replace(self._run, status=status, ended=int(time.time() * 1000)))

    def _append(self, line: str) -> None:
        with self._lock, told(self._root), (self._run.folder / NUMBERS).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
