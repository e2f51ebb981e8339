"""Names that become files: ids of slides come from manifests and plug-ins and may hold anything."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.errors import DataError

LONGEST = 200
"""Bytes of a file name without its ending."""

FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
"""Characters that some file system refuses or reads as a path."""

_ESCAPED = re.compile(r'[/\\:*?"<>|%#=\x00-\x1f\x7f]|^\.|\.$')
_CODE = re.compile(r"=([0-9A-F]{2})")


def file_name(identifier: str, suffix: str = "") -> str:
    """The file name of an id, never a path.

    A character that no file name or address may hold is written as `=` and its code: `a/b` is `a=2Fb`. `id_of` is the
    inverse. Raises `DataError` for an empty id and for one of more than 200 bytes.
    """
    name = _ESCAPED.sub(lambda match: f"={ord(match[0]):02X}", identifier)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise DataError(f"the slide id {identifier!r} cannot name a file: it is no Unicode text") from None
    if not name or size > LONGEST:
        told = f"{identifier[:40]!r}…" if size > LONGEST else repr(identifier)
        raise DataError(f"the slide id {told} cannot name a file: it has {size} bytes, expected 1 to {LONGEST}")
    return name + suffix


def id_of(name: str, suffix: str = "") -> str:
    """The id that `file_name` made this name of."""
    return _CODE.sub(lambda match: chr(int(match[1], 16)), name.removesuffix(suffix))


def id_file(folder: Path, identifier: str, suffix: str) -> Path:
    """Where the file of an id is, in `folder`. Raises `DataError` like `file_name`."""
    return folder / file_name(identifier, suffix)
