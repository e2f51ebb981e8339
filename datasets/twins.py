"""Tiles by their name: one that lies there twice is refused, for nothing tells which of the two is meant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.errors import DataError


def one_per_name(files: Iterable[Path], root: Path) -> dict[str, Path]:
    """Name without ending → file. Raises `DataError` where two files have one name."""
    there: dict[str, Path] = {}
    for file in files:
        if (twin := there.setdefault(file.stem, file)) != file:
            first, second = (one.relative_to(root).as_posix() for one in (twin, file))
            raise DataError(f"{root} holds both {first} and {second}", fix=f"remove one of the two from {root}")
    return there
