"""The tracking store: every run is written to MLflow, and nothing else here knows MLflow.

SQLite answers "locked" at once when two writers would wait for each other, so a call is tried again for a while.
A new database is made under a file lock and renamed into place: MLflow's migrations, which take seconds, bear
neither two processes nor a kill.
"""

from __future__ import annotations

import logging
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from benchmark.database_lock import DatabaseLock, is_postgresql
from benchmark.errors import TrackingError
from benchmark.stored import StoredRun
from benchmark.tracking import address
from benchmark.tracking.address import shown, sqlite_path, store_uri
from benchmark.tracking.live import NOTE, LiveRun
from benchmark.tracking.mlflow_run import DatasetInput, MlflowSink, dataset_input, stored_run
from benchmark.tracking.mlflow_settings import PATIENT, SETTINGS, TIMEOUT
from benchmark.tracking.names import stored_name, stored_params, stored_tags
from benchmark.tracking.owner import died_silently, orphaned, own_tags, owner_tags
from benchmark.tracking.server import serve
from benchmark.tracking.sqlite_file import require_kind, require_runs
from benchmark.tracking.sqlite_reader import read_sqlite, trimmed
from benchmark.tracking.sqlite_tables import make_tables
from benchmark.tracking.store_errors import ExistsError, patience, told

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["DatasetInput", "LiveRun", "StoredRun", "Tracker", "serve", "store_uri", "stored_name"]

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 1000
_TWICE = ("unique constraint", "duplicate entry")


class Tracker:
    """One tracking store. Connects at the first call; whatever keeps it from working is a `TrackingError`.

    `cache` is a folder that keeps the empty tables of a new SQLite store, so that the next one is a copy.
    """

    def __init__(self, uri: str | None = None, *, cache: Path | None = None) -> None:
        self.uri = store_uri(uri)
        self._path = sqlite_path(self.uri)
        self._cache = cache
        self._known: dict[str, str] = {}
        self._stray = _stray_folder(self.uri)

    @property
    def shown(self) -> str:
        """The address without a password."""
        return str(self._path) if self._path is not None else shown(self.uri)

    def connect(self) -> None:
        """Reach the store now, and make its tables when it is new.

        A server that has answered is waited for longer from then on, unless the environment has another time than ours.
        """
        self._call(self._client.get_experiment_by_name, "Default")
        if self.uri.startswith("http") and os.environ.get(TIMEOUT) == SETTINGS[TIMEOUT]:
            os.environ[TIMEOUT] = PATIENT

    def finished(self, experiment: str, identity: str) -> StoredRun | None:
        """The newest FINISHED run of that identity, if there is one."""
        runs = self._search(experiment, f"attributes.status = 'FINISHED' and tags.`bench.identity` = '{identity}'", 1)
        return stored_run(runs[0]) if runs else None

    def runs(self, experiment: str) -> list[StoredRun]:
        """Every run of an experiment, those that ended last first."""
        return [stored_run(run) for run in self._search(experiment, "")]

    def experiments(self) -> list[str]:
        """The names of all experiments."""
        return [found.name for found in self._call(self._client.search_experiments)]

    def stored(
        self,
        *,
        experiments: Sequence[str] | None = None,
        identities: Collection[str] | None = None,
        metrics: Collection[str] | None = None,
    ) -> list[StoredRun]:
        """Thousands of runs at once, those that ended last first, without parameters.

        Args:
            experiments: names; None for all.
            identities: values of the tag `bench.identity`; None for all runs.
            metrics: names, or prefixes that end in `/`; None for all.

        Raises `TrackingError` when there is no store yet.
        """
        if self._path is not None:
            require_runs(self._path)
            # Not through `_call`: it loads MLflow, which takes longer than the reading.
            found = read_sqlite(self._path, experiments=experiments, identities=identities, metrics=metrics)
            if found is not None:
                return found
        names = self.experiments() if experiments is None else experiments
        if identities is None:
            runs = [run for name in names for run in self._search(name, "", None)]
        else:
            wanted = [f"tags.`bench.identity` = '{identity}'" for identity in identities]
            runs = [run for name in names for where in wanted for run in self._search(name, where)]
        named = {number: name for name, number in self._known.items()}
        kept = [trimmed(stored_run(run), named.get(run.info.experiment_id, ""), metrics) for run in runs]
        return sorted(kept, key=lambda run: (-run.ended, -run.started, run.id))

    def rivals(self, experiment: str, identity: str, mine: str) -> list[StoredRun]:
        """Other runs of that identity at work, in any process or on any machine, that were opened before `mine`.

        Two processes that open a run of one identity at the same time both ask this, and one of them finds the other.
        """
        where = f"attributes.status = 'RUNNING' and tags.`bench.identity` = '{identity}'"
        running = [run for run in self._search(experiment, where) if not orphaned(run.data.tags)]
        own = [run for run in running if run.info.run_id == mine]
        order = (own[0].info.start_time, mine) if own else (0, mine)
        return [stored_run(run) for run in running if (run.info.start_time, run.info.run_id) < order]

    def conclude(self, run: str, status: Literal["FAILED", "KILLED"], tags: Mapping[str, str]) -> None:
        """End a run whose process could not do it, and say why in its tags."""
        for key, value in stored_tags(tags).items():
            self._call(self._client.set_tag, run, key, value)
        self._call(self._client.set_terminated, run, status)

    def record(self, *, experiment: str, description: str, name: str, tags: Mapping[str, str]) -> str:
        """Store a run that never began, with its reason among the tags, as KILLED; returns its id."""
        where = self._experiment(experiment, description)
        note = {NOTE: f"{tags.get('bench.state', '')}: {tags.get('bench.reason', '')}"}
        everything = stored_tags({**own_tags(), **tags, **note})
        number: str = self._call(self._client.create_run, where, tags=everything, run_name=name).info.run_id
        self._call(self._client.set_terminated, number, "KILLED")
        return number

    def reopen(self, run: str) -> LiveRun:
        """Go on with a stored run that had ended, as its new owner. Raises `TrackingError` when it is not there."""
        self._call(self._client.update_run, run, "RUNNING")
        live = LiveRun(MlflowSink(self._client, self._call, run), run, None)
        live.set_tags(owner_tags())
        return live

    def withdraw(self, run: str) -> None:
        """End and delete a run that should not have been opened; MLflow keeps it among the deleted ones."""
        self._call(self._client.set_terminated, run, "KILLED")
        self._call(self._client.delete_run, run)

    def find(self, run: str) -> StoredRun:
        """The run with that id, or whose id starts so, in any experiment.

        Raises `TrackingError` when the store is not there yet, when no run is called so, or when several are.
        """
        if self._path is not None:
            require_runs(self._path)
        if not re.fullmatch("[0-9a-f]{4,32}", run.lower()):
            msg = f"{run!r} is not a run's id, which has 32 digits and letters a to f; the first 4 or more are enough"
            raise TrackingError(f"{msg}{self._newest()}", fix=address.SHOW_RUNS)
        runs = self._called(run.lower())
        if not runs:
            msg = f"the tracking store {self.shown} has no run {run!r}{self._newest()}"
            raise TrackingError(msg, fix=address.SHOW_RUNS)
        if len(runs) > 1:
            several = ", ".join(f"{found.id} ({found.name})" for found in runs[:10])
            raise TrackingError(f"several runs start with {run!r}: {several}", fix="type more of the id")
        return runs[0]

    def _called(self, beginning: str) -> list[StoredRun]:
        """The runs whose id begins so; a SQLite file is only read."""
        read = read_sqlite(self._path, beginning=beginning) if self._path is not None else None
        if read is not None:
            return read
        where = [found.experiment_id for found in self._call(self._client.search_experiments)]
        named = f"attributes.run_id LIKE '{beginning}%'"
        return [stored_run(found) for found in self._call(self._client.search_runs, where, named, max_results=10)]

    def _newest(self) -> str:
        """The finished runs that ended last, to be put behind a message."""
        done = [run for run in self.stored(metrics=()) if run.status == "FINISHED"][:4]
        return "; newest: " * bool(done) + ", ".join(f"{run.id[:8]} ({run.name})" for run in done)

    def download(self, run: StoredRun, path: str, folder: Path) -> list[Path]:
        """Copy an artifact, a file or a folder, to `folder`/`path`; returns the files, none if the run has none."""
        parent = path.rpartition("/")[0] or None
        if path not in {found.path for found in self._call(self._client.list_artifacts, run.id, parent)}:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        copied = Path(self._call(self._client.download_artifacts, run.id, path, str(folder)))
        return [copied] if copied.is_file() else sorted(file for file in copied.rglob("*") if file.is_file())

    def reap(self, experiment: str) -> list[str]:
        """Mark as KILLED what a process of this machine left RUNNING when it died; returns the run ids."""
        dead = [run for run in self._search(experiment, "attributes.status = 'RUNNING'") if orphaned(run.data.tags)]
        for run in dead:
            self.conclude(run.info.run_id, "KILLED", died_silently(run.data.tags))
        return [run.info.run_id for run in dead]

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
        """Open a run. `description` is the experiment's, `note` the run's own; both may be Markdown."""
        where = self._experiment(experiment, description)
        everything = {**own_tags(), **tags, **owner_tags(), **({NOTE: note} if note else {})}
        number, sink = self._create(where, name, everything, dataset)
        page = f"{shown(self.uri).rstrip('/')}/#/experiments/{where}/runs/{number}"
        live = LiveRun(sink, number, page if self._served else None)
        try:
            self._describe(number, params, dataset)
        except BaseException:
            live.end("FAILED", "the run could not be opened")
            raise
        return live

    def enter(
        self,
        *,
        experiment: str,
        description: str,
        name: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        dataset: DatasetInput | None,
        started: int,
    ) -> tuple[str, MlflowSink]:
        """Open a run that was done before, begun at `started` (ms since 1970); its id and where to write the rest."""
        number, sink = self._create(self._experiment(experiment, description), name, tags, dataset, started)
        self._describe(number, params, dataset)
        return number, sink

    def tagged(self, experiment: str, tag: str, value: str) -> list[StoredRun]:
        """The runs of an experiment whose tag has that value."""
        return [stored_run(run) for run in self._search(experiment, f"tags.`{tag}` = '{value}'")]

    def _create(
        self, where: str, name: str, tags: Mapping[str, str], dataset: DatasetInput | None, started: int | None = None
    ) -> tuple[str, MlflowSink]:
        create = partial(self._client.create_run, where, start_time=started, tags=stored_tags(tags), run_name=name)
        number: str = self._call(create).info.run_id
        return number, MlflowSink(self._client, self._call, number, dataset)

    def _describe(self, run: str, params: Mapping[str, object], dataset: DatasetInput | None) -> None:
        from mlflow.entities import Param

        rows = [Param(key, value) for key, value in stored_params(params).items()]
        self._call(self._client.log_batch, run, params=rows)
        if dataset is not None:
            self._log_dataset(run, dataset)

    def _log_dataset(self, run: str, dataset: DatasetInput) -> None:
        """Say what a run learns from. MLflow fails if another run says the same meanwhile, and finds it afterwards."""
        for left in (2, 1, 0):
            try:
                return self._call(self._client.log_inputs, run, [dataset_input(dataset)])
            except TrackingError as error:
                if not left or not any(sign in error.what.lower() for sign in _TWICE):
                    raise

    @property
    def _served(self) -> bool:
        return address.is_server(self.uri)

    @cached_property
    def _client(self) -> MlflowClient:
        if self._path is None:
            address.require_server(self.uri)
            return self._call(_open_locked if is_postgresql(self.uri) else _open, self.uri)
        from filelock import FileLock

        require_kind(self._path)
        address.require_file(self._path)
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            if not self._path.exists() or not self._path.stat().st_size:
                self._call(make_tables, self._path, self._cache)
            return self._call(_open, self.uri)

    def _experiment(self, name: str, description: str) -> str:
        """The number of the experiment, which is made when it is not there."""
        if self._find(name) is None:
            tags = {NOTE: description, "mlflow.experimentKind": "custom_model_development"}
            with suppress(ExistsError):
                self._call(self._client.create_experiment, name, self._artifact_location(), tags)
        number = self._find(name)
        if number is None:
            msg = f"the tracking store {shown(self.uri)} did not keep the experiment {name!r}"
            raise TrackingError(msg, fix=address.LOCAL_FIX)
        return number

    def _find(self, name: str) -> str | None:
        if name not in self._known:
            found = self._call(self._client.get_experiment_by_name, name)
            if found is None:
                return None
            if found.lifecycle_stage != "active":
                restore = f"mlflow experiments restore --experiment-id {found.experiment_id}"
                fix = f"MLFLOW_TRACKING_URI={shown(self.uri)} {restore}"
                raise TrackingError(f"the experiment {name!r} was deleted from {shown(self.uri)}", fix=fix)
            self._known[name] = found.experiment_id
        return self._known[name]

    def _artifact_location(self) -> str | None:
        if self._served:
            return None
        return ((self._path.parent if self._path else Path.cwd()) / "mlartifacts").as_uri()

    def _search(self, experiment: str, where: str, limit: int | None = 1000) -> list[Run]:
        """The runs of an experiment that fit, newest first: at most `limit`, or all of them, page by page."""
        number = self._find(experiment)
        if number is None:
            return []
        newest, size = ["attributes.end_time DESC"], limit or _PAGE
        search = partial(self._client.search_runs, [number], where, max_results=size, order_by=newest)
        found = self._call(search)
        runs = list(found)
        while limit is None and found.token:
            found = self._call(search, page_token=found.token)
            runs += found
        return runs

    def _call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call MLflow; wait while the store is busy, and turn every failure into a `TrackingError`."""
        _configure()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        begun = time.monotonic()
        while True:
            try:
                return function(*args, **named)
            except ImportError as error:
                raise address.driver_missing(self.uri, error) from error
            except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
                if time.monotonic() - begun >= patience(error):
                    raise told(self.uri, error) from error
            finally:
                if self._stray is not None:
                    with suppress(OSError):
                        self._stray.rmdir()
            time.sleep(random.uniform(0.02, 0.2))


def _configure() -> None:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def _open(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    # A failure of the database comes back as an exception; MLflow would print its traceback besides.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _open_locked(uri: str) -> MlflowClient:
    """Open a store of many machines: the first makes its tables, alone. MLflow's own lock is one machine's."""
    with DatabaseLock(uri, "mlflow tables"):
        client = _open(uri)
        client.get_experiment_by_name("Default")
        return client


def _stray_folder(uri: str) -> Path | None:
    """The folder that MLflow makes needlessly: a SQLite file's as its address spells it, `q%3Fx` beside `q?x`."""
    folder = Path(uri.removeprefix("sqlite:///").partition("?")[0]).parent
    return folder if uri.startswith("sqlite:///") and "%" in str(folder) and not folder.exists() else None
