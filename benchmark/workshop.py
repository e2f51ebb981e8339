"""A folder to make something large in, that no kill leaves behind for long."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".in-use"
_SIGN = ".unfinished-"


@contextmanager
def workshop(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, in the same file system; it is removed at the end of the block.

    What killed processes left of earlier workshops for the same target is removed first; those at work keep a lock.
    Raises `OSError` when the folder cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beginning = f".{target.name[:100]}{_SIGN}"
    for other in sorted(target.parent.iterdir()):
        if other.name.startswith(beginning) and (other / _LOCK).is_file():
            _remove_if_left(other)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent, ignore_cleanup_errors=True) as name:
        new = Path(name)
        with FileLock(new / _LOCK):
            # Under this name only when it is locked, so that nobody takes it for one that was left.
            folder = new.rename(new.with_name(beginning + new.name.removeprefix(".new-")))
            try:
                (folder / "work").mkdir()
                yield folder / "work"
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
