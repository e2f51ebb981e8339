"""Where the tracking store is, and whether it can work at all: found out before MLflow retries for minutes."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import threading
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

from benchmark.errors import TrackingError

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 5.0
LOCAL_FIX = "unset MLFLOW_TRACKING_URI   # keeps runs in ./mlflow.db"
SHOW_RUNS = "bench ui   # shows every run; its id is on the run's page"
FIRST_RUN = "bench run --method oeem --dataset glas --data synthetic"
LOCAL_DISKS = {"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "ntfs", "overlay", "tmpfs", "xfs", "zfs"}
_SQLITE = "sqlite:///"
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


def store_uri(uri: str | None = None) -> str:
    """The argument, else `MLFLOW_TRACKING_URI`, else `./mlflow.db`. SQLite paths become absolute."""
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}mlflow.db"
    path = sqlite_path(chosen)
    query = chosen[chosen.find("?") :] if "?" in chosen else ""
    return chosen if path is None else f"{sqlite_uri(path)}{query}"


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file; `%` and `?` of its path are encoded, for SQLAlchemy decodes it."""
    return _SQLITE + path.absolute().as_posix().replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, absolute; None for every other store."""
    name = uri.removeprefix(_SQLITE).partition("?")[0]
    return Path(unquote(name)).absolute() if uri.startswith(_SQLITE) and name not in ("", ":memory:") else None


def is_server(uri: str) -> bool:
    """True when an MLflow server, not this process, reads and writes the store."""
    return uri.startswith(("http://", "https://"))


def require_address(uri: str, source: str) -> None:
    """Raise `TrackingError` unless `uri`, given as `source`, can be a store: a database, a server or MLflow's own.

    Without this MLflow takes any word for a folder, and says so in its own words.
    """
    scheme, colon, rest = uri.partition("://")
    local = scheme.startswith(("sqlite", "databricks")) or scheme == "file"
    if local or (colon and rest.strip("/").rpartition("@")[2]):
        return
    what = "has no host" if colon else "is no address, and no folder of offline runs"
    example = "sqlite:///mlflow.db, http://HOST:5000, or a folder of bench run --offline"
    raise TrackingError(f"{source}: {shown(uri)} {what}", fix=f"{source} {example}")


def shown(uri: str) -> str:
    """The address without the user name and password that may be in it."""
    return re.sub(r"://[^/@]*@", "://", uri)


def require_server(uri: str) -> None:
    """Raise `TrackingError` when nothing listens at the host and port of `uri` (a proxy is left to MLflow)."""
    try:
        address = urlsplit(uri)
        port = address.port or _PORTS.get(address.scheme.partition("+")[0], 80)
    except ValueError as error:
        raise TrackingError(f"the tracking store {shown(uri)} is not an address: {error}", fix=LOCAL_FIX) from error
    if not address.hostname or address.scheme in urllib.request.getproxies():
        return
    try:
        socket.create_connection((address.hostname, port), CONNECT_SECONDS).close()
    except OSError as error:
        start = f"mlflow server --port {port}   # start it there; or: " if is_server(uri) else ""
        msg = f"the tracking server {shown(uri)} cannot be reached: {error.strerror or error}"
        raise TrackingError(msg, fix=start + LOCAL_FIX) from error
    if is_server(uri) and not _answers(uri):
        msg = f"the tracking server {shown(uri)} cannot be reached: it takes connections, but does not answer"
        raise TrackingError(f"{msg} within {ANSWER_SECONDS:g} s", fix=f"start it again; or: {LOCAL_FIX}")


def _answers(uri: str) -> bool:
    """Whether a server says anything to a request in time; errors of any kind are answers, and MLflow's to tell."""
    asker = threading.Thread(target=_ask, args=(f"{uri.rstrip('/')}/health",), daemon=True)
    asker.start()
    asker.join(ANSWER_SECONDS)  # the time of the whole answer: a timeout of the socket is for each piece of it
    return not asker.is_alive()


def _ask(address: str) -> None:
    with suppress(Exception), urllib.request.urlopen(address) as answer:
        answer.read(1)


def password_refused(uri: str, error: Exception) -> TrackingError | None:
    """The error for a wrong user or password, of a database or a server; None for any other failure."""
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        fix = "export MLFLOW_TRACKING_URI=postgresql://USER:PASSWORD@HOST/DATABASE"
    elif "error code 401" in text or "not authenticated" in text:
        fix = "export MLFLOW_TRACKING_USERNAME=… MLFLOW_TRACKING_PASSWORD=…"
    elif "error code 403" in text:
        return TrackingError(f"the tracking store {shown(uri)} does not allow this to the user", fix="ask its owner")
    else:
        return None
    return TrackingError(f"the tracking store {shown(uri)} refuses the user or the password", fix=fix)


def driver_missing(uri: str, error: ImportError) -> TrackingError:
    """The error when the Python package that talks to a database is not installed."""
    package = error.name or "its driver"
    pip = "'histobench[postgresql]'" if package in ("psycopg", "psycopg2") else package
    return TrackingError(
        f"the tracking store {shown(uri)} needs the Python package {package}", fix=f"pip install {pip}"
    )


def require_file(path: Path) -> None:
    """Raise `TrackingError` when the SQLite file `path` cannot be made, read or written, or is something else."""
    fix = "export MLFLOW_TRACKING_URI=sqlite:////a/folder/you/can/write/mlflow.db"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the tracking store {path} needs the folder {path.parent}, which cannot be made: {error.strerror}"
        raise TrackingError(msg, fix=fix) from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise TrackingError(f"the tracking store {path} is in a folder that cannot be written", fix=fix)
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" not in str(error):
            raise TrackingError(f"the tracking store {path} cannot be used: {error}", fix=fix) from error


def install(tables: Path, staging: Path, path: Path) -> None:
    """Copy an empty MLflow database to `path`, by way of `staging` in the same file system, so that it is whole."""
    shutil.copyfile(tables, staging)
    with closing(sqlite3.connect(staging)) as database, database:
        # The tables come with the experiment "Default", whose artifacts would go where they were made.
        home = (path.parent / "mlartifacts" / "0").as_uri()
        database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", [home])
    if on_local_disk(path):
        with closing(sqlite3.connect(staging)) as database:
            database.execute("PRAGMA journal_mode = WAL")
    staging.replace(path)


def on_local_disk(path: Path) -> bool:
    """True when `path` is surely on a disk of this machine.

    There SQLite may use its write-ahead log, which halves the cost of a write and lets the web page read while
    runs write, but which a network file system breaks.
    """
    real = path.parent.resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if real.is_relative_to(part.mountpoint)]
    nearest = max(mounts, key=lambda part: len(part.mountpoint), default=None)
    return nearest is not None and nearest.fstype.lower() in LOCAL_DISKS
