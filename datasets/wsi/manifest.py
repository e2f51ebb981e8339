"""The manifest of a folder of slides: one row per slide. Nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.annotations import read_classes
from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.slides.facts import PLAUSIBLE_MPP

from .binary import read_labels
from .table import PARQUET, Row, read_table, refuse_rows

NAMES = ("manifest.csv", "manifest.parquet")
REQUIRED = ("slide", "patient", "label")
COLUMNS = (*REQUIRED, "split", "annotation", "mpp", "id")
READ = (*COLUMNS, "classes")
"""Columns that are read; a proposed manifest has the usual ones alone."""


@dataclass(frozen=True)
class Entry:
    """One row. `where`: file and line. `split`, `mpp`, `classes`: None where the manifest leaves it open."""

    where: str
    id: str
    image: Path
    annotation: Path | None
    patient: str
    positive: bool
    split: Split | None
    mpp: float | None
    classes: str | None = None


@dataclass(frozen=True)
class Manifest:
    """All rows by id. `classes`: the names of the labels, the negative one first. `notes`: what to know."""

    path: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, str]
    notes: tuple[str, ...]


def read_manifest(root: Path, name: str | None, negative: str | None, positive: str | None) -> Manifest:
    """Read the manifest `name` in `root` (None: `manifest.csv` or `manifest.parquet`), and check row against row.

    Raises `DataError` naming file and line for all that cannot be meant: a column or cell that is lacking, an
    unknown label or split, a path outside `root`, an annotation that is not there, a resolution that is none, a
    slide or id that is there twice, splits for some rows only, a patient in two splits.
    """
    path = find_manifest(root, name)
    table = read_table(path, REQUIRED, fix=f"bench data init slides {root}   (writes a manifest to complete)")
    edit = f"edit {path}"
    lacking = [f"{row.where}: no {column}" for row in table.rows for column in REQUIRED if not row[column]]
    refuse_rows(lacking, f"{edit}: every row has a slide, a patient and a label")
    labels, classes = read_labels(table.rows, negative, positive)
    entries = [_entry(root, path, row, label) for row, label in zip(table.rows, labels, strict=True)]
    _check_once(entries, path)
    _check_splits(entries, path)
    if not any(entry.image.is_file() for entry in entries):
        msg = f"none of the {len(entries)} slides of {path} is there; the first: {entries[0].where}: {entries[0].image}"
        raise DataError(msg, fix=f"{edit}: paths are relative to {root}")
    unknown = [column for column in table.columns if column not in READ]
    notes = [f"{path.name}: columns passed over: {', '.join(unknown)}"] if unknown else []
    return Manifest(path, tuple(sorted(entries, key=lambda entry: entry.id)), classes, tuple(notes))


def find_manifest(root: Path, name: str | None) -> Path:
    """The manifest's path. Raises `DataError` when it is not there, or two are and none is named."""
    if name is not None:
        path = inside(root, name)
        if path is None or path.suffix.lower() not in (".csv", PARQUET):
            msg = f"manifest={name}: expected the name of a .csv or .parquet file inside {root}"
            raise DataError(msg, fix="--set manifest=manifest.csv")
        if not path.is_file():
            raise DataError(f"the manifest {path} is not there", fix=f"ls {path.parent}")
        return path
    found = [root / known for known in NAMES if (root / known).is_file()]
    if not found:
        msg = f"data root {root} holds no {' or '.join(NAMES)}"
        raise DataError(msg, fix=f"bench data init slides {root}   (writes one to complete), or --set manifest=FILE")
    if len(found) > 1:
        raise DataError(
            f"{root} holds both {' and '.join(NAMES)}; which one is meant?", fix="--set manifest=manifest.csv"
        )
    return found[0]


def inside(root: Path, text: str) -> Path | None:
    """The path below `root` that `text` names; None for an absolute one or one that leaves it.

    Only the words count: a link inside `root` may lead anywhere, for slides are often kept on another disk.
    """
    relative = os.path.normpath(text.replace("\\", "/"))
    if Path(relative).is_absolute() or relative in (".", "..") or relative.startswith("../"):
        return None
    return root / relative


def _entry(root: Path, path: Path, row: Row, positive: bool) -> Entry:
    image, annotation = (_file(root, path, row, column) for column in ("slide", "annotation"))
    assert image is not None
    if annotation is not None and not annotation.is_file():
        msg = f"{row.where}: the annotation {annotation} is not there"
        raise DataError(msg, fix=f"edit {path}: name another file, or leave the cell empty")
    return Entry(
        where=row.where,
        id=row["id"] or image.stem,
        image=image,
        annotation=annotation,
        patient=row["patient"],
        positive=positive,
        split=_split(path, row),
        mpp=_mpp(path, row),
        classes=_classes(path, row),
    )


def _file(root: Path, path: Path, row: Row, column: str) -> Path | None:
    if not row[column]:
        return None
    file = inside(root, row[column])
    if file is None:
        msg = f"{row.where}: the {column} {row[column]} lies outside {root}; expected a path relative to it"
        raise DataError(msg, fix=f"edit {path}; a link inside {root} to another disk is read")
    return file


def _split(path: Path, row: Row) -> Split | None:
    text = row["split"].lower()
    if text and text not in {str(split) for split in Split}:
        msg = (
            f"{row.where}: the split {row['split']!r} is not known; expected {', '.join(Split)}, or nothing in any row"
        )
        raise DataError(msg, fix=f"edit {path}")
    return Split(text) if text else None


def _mpp(path: Path, row: Row) -> float | None:
    if not row["mpp"]:
        return None
    low, high = PLAUSIBLE_MPP
    try:
        value = float(row["mpp"])
    except ValueError:
        value = 0.0
    if not low <= value <= high:
        msg = f"{row.where}: mpp is {row['mpp']!r}; expected microns per pixel, a number from {low:g} to {high:g}"
        raise DataError(msg, fix=f"edit {path}: 0.25 is usual at 40×, 0.5 at 20×; empty: what the file says")
    return value


def _classes(path: Path, row: Row) -> str | None:
    try:
        read_classes(row["classes"])
    except ValueError as error:
        raise DataError(f"{row.where}: {error}", fix=f"edit {path}") from None
    return row["classes"] or None


def _check_once(entries: Sequence[Entry], path: Path) -> None:
    files: dict[Path, Entry] = {}
    ids: dict[str, Entry] = {}
    for entry in entries:
        twin = files.setdefault(entry.image.resolve(), entry)
        if twin is not entry:
            msg = f"{entry.where}: the slide {entry.image.name} is there twice, also in {twin.where}"
            raise DataError(msg, fix=f"edit {path}: leave one of the two rows")
        twin = ids.setdefault(entry.id, entry)
        if twin is not entry:
            msg = f"{entry.where}: the id {entry.id!r} is there twice, also in {twin.where}"
            raise DataError(msg, fix=f"edit {path}: give each slide an id of its own in the column id")


def _check_splits(entries: Sequence[Entry], path: Path) -> None:
    filled = [entry for entry in entries if entry.split is not None]
    if not filled:
        return
    if len(filled) < len(entries):
        first = next(entry for entry in entries if entry.split is None)
        msg = f"{first.where}: no split, but {len(filled)} of {len(entries)} rows have one"
        raise DataError(msg, fix=f"edit {path}: fill the column split in every row or in none")
    for split in (Split.TRAIN, Split.TEST):
        if not any(entry.split is split for entry in entries):
            msg = f"{path} names no {split} slides; it has {_counts(entry.split for entry in filled)}"
            raise DataError(msg, fix=f"edit {path}: some rows with split={split}, or the column split empty")
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.patient, entry)
        if other.split is not entry.split:
            msg = f"{entry.where}: patient {entry.patient!r} is in {entry.split}, but in {other.split} in {other.where}"
            raise DataError(msg, fix=f"edit {path}: all slides of a patient are in one split")


def _counts(splits: Iterable[Split | None]) -> str:
    names = [str(split) for split in splits]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
