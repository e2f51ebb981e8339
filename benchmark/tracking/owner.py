"""Which process owns a run, so that a run whose process died can be told from one at work."""

from __future__ import annotations

import getpass
import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from benchmark.cachehome import cache_home

_FIRST_NAMESPACE = "4026531836"
JOB = "BENCH_JOB"
"""Environment variable: the engine's job that this process is in, as `slurm:123_4`. A job does one run at a time."""
SILENT_SECONDS = 900.0
"""A run of another machine that has not said for so long that it lives counts as dead."""
WATCH_SECONDS = 150.0
"""For which it is watched before, for the clocks of two machines may be a day apart; one at work speaks every 60 s."""


def user() -> str:
    """Who runs this; `unknown` where the system has no name for the user id, as in some containers."""
    with suppress(KeyError, OSError, ImportError):
        return getpass.getuser()
    return "unknown"


def machine() -> str:
    """The host's name, and inside a container its process namespace: a process number means nothing in another."""
    with suppress(OSError):
        number = str(Path("/proc/self/ns/pid").stat().st_ino)
        if number != _FIRST_NAMESPACE:
            return f"{platform.node()}/{number}"
    return platform.node()


def own_tags() -> dict[str, str]:
    """What MLflow's pages say of who ran what."""
    return {"mlflow.user": user(), "mlflow.source.name": "bench run", "mlflow.source.type": "LOCAL"}


def died_silently(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run whose process, that of these `tags`, is gone."""
    reason = f"process {tags['bench.pid']} exited without reporting (killed, or the machine went down)"
    return {"bench.reason": reason, "bench.state": "interrupted"}


def owner_tags() -> dict[str, str]:
    """Host, process number and start time of this process, and that it lives."""
    process = psutil.Process()
    started = f"{process.create_time():.2f}"
    here = {"bench.host": machine(), "bench.pid": str(process.pid), "bench.pid_started": started, **alive_tag()}
    return {**here, "bench.job": job} if (job := os.environ.get(JOB)) else here


def alive_tag() -> dict[str, str]:
    """Says that the run is at work now; a run at work repeats it every minute."""
    return {"bench.alive": str(int(time.time()))}


def _was_this_job(tags: Mapping[str, str]) -> bool:
    """Whether `tags` are of an earlier process of the job that this process is in, which was started again."""
    job = os.environ.get(JOB)
    mine = tags.get("bench.host") == machine() and tags.get("bench.pid") == str(os.getpid())
    return bool(job) and tags.get("bench.job") == job and not mine


def _silent(tags: Mapping[str, str]) -> bool:
    """Whether a process of another machine has stopped to say that it lives.

    Its clock may be wrong, or this one's. So what it said last is kept in the cache, with the time at which it was
    first seen here: that it does not change for a while is what counts, and its own time only says how long a while.
    """
    from benchmark.identity import digest_of
    from benchmark.storage import whole_file

    said = tags.get("bench.alive", "")
    if not said.isdecimal():
        return False
    who = digest_of([tags.get(f"bench.{name}") for name in ("host", "pid", "pid_started")])
    seen = cache_home() / "silent" / who
    now = time.time()
    with suppress(OSError, ValueError):
        before, since = json.loads(seen.read_text(encoding="utf-8")) if seen.exists() else ("", now)
        if before == said:
            late = abs(now - int(said)) > SILENT_SECONDS
            return now - float(since) > (WATCH_SECONDS if late else SILENT_SECONDS)
        with whole_file(seen) as temporary:
            temporary.write_text(json.dumps([said, now]), encoding="utf-8")
    return False


def orphaned(tags: Mapping[str, str]) -> bool:
    """True when `tags` name a process that no longer lives: its number is gone, or another process has it now.

    A process of another machine cannot be looked at; it counts as dead after `SILENT_SECONDS` without a sign of life,
    see `_silent`.
    """
    if _was_this_job(tags):
        return True
    if tags.get("bench.host") != machine():
        return _silent(tags)
    if not tags.get("bench.pid", "").isdecimal():
        return False
    number = int(tags["bench.pid"])
    if number == os.getpid():
        return False
    try:
        process = psutil.Process(number)
        started, zombie = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
    return zombie or abs(started - float(tags.get("bench.pid_started", "nan"))) > 1.0
