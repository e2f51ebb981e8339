"""The file of a SQLite store: what it is, and reading it without writing anything beside it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from benchmark.errors import TrackingError
from benchmark.tracking.address import FIRST_RUN, LOCAL_FIX

_OURS = frozenset({"experiments", "runs"})
_JOURNALS = ("-wal", "-journal")
_PATIENCE = 60.0


def require_runs(path: Path) -> None:
    """Raise `TrackingError` unless the file has MLflow's tables: reading makes nothing that is not there."""
    require_kind(path)
    if not path.exists():
        raise TrackingError(f"no runs are stored yet: {path} does not exist", fix=FIRST_RUN)
    with reading(path) as store:
        if not _tables(store):
            raise TrackingError(f"no runs are stored yet: {path} is empty", fix=FIRST_RUN)


def require_kind(path: Path) -> None:
    """Raise `TrackingError` for what is no store: a folder, another file, another program's database."""
    if path.is_dir():
        fix = f"--store sqlite:///{path / 'mlflow.db'}"
        raise TrackingError(f"the tracking store {path} is a folder; expected the file of a database", fix=fix)
    if not path.exists() or not path.stat().st_size:
        return
    # Never by a plain `open`: closing it drops the locks that connections of this process hold on the file.
    with reading(path) as store:
        tables = _tables(store)
    if tables and not tables >= _OURS:
        some = ", ".join(sorted(tables)[:3])
        msg = f"the tracking store {path} is another program's database: it has tables ({some}), but none of MLflow's"
        raise TrackingError(msg, fix=LOCAL_FIX)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads. Raises `TrackingError` when the database cannot be read.

    A write-ahead log or a journal left by a killed writer needs a file to be written beside the database. Where that is
    not allowed, a copy is read.
    """
    with (
        _told(path),
        tempfile.TemporaryDirectory(prefix="bench-store-", ignore_cleanup_errors=True) as folder,
        closing(_connected(path, Path(folder))) as store,
    ):
        yield store


def _connected(path: Path, folder: Path) -> sqlite3.Connection:
    try:
        return _opened(f"{path.as_uri()}?mode=ro")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise
    copy = folder / "store.db"
    shutil.copyfile(path, copy)
    for suffix in _JOURNALS:
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            shutil.copyfile(beside, folder / (copy.name + suffix))
    return _opened(copy.as_uri())


def _opened(uri: str) -> sqlite3.Connection:
    store = sqlite3.connect(uri, uri=True, timeout=_PATIENCE)
    try:
        _tables(store)
    except BaseException:
        store.close()
        raise
    return store


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if "not a database" in str(error):
            raise TrackingError(f"the tracking store {path} is not a database of SQLite", fix=LOCAL_FIX) from error
        told = (error.strerror if isinstance(error, OSError) else None) or error
        raise TrackingError(f"the tracking store {path} cannot be read: {told}", fix=LOCAL_FIX) from error


def _tables(store: sqlite3.Connection) -> set[str]:
    return {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def known_schema(version: str) -> bool:
    """True when the MLflow that is installed knows this version of its tables, so that it is not newer than that."""
    from importlib.util import find_spec

    spec = find_spec("mlflow")
    folder = Path(spec.origin or "").parent / "store" / "db_migrations" / "versions" if spec else Path()
    with suppress(OSError):
        return not folder.is_dir() or any(file.name.startswith(f"{version}_") for file in folder.iterdir())
    return True
