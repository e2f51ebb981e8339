"""The manifest of a folder of slides: one row per slide. Nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.annotations import read_classes
from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.slides.resolution import PLAUSIBLE_MPP

from ..tables import PARQUET, Row, number, read_table, refuse_rows, whole_number
from .cases import Case, Index
from .label_words import read_labels
from .manifest_paths import ALLOWED, inside, is_file, is_id, nfc, on_disk, other_case

NAMES = ("manifest.csv", "manifest.parquet")
SUFFIXES = (".csv", ".tsv", ".txt", PARQUET)
REQUIRED = ("slide", "patient")
COLUMNS = (*REQUIRED, "label", "split", "annotation", "mpp", "id")
READ = (*COLUMNS, "classes")
"""Columns that are read; a proposed manifest has the usual ones alone."""


@dataclass(frozen=True)
class Manifest(Index):
    """`path`, `form`: the file, its encoding and separator. `classes`: names of the labels, the negative one first.

    `further`: id → column → text, of the columns that nothing is read from. A case's `part` is empty where the manifest
    names no splits.
    """

    path: Path = Path()
    form: str = ""
    classes: tuple[str, str] = ("", "")
    further: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entry:
    """A case and the place where its slide is, or should be."""

    case: Case
    path: Path


def read_manifest(root: Path, name: str | None, negative: str | None, positive: str | None) -> Manifest:
    """Read the manifest `name` in `root` (None: `manifest.csv` or `manifest.parquet`), and check row against row.

    Raises `DataError` naming file, line and column for all that cannot be meant: a column or cell that is lacking, an
    unknown label or split, a path outside `root`, a file name in other case than on the disk, an id that is no file
    name, an annotation that does not exist, an implausible resolution, a slide or id that appears twice, splits for
    some rows only, a patient in two splits or written in two ways.
    """
    path = find_manifest(root, name)
    table = read_table(path, REQUIRED, fix=f"bench data init slides {root}   (writes a manifest to complete)")
    edit = f"edit {path}"
    lacking = [f"{row.where}: no {column}" for row in table.rows for column in REQUIRED if not row[column]]
    refuse_rows(lacking, f"{edit}: every row has a slide and a patient")
    _check_labels(table.rows, edit)
    labels = read_labels(table.rows, negative, positive)
    entries = [_entry(root, path, row, label) for row, label in zip(table.rows, labels.positive, strict=True)]
    _check_once(entries, path)
    cases = [entry.case for entry in entries]
    _check_patients(cases, path)
    _check_splits(cases, path)
    if not any(case.image for case in cases):
        msg = f"none of the {len(cases)} slides of {path} is there; the first: {cases[0].where}: {entries[0].path}"
        raise DataError(msg, fix=f"{edit}: paths are relative to {root}")
    notes = [*table.notes, *(f"{path.name}: {note}" for note in (*labels.notes, *_decimal_commas(table.rows)))]
    unknown = [column for column in table.columns if column not in READ]
    notes += [f"{path.name}: columns that only group slides: {', '.join(unknown)}"] if unknown else []
    further = {
        case.id: {column: row[column] for column in unknown} for case, row in zip(cases, table.rows, strict=True)
    }
    cases = sorted(cases, key=lambda case: case.id)
    return Manifest(root, tuple(cases), (path,), tuple(notes), path, table.form, labels.classes, further)


def find_manifest(root: Path, name: str | None) -> Path:
    """The manifest's path. Raises `DataError` when it does not exist, or two are and none is named."""
    if name is not None:
        path = inside(root, name)
        if path is None or path.suffix.lower() not in SUFFIXES:
            msg = f"manifest={name}: expected the name of a {', '.join(SUFFIXES)} file inside {root}"
            raise DataError(msg, fix="--set manifest=manifest.csv")
        path = on_disk(root, path)
        if not path.is_file():
            raise DataError(f"the manifest {path} does not exist", fix=f"ls {path.parent}")
        return path
    present = [root / known for known in NAMES if (root / known).is_file()]
    if not present:
        msg = f"data root {root} holds no {' or '.join(NAMES)}"
        raise DataError(msg, fix=f"bench data init slides {root}   (writes one to complete), or --set manifest=FILE")
    if len(present) > 1:
        raise DataError(f"{root} holds both {' and '.join(NAMES)}", fix="--set manifest=manifest.csv")
    return present[0]


def _check_labels(rows: Sequence[Row], edit: str) -> None:
    """A slide without label may test and nothing else, and what outlines its lesions would be one."""
    for row in rows:
        if row["label"]:
            continue
        if row["annotation"]:
            raise DataError(f"{row.where}: an annotation and no label", fix=f"{edit}: write the label of the slide")
        if row["split"] and row["split"].lower() != Split.TEST:
            msg = f"{row.where}: no label, but split={row['split']}; a slide without label can only test"
            raise DataError(msg, fix=f"{edit}: write its label, or split=test")


def _entry(root: Path, path: Path, row: Row, positive: bool | None) -> _Entry:
    image, annotation = (_file(root, path, row, column) for column in ("slide", "annotation"))
    assert image is not None
    there = is_file(image)
    if annotation is not None and not is_file(annotation):
        msg = f"{row.where}: the annotation {annotation} does not exist"
        raise DataError(msg, fix=f"edit {path}: name another file, or leave the cell empty")
    case = Case(
        id=_id(path, row, image),
        image=image if there else None,
        annotation=annotation,
        patient=row["patient"],
        part=_split(path, row),
        lesion=positive,
        fault=None if there else f"the slide file {image} does not exist ({row.where})",
        mpp=_mpp(path, row),
        where=row.where,
        classes=_classes(path, row),
    )
    return _Entry(case, image)


def _file(root: Path, path: Path, row: Row, column: str) -> Path | None:
    if not row[column]:
        return None
    file = inside(root, row[column])
    if file is None:
        msg = f"{row.where}: the {column} {row[column]} lies outside {root}; expected a path inside it"
        raise DataError(msg, fix=f"edit {path}: a link inside {root} to another disk is read")
    file = on_disk(root, file)
    if not is_file(file) and (near := other_case(root, file)) is not None:
        msg = f"{row.where}: the {column} {row[column]} does not exist, but {near.relative_to(root)} is"
        raise DataError(msg, fix=f"edit {path}: write upper and lower case as in the name of the file")
    return file


def _id(path: Path, row: Row, image: Path) -> str:
    name = row["id"] or nfc(image.stem)
    if not is_id(name):
        told = "column id" if row["id"] else "column slide, whose file name is the id where the column id is empty"
        msg = f"{row.where}, {told}: the id {name!r} cannot name files; expected {ALLOWED}"
        raise DataError(msg, fix=f"edit {path}: give the slide another id in the column id")
    return name


def _split(path: Path, row: Row) -> str:
    text = row["split"].lower()
    if text and text not in {str(split) for split in Split}:
        msg = (
            f"{row.where}: the split {row['split']!r} is not known; expected {', '.join(Split)}, or nothing in any row"
        )
        raise DataError(msg, fix=f"edit {path}")
    return text


def _mpp(path: Path, row: Row) -> float | None:
    if not row["mpp"]:
        return None
    low, high = PLAUSIBLE_MPP
    value = number(row["mpp"])
    if value is None or not low <= value <= high:
        msg = f"{row.where}: mpp is {row['mpp']!r}; expected microns per pixel, a number from {low:g} to {high:g}"
        raise DataError(msg, fix=f"edit {path}: 0.25 is usual at 40×, 0.5 at 20×; empty: what the file says")
    return value


def _decimal_commas(rows: Sequence[Row]) -> list[str]:
    texts = [row["mpp"] for row in rows if "," in row["mpp"]]
    return [f"{len(texts)} values of mpp have a decimal comma: {texts[0]} is {number(texts[0]):g}"] if texts else []


def _classes(path: Path, row: Row) -> str:
    try:
        read_classes(row["classes"])
    except ValueError as error:
        raise DataError(f"{row.where}: {error}", fix=f"edit {path}") from None
    return row["classes"]


def _check_once(entries: Sequence[_Entry], path: Path) -> None:
    files: dict[str, Case] = {}
    ids: dict[str, Case] = {}
    for entry in entries:
        case = entry.case
        twin = files.setdefault(nfc(os.path.realpath(entry.path)), case)
        if twin is not case:
            msg = f"{case.where}: the slide {entry.path.name} appears twice, also in {twin.where}"
            raise DataError(msg, fix=f"edit {path}: leave one of the two rows")
        twin = ids.setdefault(case.id, case)
        if twin is not case:
            msg = f"{case.where}: the id {case.id!r} appears twice, also in {twin.where}"
            raise DataError(msg, fix=f"edit {path}: give each slide an id of its own in the column id")


def _check_patients(cases: Sequence[Case], path: Path) -> None:
    """Refuse `17` beside `17.0`: a spreadsheet wrote one patient in two ways, and they would count as two."""
    first = {case.patient: case for case in reversed(cases)}
    for case in cases:
        twin = first.get(whole_number(case.patient) or "")
        if twin is not None:
            msg = f"{case.where}, column patient: {case.patient!r}, but {twin.patient!r} in {twin.where}"
            raise DataError(f"{msg}: one patient or two?", fix=f"edit {path}: write each patient in one way")


def _check_splits(cases: Sequence[Case], path: Path) -> None:
    filled = [case for case in cases if case.part]
    if not filled:
        return
    if len(filled) < len(cases):
        first = next(case for case in cases if not case.part)
        msg = f"{first.where}: no split, but {len(filled)} of {len(cases)} rows have one"
        raise DataError(msg, fix=f"edit {path}: fill the column split in every row or in none")
    if not any(case.part == Split.TEST for case in cases):
        msg = f"{path} names no test slides; it has {_counts(case.part for case in filled)}"
        raise DataError(msg, fix=f"edit {path}: some rows with split=test, or the column split empty")
    seen: dict[str, Case] = {}
    for case in cases:
        other = seen.setdefault(case.patient, case)
        if other.part != case.part:
            msg = f"{case.where}: patient {case.patient!r} is in {case.part}, but in {other.part} in {other.where}"
            raise DataError(msg, fix=f"edit {path}: all slides of a patient are in one split")


def _counts(splits: Iterable[str]) -> str:
    names = list(splits)
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
