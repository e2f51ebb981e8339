"""Writing a folder so that it is there as a whole or not at all, and nothing of the user's is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.dataset import SYNTHETIC_MARK
from benchmark.errors import DataError
from benchmark.workshop import workshop


@contextmanager
def fresh_folder(root: Path, ours: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder beside `root`; at the end of the block it takes the place of `root`.

    `root` may be missing, empty, or an earlier miniature: marked as synthetic, and every file in it one that
    `ours` knows by name. That one is replaced; everything else is refused with `DataError` and left alone.
    If the block fails, `root` stays as it was.
    """
    root = root.resolve()
    _refuse_strangers(root, ours)
    try:
        with workshop(root) as folder:
            new, old = folder / "new", folder / "old"
            new.mkdir()
            yield new
            if root.exists():
                _refuse_strangers(root, ours)
                root.replace(old)
            new.replace(root)
    except OSError as error:
        raise DataError(f"cannot write {root}: {error.strerror or error}", fix="name another folder") from error


def _refuse_strangers(root: Path, ours: Callable[[str], bool]) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise DataError(f"{root} is a file; expected a folder to write", fix="name another folder")
    names = sorted(entry.name for entry in root.iterdir())
    if names and SYNTHETIC_MARK not in names:
        msg = f"{root} is not empty ({names[0]}, …) and no miniature: nothing is overwritten"
        raise DataError(msg, fix="name another folder")
    strangers = [name for name in names if name != SYNTHETIC_MARK and not ours(name)]
    if strangers:
        msg = f"{root} is a miniature but also holds {strangers[0]}: nothing is overwritten"
        raise DataError(msg, fix=f"move {strangers[0]} away, or name another folder")
