"""`bench sync`: runs of an offline folder into a tracking store, each once, however often it is interrupted.

A delivered run bears its offline id in the tag `bench.offline`. A delivery that was interrupted is found by that tag,
withdrawn, and done again; so the store alone decides, and copies of the folder may be delivered from anywhere.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from filelock import FileLock

from benchmark.errors import TrackingError
from benchmark.stored import StoredRun
from benchmark.tracking.live import Number
from benchmark.tracking.logged_model import MODEL
from benchmark.tracking.mlflow_run import DatasetInput
from benchmark.tracking.offline_files import ARTIFACTS, OfflineRun, batches_of, offline_folder, require_offline
from benchmark.tracking.offline_store import OfflineStore
from benchmark.tracking.owner import orphaned, owner_tags
from benchmark.tracking.store import Tracker

OFFLINE = "bench.offline"
"""The tag with the id that a run had in its folder."""
_BATCH = 500

Fate = Literal["delivered", "there already", "done elsewhere", "at work"]


@dataclass
class Synced:
    """What became of the runs of a folder: fate → ids in the folder. `failed`: the id → why."""

    fates: dict[Fate, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, fate: Fate) -> int:
        """How many runs met that fate."""
        return len(self.fates.get(fate, ()))


def sync(folder: Path, tracker: Tracker, tell: Callable[[OfflineRun, str], None]) -> Synced:
    """Deliver every ended run of `folder` that `tracker` does not have yet, in the order in which they were begun.

    Args:
        folder: an offline folder; it is left as it is.
        tracker: the store, which may not be an offline folder.
        tell: is given every run and its fate, or why it could not be delivered.

    Raises:
        TrackingError: the folder holds no offline runs, or the store cannot be reached. What was delivered stays.
    """
    require_offline(folder, make=False)
    if offline_folder(tracker.uri) is not None:
        raise TrackingError(
            f"{tracker.shown} is an offline folder too", fix="bench sync DIR --store sqlite:///mlflow.db"
        )
    source, done = OfflineStore(folder), Synced()
    with FileLock(folder / ".sync.lock"):
        for experiment in source.experiments():
            source.reap(experiment)
        runs = sorted(source.all_runs(), key=lambda run: (run.started, run.id))
        known = _known(tracker, runs)
        for run in runs:
            try:
                fate = _deliver_once(run, tracker, known)
            except TrackingError as error:
                if any(sign in error.what for sign in ("cannot be reached", "no space left", "disk is full")):
                    raise
                done.failed[run.id] = error.what
                tell(run, error.what)
                continue
            done.fates.setdefault(fate, []).append(run.id)
            tell(run, fate)
    return done


def _known(tracker: Tracker, runs: list[OfflineRun]) -> dict[str, list[StoredRun]]:
    """What the store has under the offline ids and the identities of these runs."""
    tracker.connect()
    known: dict[str, list[StoredRun]] = {}
    experiments = sorted({run.experiment for run in runs})
    for stored in tracker.stored(experiments=experiments, metrics=()) if experiments else ():
        for key in (stored.tags.get(OFFLINE), stored.tags.get("bench.identity")):
            if key:
                known.setdefault(key, []).append(stored)
    return known


def _deliver_once(run: OfflineRun, tracker: Tracker, known: dict[str, list[StoredRun]]) -> Fate:
    if run.status == "RUNNING":
        return "at work"
    for copy in known.get(run.id, ()):
        if copy.status != "RUNNING":
            return "there already"
        if not orphaned(copy.tags):
            return "done elsewhere"  # another sync delivers it at this moment
        tracker.withdraw(copy.id)
    same = known.get(run.identity, ()) if run.identity and run.status == "FINISHED" else ()
    if any(other.status == "FINISHED" for other in same):
        return "done elsewhere"
    number = _deliver(run, tracker)
    if number is None:
        return "done elsewhere"
    if run.identity:
        known.setdefault(run.identity, []).append(run.stored())
    return "delivered"


def _deliver(run: OfflineRun, tracker: Tracker) -> str | None:
    """Write one run; None when another process began to deliver it before."""
    dataset = None if run.dataset is None else DatasetInput(**run.dataset)
    number, sink = tracker.enter(
        experiment=run.experiment,
        description=run.description,
        name=run.name,
        params=run.params,
        tags={**run.tags, **owner_tags(), OFFLINE: run.id},
        dataset=dataset,
        started=run.started,
    )
    if _later(tracker, run, number):
        tracker.withdraw(number)
        return None
    with tempfile.TemporaryDirectory(prefix="bench-sync-") as name:
        files = Path(name) / ARTIFACTS  # a copy: MLflow's own files of the model are written among them
        if (run.folder / ARTIFACTS).is_dir():
            shutil.copytree(run.folder / ARTIFACTS, files)
        for batch in batches_of(run.folder):
            if batch is not None:
                for part in _parts(batch):
                    sink.numbers(part)
            elif (files / MODEL).is_dir():
                sink.model(files / MODEL)
        if files.is_dir():
            sink.upload(files)
    sink.tags({**run.tags, OFFLINE: run.id})
    sink.close(run.status, run.ended)
    return number


def _later(tracker: Tracker, run: OfflineRun, mine: str) -> bool:
    """Whether another process delivers the same run: of two that begin together, the smaller id goes on."""
    others = [copy for copy in tracker.tagged(run.experiment, OFFLINE, run.id) if copy.id != mine]
    return any(copy.status != "RUNNING" or (not orphaned(copy.tags) and copy.id < mine) for copy in others)


def _parts(batch: list[Number]) -> Iterator[list[Number]]:
    left = iter(batch)
    while part := list(islice(left, _BATCH)):
        yield part
