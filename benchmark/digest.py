"""The content digest of a dataset: it depends on the files' bytes and names, not on where the folder is."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cachehome import cache_home
from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.dataset import Dataset

WHOLE = 16_000_000
"""Files of up to so many bytes are read whole: an edited mask or plain image keeps its size and most of its blocks."""

BLOCK = 4096
"""Bytes read at each place of a larger file by the quick digest."""

SAMPLES = 6
"""Blocks the quick digest reads of a larger file, evenly spread from the first to the last."""

CHUNK = 1 << 20

SETTLED = 2.0
"""Seconds after which another write to a file shows in its time, also where a file system keeps whole seconds."""


def content_digest(root: Path, files: Iterable[Path], *, full: bool = False, remember: bool = False) -> str:
    """SHA-256 over the names and contents of `files`, as 32 hexadecimal digits.

    Quick (the default): relative name, size, and every byte of each file of up to `WHOLE` bytes, of larger ones
    `SAMPLES` blocks, the first and the last among them. Full: every byte. Names are relative to `root`, written with
    `/` and in Unicode NFC, and sorted, so order, place and machine do not matter; a quick and a full digest are never
    equal. Memory is bounded by one chunk, not by the file.

    `remember`: a file of unchanged size and times is not read again; what was read is kept in the cache folder.

    A link that leads to itself counts as such. Raises `DataError` for a file that is missing, unreadable, or not
    below `root`.
    """
    named = sorted({(_relative(root, file), file) for file in files})
    total = hashlib.sha256(b"histobench content 1 full\n" if full else b"histobench content 2 quick\n")
    contents = _Contents(root if remember else None, full=full)
    for name, file in named:
        try:
            total.update(f"{name}\0{file.stat().st_size}\0".encode())
            total.update(contents.of(file))
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link to itself holds nothing; who reads it names and leaves it out
                total.update(f"{name}\0loop\0".encode())
                continue
            reason = error.strerror or error
            raise DataError(f"cannot read {file} for the content digest: {reason}") from error
    contents.keep()
    return total.hexdigest()[:32]


def file_digests(folder: Path) -> dict[Path, str]:
    """The SHA-256 of every byte of each file below a folder, remembered as `content_digest` does.

    Raises `DataError` for a file that is unreadable.
    """
    contents = _Contents(folder, full=True)
    digests = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            digests[file] = contents.of(file).hex()
        except OSError as error:
            raise DataError(f"cannot read {file} for its digest: {error.strerror or error}") from error
    contents.keep()
    return digests


def full_digest(dataset: Dataset) -> str:
    """The full content digest of every file a dataset reads."""
    return content_digest(dataset.root, dataset.files(), full=True)


def _relative(root: Path, file: Path) -> str:
    try:
        return unicodedata.normalize("NFC", file.relative_to(root).as_posix())
    except ValueError:
        raise DataError(f"{file} does not lie below the data root {root}") from None


class _Contents:
    """Digests of files, remembered for one folder by size and times where a folder is given."""

    def __init__(self, folder: Path | None, *, full: bool) -> None:
        self._full, self._home, self._now = full, None, time.time()
        if folder is not None:
            name = hashlib.sha256(f"{folder.resolve()} {'full' if full else 'quick'}".encode()).hexdigest()[:32]
            self._home = cache_home() / "digests" / f"{name}.json"
        self._known = _remembered(self._home)
        self._seen: dict[str, list[int | str]] = {}

    def of(self, file: Path) -> bytes:
        stat = file.stat()
        stamp: list[int | str] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        before = self._known.get(str(file))
        content = str(before[3]) if before is not None and before[:3] == stamp else self._read(file, stat.st_size)
        if max(stat.st_mtime, stat.st_ctime) < self._now - SETTLED:
            self._seen[str(file)] = [*stamp, content]
        return bytes.fromhex(content)

    def keep(self) -> None:
        """Write down what was read; a cache that cannot be written costs the time to read again."""
        if self._home is None or self._seen.items() <= self._known.items():
            return
        from benchmark.storage import whole_file

        with suppress(OSError), whole_file(self._home) as temporary:
            temporary.write_text(json.dumps(self._known | self._seen), encoding="utf-8")

    def _read(self, file: Path, size: int) -> str:
        digest = hashlib.sha256()
        for chunk in _everything(file) if self._full or size <= WHOLE else _samples(file, size):
            digest.update(chunk)
        return digest.hexdigest()


def _remembered(home: Path | None) -> dict[str, list[int | str]]:
    if home is None:
        return {}
    try:
        kept = json.loads(home.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or damaged: only the time to read again is lost
        return {}
    sound = isinstance(kept, dict) and all(
        isinstance(entry, list) and len(entry) == 4 and re.fullmatch("[0-9a-f]{64}", str(entry[3]))
        for entry in kept.values()
    )
    return kept if sound else {}


def _everything(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _samples(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        for sample in range(SAMPLES):
            stream.seek(sample * (size - BLOCK) // (SAMPLES - 1))
            yield stream.read(BLOCK)
