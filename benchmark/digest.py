"""The content digest of a dataset: it depends on the files' bytes and names, not on where the folder is."""

from __future__ import annotations

import errno
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.dataset import Dataset

BLOCK = 4096
"""Bytes read at each place of a file by the quick digest."""

SAMPLES = 6
"""Blocks the quick digest reads of a file, evenly spread from the first to the last."""

CHUNK = 1 << 20


def content_digest(root: Path, files: Iterable[Path], *, full: bool = False) -> str:
    """SHA-256 over the names and contents of `files`, as 32 hexadecimal digits.

    Quick (the default): relative name, size, and `SAMPLES` blocks of each file, the first and the last among
    them; files of up to `SAMPLES * BLOCK` bytes are read whole. Full: every byte. Names are relative to `root`,
    written with `/` and in Unicode NFC, and sorted, so order, place and machine do not matter; a quick and a full
    digest are never equal. Memory is bounded by one chunk, not by the file.

    A link that leads to itself counts as such. Raises `DataError` for a file that is missing, unreadable, or not
    below `root`.
    """
    named = sorted({(_relative(root, file), file) for file in files})
    total = hashlib.sha256(b"histobench content 1 full\n" if full else b"histobench content 1 quick\n")
    for name, file in named:
        try:
            total.update(f"{name}\0{file.stat().st_size}\0".encode())
            total.update(_content(file, full))
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link to itself holds nothing; who reads it names and leaves it out
                total.update(f"{name}\0loop\0".encode())
                continue
            reason = error.strerror or error
            raise DataError(f"cannot read {file} for the content digest: {reason}") from error
    return total.hexdigest()[:32]


def full_digest(dataset: Dataset) -> str:
    """The full content digest of every file a dataset reads."""
    return content_digest(dataset.root, dataset.files(), full=True)


def _relative(root: Path, file: Path) -> str:
    try:
        return unicodedata.normalize("NFC", file.relative_to(root).as_posix())
    except ValueError:
        raise DataError(f"{file} does not lie below the data root {root}") from None


def _content(file: Path, full: bool) -> bytes:
    digest = hashlib.sha256()
    for chunk in _everything(file) if full else _samples(file):
        digest.update(chunk)
    return digest.digest()


def _everything(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= SAMPLES * BLOCK:
            yield stream.read()
            return
        for sample in range(SAMPLES):
            stream.seek(sample * (size - BLOCK) // (SAMPLES - 1))
            yield stream.read(BLOCK)
