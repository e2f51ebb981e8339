"""Paths and ids that a manifest may hold: inside the data root, and fit to name files."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from benchmark.file_names import FORBIDDEN, LONGEST

_DRIVE = re.compile(r"[A-Za-z]:/")

ALLOWED = f'a file name of at most {LONGEST} bytes: no / \\ : * ? " < > | and no dot at its beginning or end'
"""What an id is, in words."""


def is_id(text: str) -> bool:
    """Whether a text can name files in every folder and on every system: ids of slides become file names."""
    dots = text.startswith(".") or text.endswith(".")
    return bool(text) and not dots and not FORBIDDEN.search(text) and len(text.encode()) <= LONGEST


def proper_id(text: str) -> str:
    """An id as near to the text as can be: characters that no file name may hold become underscores."""
    return FORBIDDEN.sub("_", nfc(text)).strip(". ").encode()[:LONGEST].decode(errors="ignore") or "_"


def inside(root: Path, text: str) -> Path | None:
    """The path below `root` that `text` names, absolute or relative to it; None for one that lies elsewhere.

    Only the words of a relative path count: a link inside `root` may lead anywhere, for slides are often kept on
    another disk. An absolute path is inside when one of the folders it names is the root.
    """
    words = os.path.normpath(nfc(text).replace("\\", "/"))
    if _DRIVE.match(words):
        return None
    if Path(words).is_absolute():
        return _below(root, Path(words))
    if words in (".", "..") or words.startswith("../"):
        return None
    return root / words


def _below(root: Path, path: Path) -> Path | None:
    for folder in path.parents:
        if nfc(str(folder)) == nfc(str(root)) or (folder.is_dir() and root.is_dir() and folder.samefile(root)):
            return root / path.relative_to(folder)
    return None


def on_disk(root: Path, path: Path) -> Path:
    """`path`, which is below `root`, as the disk spells it: names are the same when their Unicode NFC forms are."""
    spelled = root
    for part in path.relative_to(root).parts:
        child = spelled / part
        spelled = child if _exists(child) else spelled / _names(spelled).get(nfc(part), part)
    return spelled


def other_case(root: Path, path: Path) -> Path | None:
    """A file below `root` whose path differs from that of a missing one in upper and lower case only."""
    spelled = root
    for part in path.relative_to(root).parts:
        match = next((name for known, name in _names(spelled).items() if known.lower() == nfc(part).lower()), None)
        if match is None:
            return None
        spelled /= match
    return spelled if is_file(spelled) else None


def is_file(path: Path) -> bool:
    """Whether a file is there; no name is too long or too odd to be asked for."""
    try:
        return path.is_file()
    except OSError:
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than any file's
        return False


def nfc(text: str) -> str:
    """The text in the one Unicode form in which names are compared."""
    return unicodedata.normalize("NFC", text)


def _names(folder: Path) -> dict[str, str]:
    """Name in NFC → name on the disk, of everything in a folder."""
    try:
        return {nfc(name): name for name in sorted(entry.name for entry in folder.iterdir())}
    except OSError:
        return {}
