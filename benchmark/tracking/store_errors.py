"""What a failing tracking store is said to have: the reason in one line and the command that helps."""

from __future__ import annotations

import re

from benchmark.errors import TrackingError
from benchmark.tracking import address
from benchmark.tracking.address import shown
from benchmark.tracking.sqlite_file import known_schema

CONNECTIONS = "QueuePool limit"
"""What a server says that has no connection to its database left."""
BUSY = {"database is locked": 60.0, "too many 503 error responses": 60.0, CONNECTIONS: 300.0}
"""A sign in a message that the same call may succeed later, and for how many seconds it is tried again.

A server says only after 30 s that it has no connection left.
"""
POOL = "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE=64 mlflow server …   # starts the server with more of them: docs/clusters.md"


class ExistsError(TrackingError):
    """Another process made the same experiment at the same time."""


def told(uri: str, error: Exception) -> TrackingError:
    """The error to raise for what MLflow or the database raised."""
    if (refused := address.password_refused(uri, error)) is not None:
        return refused
    first = (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
    kind = ExistsError if getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS" else TrackingError
    if CONNECTIONS in str(error):
        msg = f"the tracking store {shown(uri)} has no connection to its database left"
        return TrackingError(msg, fix=POOL)
    fix = f"mlflow db upgrade {shown(uri)}" if "out-of-date database schema" in first else address.LOCAL_FIX
    version = re.search(r"out-of-date database schema \(found version (\w+)", first)
    if version is not None and not known_schema(version[1]):
        first, fix = f"its tables are those of a newer MLflow (version {version[1]})", "pip install -U mlflow"
    return kind(f"the tracking store {shown(uri)} failed: {first}", fix=fix)


def patience(error: Exception) -> float:
    """For how many seconds a call that failed so is tried again; 0 where that is no use."""
    return max((seconds for sign, seconds in BUSY.items() if sign in str(error)), default=0.0)
