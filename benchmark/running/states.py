"""How a run can end, and which errors make all further runs pointless."""

from __future__ import annotations

import errno
import sys
from typing import Literal

from benchmark.errors import BenchError, TrackingError

State = Literal[
    "ok",
    "finished before",
    "failed",
    "timed out",
    "out of memory",
    "not applicable",
    "skipped",
    "interrupted",
    "pruned",
]

FAILURES: frozenset[str] = frozenset({"failed", "timed out", "out of memory"})
"""States that make the exit code of a matrix other than 0."""

STOPPED = "interrupted; run the same command to resume from the last checkpoint"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_GONE = ("cannot be reached", "disk is full", "no space left", "Max retries exceeded", "unable to open database")


class NotStoredError(TrackingError):
    """A result was computed but not stored; it is kept, and the next attempt stores it."""


def state_of(error: BaseException) -> State:
    """The state of a run that ended with this error."""
    torch = sys.modules.get("torch")
    kinds = (MemoryError, *((torch.OutOfMemoryError,) if torch is not None else ()))
    if isinstance(error, kinds) or "DefaultCPUAllocator: can't allocate memory" in text_of(error):
        return "out of memory"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def reason_of(error: BaseException) -> str:
    """The error in one line."""
    if isinstance(error, BenchError):
        return error.what
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" {error.filename}" if error.filename else ""
        return f"no space left on the disk of{where or ' the cache'} ({error.strerror})"
    first = (text_of(error).strip() or "without a message").splitlines()[0]
    return f"{type(error).__name__}: {first}"


def text_of(error: BaseException) -> str:
    """The text of an error; that of a plug-in may itself raise when it is asked for."""
    try:
        return str(error)
    except Exception as second:
        return f"(its text cannot be shown: {type(second).__name__})"


def ends_all(error: BaseException) -> bool:
    """True for what every further run would meet too: a full disk, an unreachable tracking store."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return isinstance(error, TrackingError) and (
        isinstance(error, NotStoredError) or any(sign in text_of(error) for sign in _GONE)
    )
