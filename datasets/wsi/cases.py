"""The slides of a set as its folder shows them, before anything is opened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.dataset import SYNTHETIC_MARK
from benchmark.errors import DataError

DEPTH = 4
"""Folders below the root in which files are looked for."""


@dataclass(frozen=True)
class Case:
    """A slide that the set should have. Nothing is decoded.

    `image`, `annotation`: its files, None where there is none. `part`: its split, where the set or a table says it,
    else empty. `lesion`: what the folder or the table says, not the mask; None when nothing says it. `exhaustive`:
    False where the annotation is known to leave lesions out. `fault`: why the slide cannot be used, as far as names
    alone tell. `mpp`: microns per pixel that a table gives, instead of the file's. `classes`: what the names in its
    annotation mean, as the option of that name. `where`: file and line of its row. `relabelled`: how another label
    came about, in words. `left_out`: why the options leave the slide out.
    """

    id: str
    image: Path | None
    annotation: Path | None
    patient: str
    part: str
    lesion: bool | None
    exhaustive: bool = True
    fault: str | None = None
    mpp: float | None = None
    classes: str = ""
    where: str = ""
    relabelled: str = ""
    left_out: str = ""

    @property
    def files(self) -> list[Path]:
        """The files that are there."""
        return [file for file in (self.image, self.annotation) if file is not None]


@dataclass(frozen=True)
class Index:
    """A whole data folder. `tables`: further files that are read. `notes`: what was ignored or mended."""

    root: Path
    cases: tuple[Case, ...]
    tables: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def walk(root: Path) -> Iterator[Path]:
    """Every file at most `DEPTH` folders below `root`, in a fixed order; hidden ones are ignored."""
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


def keep_one(files: dict[str, Path], name: str, file: Path) -> None:
    """Enter `file` under `name`. Raises `DataError` when there is one already."""
    if twin := files.get(name):
        raise DataError(f"{name} appears twice: {twin} and {file}", fix=f"move one of {name} away")
    files[name] = file


def pairing_fault(image: Path | None, annotation: Path | None, lesion: bool | None) -> str | None:
    """Why a slide and its annotation cannot be used together; None when they can."""
    if image is None:
        beside = f", though its annotation {annotation.name} is there" if annotation else ""
        return f"the slide file does not exist{beside}"
    if lesion is None:
        return f"{image.name}: its label is not known"
    if lesion and annotation is None:
        return f"{image.name} has no annotation"
    return None


def with_patients(cases: Sequence[Case], patients: Mapping[str, str]) -> list[Case]:
    """The cases with the patients that the mark of a miniature names."""
    return [replace(case, patient=patients.get(case.id, case.patient)) for case in cases]


def numbered(prefix: str, numbers: str) -> tuple[str, ...]:
    """Names of slides: the prefix before each of the numbers."""
    return tuple(f"{prefix}{number}" for number in numbers.split())


def read_mark(root: Path, name: str) -> Mapping[str, str]:
    """Slide id → patient of a miniature; empty for a real set. Raises `DataError` for a mark that cannot be read."""
    mark = root / SYNTHETIC_MARK
    if not mark.is_file():
        return {}
    fix = f"bench data synth {name} --out DIR"
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{mark} is not the mark of a miniature: {error}", fix=fix) from error
    patients = content.get("patients") if isinstance(content, dict) else None
    if not isinstance(patients, dict) or not all(isinstance(value, str) for value in patients.values()):
        raise DataError(f"{mark} names no patients: it is not a miniature of {name}", fix=fix)
    return patients
