"""The contents of the cache, and how to make room. Nothing in use or of other origin is ever touched."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.learning.encoders.features import CELLS, FACTS, VALUES

OURS = frozenset({VALUES, CELLS, FACTS})
KEY = re.compile("[0-9a-f]{32}")
STAGE = ("result.pt", "record.json", "checkpoint.pt", "patches.raw")
"""What `benchmark.stages` keeps of a stage; the result goes first, since it says that the stage is finished."""
DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """The features of one slide. `used`: seconds since the epoch when they were last asked for."""

    home: Path
    slide: str
    encoder: str
    patches: int
    bytes: int
    seconds: float
    used: float


def entries(folder: Path) -> list[Entry]:
    """Every complete entry below `folder`, least recently used first."""
    whole = []
    for facts_file in sorted(folder.glob(f"??/*/{FACTS}")):
        home = facts_file.parent
        try:
            facts = json.loads(facts_file.read_text())
            size = sum(file.stat().st_size for file in home.iterdir())
            used = facts_file.stat().st_mtime
            told = (str(facts["slide"]), str(facts["encoder_name"]), int(facts["patches"]), float(facts["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        whole.append(Entry(home, told[0], told[1], told[2], size, told[3], used))
    return sorted(whole, key=lambda entry: (entry.used, entry.home))


def leftovers(folder: Path) -> list[Path]:
    """Unfinished entries of writers that died, and entries that lost their facts; none that is being written."""
    folders = sorted(path for path in folder.glob("??/*") if path.is_dir() and KEY.fullmatch(path.stem))
    broken = [path for path in folders if path.suffix == ".part" or not (path / FACTS).is_file()]
    return [path for path in broken if _only_ours(path) and not _held(_lock_of(path))]


def chosen(
    candidates: Sequence[Entry],
    *,
    older_than: float | None = None,
    max_bytes: float | None = None,
    encoder: str | None = None,
    everything: bool = False,
    now: float | None = None,
) -> list[Entry]:
    """The entries to remove.

    Those not used for `older_than` days, those of an `encoder` (its name up to a colon, or whole), or `everything`;
    then of the others those used longest ago, until at most `max_bytes` remain.
    """
    now = time.time() if now is None else now
    removed = [
        entry
        for entry in candidates
        if everything
        or (older_than is not None and now - entry.used > older_than * DAY)
        or (encoder is not None and encoder in (entry.encoder, entry.encoder.partition(":")[0]))
    ]
    if max_bytes is not None:
        gone = {entry.home for entry in removed}
        rest = [entry for entry in candidates if entry.home not in gone]
        left = sum(entry.bytes for entry in rest)
        for entry in rest:
            if left <= max_bytes:
                break
            removed.append(entry)
            left -= entry.bytes
    return removed


def remove(home: Path) -> bool:
    """Remove an entry or a leftover; False when it is in use or holds a file that the cache did not write."""
    try:
        with FileLock(_lock_of(home), timeout=0):
            if not _only_ours(home):
                return False
            unfinished = home.with_suffix(".part")
            if home != unfinished:  # killed half-way, it is a leftover and no damaged entry
                shutil.rmtree(unfinished, ignore_errors=True)
                home.rename(unfinished)
            shutil.rmtree(unfinished)
            return True
    except (Timeout, FileNotFoundError):
        return False


def stages(folder: Path) -> list[Path]:
    """The folders of all stages kept below `folder` that hold a result or a checkpoint."""
    homes = sorted(path for path in folder.glob("??/*") if path.is_dir() and KEY.fullmatch(path.name))
    return [home for home in homes if any((home / name).is_file() for name in STAGE)]


def stage_bytes(home: Path) -> int:
    """What `forget_stage` would free."""
    return sum((home / name).stat().st_size for name in STAGE if (home / name).is_file())


def forget_stage(home: Path) -> bool:
    """Remove what a stage kept; False when a run is computing it. Its lock stays, for those who wait for it."""
    try:
        with FileLock(home / "lock", timeout=0):
            for name in STAGE:
                (home / name).unlink(missing_ok=True)
            return True
    except Timeout:
        return False


def _only_ours(home: Path) -> bool:
    return not {file.name for file in home.iterdir()} - OURS


def _lock_of(home: Path) -> Path:
    return home.with_suffix(".lock")


def _held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
