"""Reading a published board: nothing is taken for granted, every fault is named with its file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark.errors import DataError
from benchmark.metrics.catalogue import SCHEMA
from benchmark.publishing import board_tables as tables
from benchmark.publishing.board_form import (
    FORM,
    LARGEST_JSON,
    MANIFEST,
    MOST_RUNS,
    NUMBERS,
    PARTS,
    RUNS,
    SLIDES,
    UNITS,
    VERSION,
    FormError,
    Manifest,
    PublishedRun,
    read_json,
)
from benchmark.publishing.published_board import PublishedBoard

if TYPE_CHECKING:
    from pyarrow import Table

T = TypeVar("T")

AGAIN = "get the folder again from whoever published it"


def wrote(folder: Path) -> bool:
    """Whether the folder has the manifest of a published board, whatever became of its other files."""
    try:
        _manifest(folder)
    except (DataError, FormError):
        return False
    return True


def read_boards(folders: Sequence[Path], *, alone: bool = False) -> list[PublishedBoard]:
    """Several published boards; those whose folders have the same name are marked by their whole paths.

    `alone`: nothing of one's own stands beside them, so that one of another metric schema may be read.
    """
    names = [folder.absolute().name for folder in folders]
    unique = list(dict.fromkeys(folder.absolute() for folder in folders))
    return [
        read_board(
            folder, str(folder) if names.count(folder.name) > 1 and len(unique) > 1 else folder.name, alone=alone
        )
        for folder in unique
    ]


def read_board(folder: Path, origin: str = "", *, alone: bool = False) -> PublishedBoard:
    """Read a published board and check every file of it.

    Raises `DataError` for a folder that is none, was altered, is not whole, or was measured by another metric schema
    and does not stand `alone`.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; expected one that bench publish wrote", fix="bench publish --help")
    try:
        return _read(folder, origin or folder.absolute().name, alone=alone)
    except FormError as error:
        raise DataError(f"the published board {folder} cannot be used: {error}", fix=AGAIN) from None


def require_form(folder: Path) -> None:
    """Raise `FormError` where a file of the folder is not of the form."""
    _read(folder, folder.name, alone=False)


def _read(folder: Path, origin: str, *, alone: bool) -> PublishedBoard:
    if not (folder / MANIFEST).is_file():
        msg = f"{folder} is not a published board: it has no {MANIFEST}"
        raise DataError(msg, fix="name the folder itself, not one above or below it")
    manifest = _manifest(folder)
    if not alone:
        _require_schema(folder, manifest)
    content = _checked(folder, manifest)
    records = _records(content[RUNS], manifest)
    runs = [run.id for run in records]
    numbers, slides, units = (_told(name, content[name], runs) for name in (NUMBERS, SLIDES, UNITS))
    return PublishedBoard(folder, origin, manifest, records, numbers, slides, units)


def _require_schema(folder: Path, manifest: Manifest) -> None:
    if manifest.metrics_schema != SCHEMA:
        msg = f"the published board {folder} was measured by the metric schema {manifest.metrics_schema}, this version"
        msg += f" measures by {SCHEMA}: the figures cannot be compared"
        raise DataError(msg, fix=f"bench leaderboard --from {folder} --no-store   # by itself")


def _checked(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """The content of every file that the manifest lists, which are those of the form and no others."""
    for part in manifest.files:
        if part.path not in PARTS:
            outside = "/" in part.path or "\\" in part.path or part.path in (".", "..")
            what = (
                "which is a path, not the name of a file of the folder" if outside else "which the form does not know"
            )
            raise FormError(f"its {MANIFEST} lists {part.path[:80]!r}, {what}")
    names = [part.path for part in manifest.files]
    for name in PARTS:
        if names.count(name) != 1:
            raise FormError(f"its {MANIFEST} lists {name} {names.count(name)} times, expected once")
    content = {part.path: _content(folder, part.path, part.bytes) for part in manifest.files}
    for part in manifest.files:
        if hashlib.sha256(content[part.path]).hexdigest() != part.sha256:
            raise FormError(f"{part.path} was altered: its SHA-256 is not the one in {MANIFEST}")
    return content


def _content(folder: Path, name: str, size: int | None = None) -> bytes:
    """The bytes of a file of the folder itself, of the size that is expected, or of at most that of a JSON file."""
    path = folder / name
    if path.is_symlink():
        raise FormError(f"{name} is a link; expected a file of the folder itself")
    try:
        actual = path.stat().st_size
        if actual > LARGEST_JSON and size is None:
            raise FormError(f"{name} has {actual} bytes, expected at most {LARGEST_JSON}")
        if size is not None and actual != size:
            raise FormError(f"{name} was altered: it has {actual} bytes, {MANIFEST} says {size}")
        return path.read_bytes()
    except FileNotFoundError:
        raise FormError(f"{name} is missing") from None
    except OSError as error:
        raise FormError(f"{name} cannot be read: {error.strerror}") from None


def _records(content: bytes, manifest: Manifest) -> tuple[PublishedRun, ...]:
    try:
        records = _validated(TypeAdapter(list[PublishedRun]), read_json(content))
    except FormError as error:
        raise FormError(f"{RUNS} {error}") from None
    if len(records) > MOST_RUNS:
        raise FormError(f"{RUNS} has {len(records)} runs, expected at most {MOST_RUNS}")
    seen = set()
    for run in records:
        if run.id in seen:
            raise FormError(f"{RUNS} has the run {run.id[:8]} twice")
        seen.add(run.id)
        if lacking := run.lacking():
            raise FormError(f"{RUNS}: the run {run.id[:8]} has no tag {lacking[0]!r}")
        if run.tags["metrics_schema"] != manifest.metrics_schema:
            raise FormError(f"{RUNS}: the run {run.id[:8]} was measured by another metric schema than {MANIFEST} says")
        if not re.fullmatch("[0-9]{1,19}", run.tags["seed"]):
            raise FormError(f"{RUNS}: the seed of run {run.id[:8]} is {run.tags['seed'][:40]!r}, expected a number")
    return tuple(records)


def _told(name: str, content: bytes, runs: Sequence[str]) -> Table:
    try:
        return tables.read_table(name, content, runs)
    except FormError as error:
        raise FormError(f"{name} {error}") from None


def _manifest(folder: Path) -> Manifest:
    content = _content(folder, MANIFEST)
    try:
        fields = read_json(content)
        if isinstance(fields, dict) and fields.get("form") == FORM and fields.get("version") != VERSION:
            raise FormError(f"is of version {str(fields.get('version'))[:20]} of the form, expected {VERSION}")
        return _validated(TypeAdapter(Manifest), fields)
    except FormError as error:
        raise FormError(f"{MANIFEST} {error}") from None


def _validated(adapter: TypeAdapter[T], content: Any) -> T:
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise FormError(f"is not of this form: {where or 'the whole'}: {first['msg'][:120]}") from None
