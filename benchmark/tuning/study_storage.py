"""Where Optuna keeps studies: a database or a journal file. Failures become one clear message."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import optuna
import optuna.storages.journal
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from benchmark.datahome import cache_home
from benchmark.errors import StudyError
from benchmark.identity import digest_of
from benchmark.tracking.address import shown, sqlite_path

T = TypeVar("T")

BUSY_SECONDS, BEAT_SECONDS, SILENT_SECONDS = 60.0, 60, 600
DEFAULT = "sqlite:///studies.db"

optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_storage(address: str, *, make: bool = True) -> optuna.storages.BaseStorage:
    """A journal file (`*.journal`, `*.log`) or a database (any SQLAlchemy URL).

    Raises `StudyError`, also for a file that is not there yet unless `make`.
    """
    file = _file(address)
    if not make and not exists(address):
        raise StudyError(f"there is no study storage {file}", fix="bench sweep list --storage URL, or BENCH_STUDIES")
    if "://" not in address:
        if file is None or file.suffix not in (".journal", ".log") or not file.parent.is_dir():
            what = f"--storage {address}: expected a URL such as {DEFAULT}, or NAME.journal in a folder that is there"
            raise StudyError(what, fix=f"--storage {DEFAULT}")
        backend = optuna.storages.journal.JournalFileBackend(str(file))
        return tried(lambda: optuna.storages.JournalStorage(backend), address)
    if file is not None and not file.parent.is_dir():
        what = f"the study storage {file} needs the folder {file.parent}, which is not there"
        raise StudyError(what, fix=f"mkdir -p {file.parent}")
    local = {"connect_args": {"timeout": BUSY_SECONDS}} if file is not None else {"pool_pre_ping": True}

    def connect() -> optuna.storages.BaseStorage:
        return optuna.storages.RDBStorage(
            address,
            engine_kwargs=local,
            heartbeat_interval=BEAT_SECONDS,
            grace_period=SILENT_SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
        )

    with quiet(), lock_of(address, "tables"):
        return tried(connect, address)


def exists(address: str) -> bool:
    """Whether the file of a storage is there; True for what is no file."""
    file = _file(address)
    return file is None or file.is_file()


def _file(address: str) -> Path | None:
    return sqlite_path(address) or (Path(address).absolute() if "://" not in address else None)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's warnings that its heartbeat is experimental, and meant for `optimize` (`Study.beat` does it)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
        yield


def lock_of(address: str, name: str) -> FileLock:
    """Between processes of this machine; those of others are told apart by the database."""
    path = _file(address)
    if path is None:
        folder = cache_home() / "studies"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / digest_of([address, name])
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=BUSY_SECONDS * 5)


def tried(function: Callable[[], T], address: str) -> T:
    """Call the storage; wait while it is locked, and turn every failure into a `StudyError`."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return function()
        except ImportError as error:
            driver = getattr(error.__cause__, "name", None) or error.name or "its driver"
            what = f"the study storage {shown(address)} needs the Python package {driver}"
            raise StudyError(what, fix=f"pip install {driver}") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
            text = str(error.__cause__ or error).splitlines()[0]
            if "locked" not in text or time.monotonic() > deadline:
                what = f"the study storage {shown(address)} cannot be used: {text}"
                raise StudyError(what, fix=f"--storage {DEFAULT}") from error
        time.sleep(0.2)
