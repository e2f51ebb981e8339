"""How long a run may take and how much memory it may hold."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmark.errors import ConfigError
from benchmark.plain_yaml import short

SHARE = 0.9
"""Share of the machine's memory for all jobs together, unless `--memory` is given."""

MOST = 1e12
"""Of any unit; more is a slip of the keyboard."""

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"mb": 10**6, "gb": 10**9, "mib": 2**20, "gib": 2**30, "m": 2**20, "g": 2**30}
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    """`seconds` of wall time, None for no limit; `memory` in bytes, of a run's processes together.

    `chosen`: the memory was asked for; else it is a share of this machine's, and another machine takes its own.
    """

    seconds: float | None
    memory: int
    chosen: bool = True

    @property
    def text(self) -> str:
        """Both in words."""
        return f"{self.time_text}, at most {self.memory / 2**30:.1f} GiB each"

    @property
    def time_text(self) -> str:
        """The time alone, where every machine takes a share of its own memory."""
        return "no time limit" if self.seconds is None else f"{duration(self.seconds)} each"


def chosen_limits(timeout: str | None, memory: str | None, jobs: int) -> Limits:
    """The limits of `--timeout` and `--memory`; memory is by default an equal part of 90 % of the machine's."""
    seconds = None if timeout is None else read_seconds(timeout)
    share = int(machine_memory() * SHARE / max(jobs, 1))
    return Limits(seconds, share if memory is None else read_bytes(memory), memory is not None)


def read_seconds(text: str) -> float:
    """`90`, `90s`, `15m`, `2h`, `1d` in seconds. Raises `ConfigError` for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)", text.strip().lower())
    if not found or not 0 < float(found[1]) < MOST:
        raise ConfigError(
            f"--timeout {short(text)} is not a duration", fix="--timeout 90s, --timeout 15m or --timeout 2h"
        )
    return float(found[1]) * _SECONDS[found[2]]


def read_bytes(text: str) -> int:
    """`500MB`, `8GB`, `8GiB`, `8g` in bytes. Raises `ConfigError` for anything else, also without a unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(mb|gb|mib|gib|m|g)", text.strip().lower())
    if not found or not 0 < float(found[1]) < MOST:
        raise ConfigError(f"--memory {short(text)} is not an amount of memory", fix="--memory 8GB or --memory 500MB")
    return int(float(found[1]) * _BYTES[found[2]])


def duration(seconds: float) -> str:
    """`90 s`, `15 min`, `2.5 h`."""
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:g} h"


def machine_memory() -> int:
    """Bytes this machine has, or that the container it runs in may use."""
    total: int = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        return min(total, int((_CGROUP / "memory.max").read_text()))
    return total


def memory_kills() -> int:
    """How many processes of this container the kernel has killed for lack of memory; 0 where it does not say."""
    with suppress(OSError, ValueError):
        lines = (_CGROUP / "memory.events").read_text().split()
        return int(lines[lines.index("oom_kill") + 1])
    return 0


class MemoryWatch:
    """The private memory of a process and its children.

    Pages of files (libraries, memory-mapped features) are left out: the system takes them back when it needs them.
    Who the children are is looked up once a second, for that means reading the whole process table.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._members: list[psutil.Process] = []
        self._looked = float("-inf")

    def held(self) -> int:
        """Bytes now; 0 for a process that is gone."""
        if time.monotonic() - self._looked > 1.0:
            self._looked = time.monotonic()
            with suppress(psutil.Error):
                parent = psutil.Process(self._pid)
                self._members = [parent, *parent.children(recursive=True)]
        return sum(map(_own, self._members))

    @property
    def members(self) -> list[psutil.Process]:
        """The process and its children as they were last looked up."""
        return list(self._members)


def _own(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        memory = process.memory_info()
        return int(memory.rss - getattr(memory, "shared", 0))
    return 0
