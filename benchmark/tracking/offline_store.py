"""A folder as the tracking store, for nodes without a network: complete runs, delivered later by `bench sync`."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Literal

from benchmark.errors import TrackingError
from benchmark.stored import StoredRun
from benchmark.tracking.address import require_address
from benchmark.tracking.live import NOTE, LiveRun
from benchmark.tracking.mlflow_run import DatasetInput
from benchmark.tracking.names import stored_params, stored_tags
from benchmark.tracking.offline_files import (
    SCHEME,
    OfflineRun,
    OfflineSink,
    offline_folder,
    read_record,
    require_offline,
    runs_of,
    write_record,
)
from benchmark.tracking.owner import died_silently, orphaned, own_tags, owner_tags
from benchmark.tracking.sqlite_reader import trimmed
from benchmark.tracking.store import Tracker, store_uri

_log = logging.getLogger(__name__)


def open_store(uri: str | None = None, *, cache: Path | None = None) -> Tracker:
    """The tracking store of an address: a database, a server, or a folder of offline runs."""
    chosen = store_uri(uri)
    folder = offline_folder(chosen)
    if folder is None:
        require_address(chosen, "--store" if uri else "MLFLOW_TRACKING_URI")
    return Tracker(chosen, cache=cache) if folder is None else OfflineStore(folder)


def offline_address(folder: Path) -> str:
    """The address of a folder of offline runs, as `--store` and `open_store` take it."""
    return f"{SCHEME}{folder.expanduser().absolute()}"


class OfflineStore(Tracker):
    """Runs in a folder, see `offline_files`; MLflow is not asked. Whatever keeps it from working is a `TrackingError`.

    A run that is withdrawn is deleted.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(offline_address(folder))
        self.folder = folder

    @property
    def shown(self) -> str:
        """The folder."""
        return str(self.folder)

    def connect(self) -> None:
        """Make the folder when it is new."""
        require_offline(self.folder, make=True)

    def all_runs(self, experiment: str | None = None, identity: str | None = None) -> Iterator[OfflineRun]:
        """The records, of an experiment and of an identity where they are given, in no order."""
        if experiment is not None and identity is not None:
            folders = runs_of(self.folder, experiment, identity).glob("*")
        elif experiment is not None:
            folders = runs_of(self.folder, experiment, "").parent.glob("*/*")
        else:
            folders = (self.folder / "runs").glob("*/*/*")
        yield from _sound(folders)

    def finished(self, experiment: str, identity: str) -> StoredRun | None:
        """The newest FINISHED run of that identity, if there is one."""
        done = [run for run in self.all_runs(experiment, identity) if run.status == "FINISHED"]
        return max(done, key=lambda run: run.ended).stored() if done else None

    def runs(self, experiment: str) -> list[StoredRun]:
        """Every run of an experiment, those that ended last first."""
        return _by_end([run.stored() for run in self.all_runs(experiment)])

    def experiments(self) -> list[str]:
        """The names of all experiments."""
        return sorted({run.experiment for run in self.all_runs()})

    def stored(
        self,
        *,
        experiments: Sequence[str] | None = None,
        identities: Collection[str] | None = None,
        metrics: Collection[str] | None = None,
    ) -> list[StoredRun]:
        """As the base class. Raises `TrackingError` when the folder holds no offline runs."""
        require_offline(self.folder, make=False)
        if experiments is not None and identities is not None:
            found = [run for name in experiments for wanted in identities for run in self.all_runs(name, wanted)]
        else:
            found = [run for run in self.all_runs() if experiments is None or run.experiment in experiments]
        chosen = [run for run in found if identities is None or run.identity in identities]
        return _by_end([trimmed(run.stored(), run.experiment, metrics) for run in chosen])

    def rivals(self, experiment: str, identity: str, mine: str) -> list[StoredRun]:
        """As the base class."""
        running = [run for run in self.all_runs(experiment, identity) if run.status == "RUNNING"]
        order = next(((run.started, run.id) for run in running if run.id == mine), (0, mine))
        return [run.stored() for run in running if (run.started, run.id) < order and not orphaned(run.tags)]

    def conclude(self, run: str, status: Literal["FAILED", "KILLED"], tags: Mapping[str, str]) -> None:
        """End a run whose process could not do it, and say why in its tags."""
        sink = OfflineSink(self.folder, self._one(run))
        sink.tags(stored_tags(tags))
        sink.close(status)

    def record(self, *, experiment: str, description: str, name: str, tags: Mapping[str, str]) -> str:
        """Store a run that never began, with its reason among the tags, as KILLED; returns its id."""
        note = {NOTE: f"{tags.get('bench.state', '')}: {tags.get('bench.reason', '')}"}
        run = self._new(experiment, description, name, {}, {**own_tags(), **tags, **note}, None)
        OfflineSink(self.folder, run).close("KILLED")
        return run.id

    def reopen(self, run: str) -> LiveRun:
        """Go on with a run that had ended, as its new owner. Raises `TrackingError` when it is not there."""
        again = write_record(self.folder, replace(self._one(run), status="RUNNING", ended=0))
        live = LiveRun(OfflineSink(self.folder, again), run, None)
        live.set_tags(owner_tags())
        return live

    def withdraw(self, run: str) -> None:
        """Delete a run that should not have been opened."""
        shutil.rmtree(self._one(run).folder)

    def download(self, run: StoredRun, path: str, folder: Path) -> list[Path]:
        """Artifacts lie in the folder and are read there; nothing is copied."""
        return []

    def reap(self, experiment: str) -> list[str]:
        """Mark as KILLED what a process left RUNNING when it died; returns the run ids."""
        dead = [run for run in self.all_runs(experiment) if run.status == "RUNNING" and orphaned(run.tags)]
        for run in dead:
            self.conclude(run.id, "KILLED", died_silently(run.tags))
        return [run.id for run in dead]

    def start(
        self,
        *,
        experiment: str,
        description: str,
        name: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        dataset: DatasetInput,
        note: str = "",
    ) -> LiveRun:
        """Open a run."""
        everything = {**own_tags(), **tags, **owner_tags(), **({NOTE: note} if note else {})}
        run = self._new(experiment, description, name, stored_params(params), everything, dataset)
        return LiveRun(OfflineSink(self.folder, run), run.id, None)

    def _new(
        self,
        experiment: str,
        description: str,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        dataset: DatasetInput | None,
    ) -> OfflineRun:
        require_offline(self.folder, make=True)
        about = None if dataset is None else asdict(dataset)
        now = int(time.time() * 1000)
        number = uuid.uuid4().hex
        run = OfflineRun(number, experiment, description, name, params, stored_tags(tags), about, now)
        return write_record(self.folder, run)

    def _one(self, number: str) -> OfflineRun:
        found = [run for run in map(read_record, (self.folder / "runs").glob(f"*/*/{number}")) if run is not None]
        if not found:
            raise TrackingError(f"the folder {self.folder} has no run {number!r}")
        return found[0]

    def _called(self, beginning: str) -> list[StoredRun]:
        require_offline(self.folder, make=False)
        return [run.stored() for run in _sound((self.folder / "runs").glob(f"*/*/{beginning}*"))]


def _sound(folders: Iterable[Path]) -> Iterator[OfflineRun]:
    """The runs in these folders; a damaged record is named, and keeps no other from being read."""
    for folder in folders:
        try:
            run = read_record(folder)
        except TrackingError as error:
            _tell(f"{error.what}; left out")
            continue
        if run is not None:
            yield run


@cache
def _tell(text: str) -> None:
    """Warn of something once, however often the folder is read."""
    _log.warning(text)


def _by_end(runs: list[StoredRun]) -> list[StoredRun]:
    return sorted(runs, key=lambda run: (-run.ended, -run.started, run.id))
