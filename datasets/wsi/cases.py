"""One slide of a set as the folder shows it, before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import DataError

DEPTH = 4
"""Folders below the root in which files are looked for."""


@dataclass(frozen=True)
class Case:
    """A slide that the set should have. Nothing is decoded.

    `image`, `annotation`: its files, None where there is none. `lesion`: what the folder or the table says, not
    the mask; None when nothing says it. `part`: train or test in the official split. `fault`: why it cannot be
    used, as far as names alone tell.
    """

    id: str
    image: Path | None
    annotation: Path | None
    patient: str
    part: str
    lesion: bool | None
    exhaustive: bool = True
    fault: str | None = None

    @property
    def files(self) -> list[Path]:
        """The files that are there."""
        return [file for file in (self.image, self.annotation) if file is not None]


@dataclass(frozen=True)
class Index:
    """A whole data folder. `tables`: further files that are read. `notes`: what a reader should know."""

    root: Path
    cases: tuple[Case, ...]
    tables: tuple[Path, ...] = ()
    notes: tuple[str, ...] = field(default=())


def walk(root: Path) -> Iterator[Path]:
    """Every file at most `DEPTH` folders below `root`, in a fixed order; hidden ones are passed over."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if len(Path(folder).relative_to(root).parts) >= DEPTH:
            inner.clear()
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def data_root(root: Path, name: str, folder: str) -> Path:
    """`root`, or `folder` inside it where that is the only thing of the set there.

    Raises `DataError` when `root` is missing, a file, empty, or may not be read.
    """
    obtain = f"bench data info {name}   (how to obtain it), or bench data synth {name} --out DIR"
    if not root.exists():
        raise DataError(f"data root {root} does not exist", fix=obtain)
    if not root.is_dir():
        raise DataError(f"data root {root} is a file; expected the folder of {name}", fix=obtain)
    try:
        if not any(root.iterdir()):
            raise DataError(f"data root {root} is empty; expected the slides of {name}", fix=obtain)
    except PermissionError as error:
        raise DataError(f"{root} cannot be read: permission denied", fix=f"ls -ld {root}") from error
    return root / folder if (root / folder).is_dir() else root


def keep_one(found: dict[str, Path], name: str, file: Path) -> None:
    """Enter `file` under `name`. Raises `DataError` when there is one already: which one is meant?"""
    if twin := found.get(name):
        raise DataError(
            f"{name} is there twice: {twin} and {file}; which one is meant?", fix=f"move one of {name} away"
        )
    found[name] = file


def pairing_fault(image: Path | None, annotation: Path | None, lesion: bool | None) -> str | None:
    """Why a slide and its annotation cannot be used together; None when they can."""
    if image is None:
        beside = f", though its annotation {annotation.name} is there" if annotation else ""
        return f"the slide file is not there{beside}"
    if lesion is None:
        return f"{image.name}: nothing says whether it holds a lesion"
    if lesion and annotation is None:
        return f"{image.name} has no annotation"
    return None


def with_patients(cases: list[Case], patients: Mapping[str, str]) -> list[Case]:
    """The cases with the patients that a miniature's mark names."""
    from dataclasses import replace

    return [replace(case, patient=patients.get(case.id, case.patient)) for case in cases]
