"""The GlaS folder: where it is, which images it holds, and what `Grade.csv` says of them. Nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

from ..tables import Row, read_table

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
    content = f"holds {_some(held)}" if held else "is empty"
    looked = ", ".join(f"{folder.name}/" for folder in inside)
    msg = f"data root {root} {content}; expected train_1.bmp (or .png), train_1_anno.bmp … and {TABLE} in {looked}"
    raise DataError(msg, fix=_OBTAIN)


def read_cases(folder: Path) -> tuple[list[Case], tuple[str, ...]]:
    """Every image of the folder, train before testA before testB, by number; and what the table's reader mended.

    Raises `DataError`, naming the files, when images, label images and rows of the table do not match one to one.
    """
    pictures = _pictures(folder)
    rows, notes = _read_grades(folder / TABLE)
    images = {name: file for name, file in pictures.items() if not name.endswith("_anno")}
    masks = {name.removesuffix("_anno"): file for name, file in pictures.items() if name.endswith("_anno")}
    _match(folder, "have no label image", images, masks, "put NAME_anno.bmp (or .png) beside each of them")
    _match(folder, "have a label image but no image", masks, images, "put NAME.bmp (or .png) beside each of them")
    _match(folder, f"have no row in {TABLE}", images, rows, f"restore the official {TABLE}, or remove the images")
    _match(folder, f"have a row in {TABLE} but no image", rows, images, "restore the images from the official archive")
    names = sorted(images, key=_order)
    keys = [name.lower() for name in COLUMNS[1:]]
    return [Case(name, images[name], masks[name], *(rows[name][key] for key in keys)) for name in names], notes


def _pictures(folder: Path) -> dict[str, Path]:
    """Stem → file of every image and label image. Raises `DataError` when one appears twice."""
    pictures: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in SUFFIXES or not _NAME.fullmatch(file.stem.removesuffix("_anno")):
            continue
        if twin := pictures.get(file.stem):
            msg = f"{folder} holds both {twin.name} and {file.name}"
            raise DataError(msg, fix=f"remove one of the two from {folder}")
        pictures[file.stem] = file
    return pictures


def _read_grades(path: Path) -> tuple[dict[str, Row], tuple[str, ...]]:
    """Name → its row, and notes."""
    if not path.is_file():
        msg = f"{path} is missing; expected a table with the columns {', '.join(COLUMNS)}"
        raise DataError(msg, fix=f"restore {TABLE} from the official archive")
    table = read_table(path, COLUMNS, fix=f"restore {TABLE} from the official archive")
    rows: dict[str, Row] = {}
    for row in table.rows:
        _check_row(path, row)
        if twin := rows.get(row["name"]):
            raise DataError(
                f"{row.where}: {row['name']!r} has a row already, in {twin.where}",
                fix=f"edit {path}: remove one of the two rows",
            )
        rows[row["name"]] = row
    return rows, table.notes


def _check_row(path: Path, row: Row) -> None:
    fix = f"edit {path}, {row.where.partition(', ')[2]}: {', '.join(COLUMNS)}"
    name, patient, grade = (row[column.lower()] for column in COLUMNS[:3])
    if not _NAME.fullmatch(name):
        raise DataError(f"{row.where}: unknown name {name!r}; expected train_N, testA_N or testB_N", fix=fix)
    if not patient:
        raise DataError(f"{row.where}: {name!r} has no patient ID", fix=fix)
    if grade not in GRADES:
        raise DataError(f"{row.where}: grade of {name!r} is {grade!r}; expected {' or '.join(GRADES)}", fix=fix)


def _match(folder: Path, fault: str, given: Iterable[str], wanted: Iterable[str], fix: str) -> None:
    lacking = sorted(set(given) - set(wanted), key=_order)
    if lacking:
        raise DataError(f"{len(lacking)} of the images in {folder} {fault}: {_some(lacking)}", fix=fix)


def _order(name: str) -> tuple[int, int]:
    part, _, number = name.partition("_")
    return PARTS.index(part), int(number)


def _some(names: list[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def image_fault(path: Path) -> str | None:
    """Why an image cannot be used, seen from its header and length without decoding it; None when it can."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            kind, _, offset, layout = image.tile[0]
            rows = image.height * int(layout[1]) if kind == "raw" and isinstance(layout, tuple) else 0
            if path.stat().st_size < offset + rows:
                return f"{path} is cut short"
        if path.suffix.lower() == ".png" and b"IEND" not in path.read_bytes()[-12:]:
            return f"{path} is cut short"
    except (OSError, SyntaxError, ValueError, IndexError, Image.DecompressionBombError) as error:
        told = error.strerror if isinstance(error, OSError) else None
        return f"{path} cannot be read: {told or error}"
    return None
