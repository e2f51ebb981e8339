"""Where Optuna keeps studies: a database, a journal file, a gRPC server. Its failures become `StudyError`s."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import optuna
import optuna.storages.journal
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from benchmark.cachehome import cache_home
from benchmark.database_lock import DatabaseLock, is_postgresql
from benchmark.errors import StudyError
from benchmark.identity import digest_of
from benchmark.tracking.address import shown, sqlite_path
from benchmark.tuning.grpc_storage import GrpcLock, is_grpc, words_of
from benchmark.tuning.grpc_storage import connect as connect_to_server

T = TypeVar("T")

BUSY_SECONDS, BEAT_SECONDS, SILENT_SECONDS = 60.0, 60, 600
DEFAULT = "sqlite:///studies.db"

optuna.logging.set_verbosity(optuna.logging.ERROR)


def storage_of(chosen: str | None) -> str:
    """The storage of `--storage`, else `BENCH_STUDIES`, else `./studies.db`."""
    return chosen or os.environ.get("BENCH_STUDIES") or DEFAULT


def open_storage(address: str, *, make: bool = True) -> optuna.storages.BaseStorage:
    """A journal file (`*.journal`, `*.log`), a database (any SQLAlchemy URL) or `grpc://HOST:PORT`.

    Raises `StudyError`, without `make` also for a file that does not exist.
    """
    if is_grpc(address):
        with quiet():
            return connect_to_server(address)
    file = _file(address)
    if not make and not exists(address):
        raise StudyError(f"there is no study storage {file}", fix="bench sweep list --storage URL, or BENCH_STUDIES")
    if "://" not in address:
        if file is None or file.suffix not in (".journal", ".log") or not file.parent.is_dir():
            message = f"--storage {address}: expected a URL such as {DEFAULT}, or NAME.journal in an existing folder"
            raise StudyError(message, fix=f"--storage {DEFAULT}")
        backend = optuna.storages.journal.JournalFileBackend(str(file))
        return try_storage(lambda: optuna.storages.JournalStorage(backend), address)
    if file is not None and not file.parent.is_dir():
        message = f"the study storage {file} needs the folder {file.parent}, which does not exist"
        raise StudyError(message, fix=f"mkdir -p {file.parent}")
    local = {"connect_args": {"timeout": BUSY_SECONDS}} if file is not None else {"pool_pre_ping": True}

    def connect() -> optuna.storages.BaseStorage:
        return optuna.storages.RDBStorage(
            address,
            engine_kwargs=local,
            heartbeat_interval=BEAT_SECONDS,
            grace_period=SILENT_SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
        )

    def connect_alone() -> optuna.storages.BaseStorage:
        with lock_of(address, "tables"):
            return connect()

    with quiet():
        return try_storage(connect_alone, address)


def artifacts_of(address: str) -> Path:
    """The folder of the pictures of trials: beside the file of a storage, else `studies.artifacts` where we are."""
    file = _file(address) if not is_grpc(address) else None
    return file.with_suffix(".artifacts") if file is not None else Path("studies.artifacts").absolute()


def exists(address: str) -> bool:
    """Whether the file of a storage exists; True for a database that is no file."""
    file = _file(address)
    return file is None or file.is_file()


def _file(address: str) -> Path | None:
    return sqlite_path(address) or (Path(address).absolute() if "://" not in address else None)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's warnings that the heartbeat is experimental and made for `optimize`; `Study.beat` sends it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
        yield


def lock_of(address: str, name: str) -> AbstractContextManager[object]:
    """A lock between the processes that use a storage: on PostgreSQL and by gRPC all, else those of this machine."""
    if is_postgresql(address):
        return DatabaseLock(address, f"study {name}")
    if is_grpc(address):
        return GrpcLock(address, name)
    path = _file(address)
    if path is None:
        folder = cache_home() / "studies"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / digest_of([address, name])
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=BUSY_SECONDS * 5)


def _failures() -> tuple[type[Exception], ...]:
    """What a storage raises when it does not work; grpc's only where it has been loaded."""
    grpc = sys.modules.get("grpc")
    usual = (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError)
    return usual if grpc is None else (*usual, grpc.RpcError)


@contextmanager
def storage_errors(address: str) -> Iterator[None]:
    """Turn every failure of a storage into a `StudyError`."""
    try:
        yield
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or error.name or "its driver"
        message = f"the study storage {shown(address)} needs the Python package {driver}"
        pip = "'histobench[postgresql]'" if driver in ("psycopg", "psycopg2") else driver
        raise StudyError(message, fix=f"pip install {pip}") from error
    except _failures() as error:
        text = words_of(error) if hasattr(error, "details") else str(error.__cause__ or error).splitlines()[0]
        message = f"the study storage {shown(address)} cannot be used: {text}"
        raise StudyError(message, fix=f"--storage {DEFAULT}") from error


def try_storage(function: Callable[[], T], address: str) -> T:
    """Call a function of the storage; wait while it is locked, and turn every failure into a `StudyError`."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with storage_errors(address):
                return function()
        except StudyError as error:
            if "locked" not in error.what or time.monotonic() > deadline:
                raise
        time.sleep(0.2)
