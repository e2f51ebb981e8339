"""The GlaS folder: where it is, which images it holds, and what `Grade.csv` says of them. Nothing is decoded."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

OFFICIAL_FOLDER = "Warwick QU Dataset (Released 2016_07_08)"
"""The folder inside the official archive."""

TABLE = "Grade.csv"
COLUMNS = ("name", "patient ID", "grade (GlaS)", "grade (Sirinukunwattana et al. 2015)")
"""The official header; the release has blanks around some of the names."""

PARTS = ("train", "testA", "testB")
GRADES = ("benign", "malignant")
SUFFIXES = (".bmp", ".png")

_NAME = re.compile(rf"({'|'.join(PARTS)})_(\d+)")
_OBTAIN = "bench data info glas   (how to obtain it), or bench data synth glas --out DIR"


@dataclass(frozen=True)
class Case:
    """One image with its label image and its row of `Grade.csv`."""

    name: str
    image: Path
    mask: Path
    patient: str
    grade: str
    subtype: str
    """The finer grade of Sirinukunwattana et al. 2015, such as 'moderately differentiated'."""

    @property
    def part(self) -> str:
        """'train', 'testA' or 'testB'."""
        return self.name.partition("_")[0]


def find_folder(root: Path) -> Path:
    """The folder with the images: `root`, or the official folder or `glas` inside it.

    Raises `DataError` when `root` is missing, not a folder or empty, or when no image is found.
    """
    if not root.exists():
        raise DataError(f"data root {root} does not exist", fix=_OBTAIN)
    if not root.is_dir():
        raise DataError(f"data root {root} is a file; expected the folder that holds {TABLE}", fix=_OBTAIN)
    inside = [root, root / OFFICIAL_FOLDER, root / "glas"]
    try:
        for folder in inside:
            if folder.is_dir() and ((folder / TABLE).is_file() or _pictures(folder)):
                return folder
        held = sorted(entry.name for entry in root.iterdir())
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be read: permission denied", fix=f"ls -ld {root}") from error
    what = f"holds {_some(held)}" if held else "is empty"
    looked = ", ".join(f"{folder.name}/" for folder in inside)
    msg = f"data root {root} {what}; expected train_1.bmp (or .png), train_1_anno.bmp … and {TABLE} in {looked}"
    raise DataError(msg, fix=_OBTAIN)


def read_cases(folder: Path) -> list[Case]:
    """Every image of the folder, train before testA before testB, by number.

    Raises `DataError`, naming the files, when images, label images and rows of the table do not match one to one.
    """
    pictures = _pictures(folder)
    rows = _read_table(folder / TABLE)
    images = {name: file for name, file in pictures.items() if not name.endswith("_anno")}
    masks = {name.removesuffix("_anno"): file for name, file in pictures.items() if name.endswith("_anno")}
    _match(folder, "have no label image", images, masks, "put NAME_anno.bmp (or .png) beside each of them")
    _match(folder, "have a label image but no image", masks, images, "put NAME.bmp (or .png) beside each of them")
    _match(folder, f"have no row in {TABLE}", images, rows, f"restore the official {TABLE}, or remove the images")
    _match(folder, f"have a row in {TABLE} but no image", rows, images, "restore the images from the official archive")
    return [Case(name, images[name], masks[name], *rows[name]) for name in sorted(images, key=_order)]


def _pictures(folder: Path) -> dict[str, Path]:
    """Stem → file of every image and label image. Raises `DataError` when one is there twice."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in SUFFIXES or not _NAME.fullmatch(file.stem.removesuffix("_anno")):
            continue
        if twin := found.get(file.stem):
            msg = f"{folder} holds both {twin.name} and {file.name}: which one is meant?"
            raise DataError(msg, fix=f"remove one of the two from {folder}")
        found[file.stem] = file
    return found


def _read_table(path: Path) -> dict[str, tuple[str, str, str]]:
    """Name → (patient, grade, subtype)."""
    if not path.is_file():
        msg = f"{path} is missing; expected a table with the columns {', '.join(COLUMNS)}"
        raise DataError(msg, fix="restore Grade.csv from the official archive")
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of comma-separated text: {error}", fix=_restore(path)) from error
    header = tuple(field.strip() for field in lines[0]) if lines else ()
    if header != COLUMNS:
        msg = f"{path}, line 1: expected the columns {', '.join(COLUMNS)}; got {', '.join(header) or 'nothing'}"
        raise DataError(msg, fix=_restore(path))
    rows: dict[str, tuple[str, str, str]] = {}
    for number, line in enumerate(lines[1:], start=2):
        fields = [field.strip() for field in line]
        if any(fields):
            _check_row(f"{path}, line {number}", fields, rows)
            rows[fields[0]] = (fields[1], fields[2], fields[3])
    return rows


def _check_row(where: str, fields: list[str], known: Mapping[str, object]) -> None:
    fix = f"correct the row: {', '.join(COLUMNS)}"
    if len(fields) != len(COLUMNS):
        raise DataError(f"{where}: expected {len(COLUMNS)} fields, got {len(fields)}", fix=fix)
    name, patient, grade, _ = fields
    if not _NAME.fullmatch(name):
        raise DataError(f"{where}: unknown name {name!r}; expected train_N, testA_N or testB_N", fix=fix)
    if name in known:
        raise DataError(f"{where}: {name!r} has a row already", fix="remove one of the two rows")
    if not patient:
        raise DataError(f"{where}: {name!r} has no patient ID", fix=fix)
    if grade not in GRADES:
        raise DataError(f"{where}: grade of {name!r} is {grade!r}; expected {' or '.join(GRADES)}", fix=fix)


def _match(folder: Path, fault: str, given: Iterable[str], wanted: Iterable[str], fix: str) -> None:
    lacking = sorted(set(given) - set(wanted), key=_order)
    if lacking:
        raise DataError(f"{len(lacking)} of the images in {folder} {fault}: {_some(lacking)}", fix=fix)


def _order(name: str) -> tuple[int, int]:
    part, _, number = name.partition("_")
    return PARTS.index(part), int(number)


def _restore(path: Path) -> str:
    return f"restore {path.name} from the official archive"


def _some(names: list[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
