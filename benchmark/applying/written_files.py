"""Which files in a folder this program wrote, so that a later call replaces nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmark.errors import ConfigError, DataError
from benchmark.storage import whole_file

MANIFEST = "export.json"
"""What was written into a folder: file name → SHA-256."""


def written_before(folder: Path) -> dict[str, str]:
    """File name → SHA-256 of what was written into `folder`; empty without a manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is not the list of an earlier export: {error}"
        raise DataError(msg, fix="choose another folder with --out") from error


def require_free(folder: Path, names: Iterable[str], known: Mapping[str, str], *, fix: str) -> None:
    """Raise `ConfigError` where a file would be replaced that is not as `known` has it."""
    taken = [name for name in names if (folder / name).exists() and file_digest(folder / name) != known.get(name)]
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        msg = f"{folder / taken[0]}{more} would be replaced, but was not written by an export or was changed since"
        raise ConfigError(msg, fix=fix)


def keep_written(folder: Path, owner: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Write the manifest. `owner`: what the files are of."""
    with whole_file(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps({**owner, "files": files}, indent=1) + "\n", encoding="utf-8")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "not a file"
