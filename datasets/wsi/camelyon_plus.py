"""CAMELYON+: slide labels that pathologists gave anew to the 1399 slides of CAMELYON16 and CAMELYON17.

Ling et al., Comprehensive benchmark dataset for pathological lymph node metastasis in breast cancer sections,
Scientific Data 12 (2025), https://doi.org/10.1038/s41597-025-05586-5; data: https://doi.org/10.57760/sciencedb.16442.
Its table `Camelyon+(4-classes).xlsx` has the columns slide and label; saved as CSV it is read here. Slides of low
quality were taken out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

from ..tables import Row, Table, read_table, whole_number
from .label_words import known_word

COLUMNS = ("slide", "label")
LESIONS = ("itc", "micro", "macro")
"""Isolated tumour cells, micro- and macrometastases: all hold tumour, so all are lesion."""
HERE = "a CSV file with the columns slide and label, as Camelyon+(4-classes).xlsx has them"


@dataclass(frozen=True)
class PlusLabel:
    """The label of a slide. `word`: as the table has it. `where`: file and line."""

    lesion: bool
    word: str
    where: str


@dataclass(frozen=True)
class PlusLabels:
    """Slide → label. `path`: the table. `notes`: what was mended or passed over in it."""

    path: Path
    slides: dict[str, PlusLabel]
    notes: tuple[str, ...]


def read_plus_labels(path: Path, slide_id: Callable[[str], str | None]) -> PlusLabels:
    """Read the labels of the slides that `slide_id` knows by name; the others (CAMELYON17's) are passed over.

    Raises `DataError` for other columns, an unknown label, a slide with two labels, or when no slide is known.
    """
    fix = f"--set labels=FILE: {HERE}"
    table = read_table(path, COLUMNS, fix=fix)
    _check_columns(table, fix)
    labels: dict[str, PlusLabel] = {}
    passed = 0
    for row in table.rows:
        name = slide_id(Path(row["slide"]).stem)
        if name is None:
            passed += 1
            continue
        label = PlusLabel(_lesion(row, fix), row["label"], row.where)
        if labels.setdefault(name, label).lesion != label.lesion:
            first = labels[name]
            msg = f"{row.where}: {name} is {label.word!r}, but {first.word!r} in {first.where}"
            raise DataError(msg, fix=f"correct {path.name}")
    if not labels:
        msg = f"{path}: none of its {len(table.rows)} rows names a slide of CAMELYON16, such as normal_001 or test_001"
        raise DataError(msg, fix=fix)
    others = (f"{path.name}: {passed} rows of other slides are passed over",) if passed else ()
    return PlusLabels(path, labels, (*table.notes, *others))


def _check_columns(table: Table, fix: str) -> None:
    unknown = [column for column in table.columns if column not in COLUMNS]
    if unknown:
        msg = f"{table.path} has columns that are not known: {', '.join(unknown)}; expected slide and label alone"
        raise DataError(msg, fix=fix)


def _lesion(row: Row, fix: str) -> bool:
    word = row["label"].lower()
    if word in LESIONS:
        return True
    lesion = known_word(whole_number(word) or word)
    if lesion is None:
        msg = f"{row.where}, column label: {row['label']!r} is not known; expected negative, {', '.join(LESIONS)}"
        raise DataError(f"{msg}, or the known words for normal and tumour", fix=fix)
    return lesion
