"""The folder that a command writes for its user: nothing of theirs is replaced, and a full disk is told as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import ConfigError


def require_empty(out: Path, *, force: bool) -> None:
    """Raise `ConfigError` unless `out` is an empty folder or is yet to be made."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; expected a folder", fix="--out ANOTHER_FOLDER")
    if out.is_dir() and not force and (first := next(out.iterdir(), None)) is not None:
        msg = f"--out {out} is not empty (it holds {first.name}); nothing is overwritten"
        raise ConfigError(msg, fix="--out ANOTHER_FOLDER, or --force to replace files of the same names")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the file system refuses (a full disk, no permission) into a `ConfigError` that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        reason = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename else ""
        raise ConfigError(f"cannot write to {out}: {reason}{where}", fix=f"df -h {out}") from error
