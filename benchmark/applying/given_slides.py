"""Which slides a command was given: files, folders of slides, or a manifest."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

SLIDES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".svslide", ".bif", ".czi", ".dcm")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Given:
    """A slide of one's own: a name for its files, its path, and microns per pixel where a manifest gives them."""

    id: str
    path: Path
    mpp: float | None = None


def given_slides(places: Sequence[Path], annotations: Path | None = None) -> list[Given]:
    """The slides at these places, in the order given; a folder's are those directly in it, by name, hidden ones not.

    A slide is called like its file without the ending; files that differ in it alone keep it. Where two would be
    called alike, their folders are put before the name, as many as it takes. In the folder `annotations` a picture
    that is called like a slide is not one, but its annotation. A table (.csv, .tsv, .txt) has a column `slide`, with
    paths relative to it, and may have `mpp`.

    Raises `DataError` for a place that does not exist, a folder without slides, a table without paths.
    """
    paths: dict[Path, float | None] = {}
    for place in places:
        for path, mpp in _at(place, annotations):
            paths.setdefault(path.resolve(), mpp)
    names = _names(paths)
    return [Given(names[path], path, mpp) for path, mpp in paths.items()]


def _at(place: Path, annotations: Path | None) -> list[tuple[Path, float | None]]:
    if not place.exists():
        raise DataError(f"the slide {place} does not exist", fix=f"ls {place.parent}")
    if place.is_dir():
        visible = [file for file in sorted(place.iterdir()) if not file.name.startswith(".")]
        files = [file for file in visible if file.suffix.lower() in (*SLIDES, *IMAGES)]
        if not files:
            raise DataError(f"{place} holds no slide ({', '.join((*SLIDES, *IMAGES))})", fix="name the slides' files")
        if annotations is not None and place.resolve() == annotations.resolve():
            slides = {file.stem for file in files if file.suffix.lower() in SLIDES}
            files = [file for file in files if file.suffix.lower() in SLIDES or file.stem not in slides]
        return [(file, None) for file in files if file.is_file()]
    return _listed(place) if place.suffix.lower() in TABLES else [(place, None)]


def _listed(table: Path) -> list[tuple[Path, float | None]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the table of slides {table} cannot be read: {error}") from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    if not rows or "slide" not in rows[0]:
        msg = f"{table} has no column slide; its first line is {head[:80]!r}"
        raise DataError(msg, fix="expected a table with the columns slide, mpp (optional)")
    listed = []
    for number, row in enumerate(rows, start=2):
        name = (row.get("slide") or "").strip()
        if not name:
            raise DataError(f"{table}, line {number}: no slide", fix=f"edit {table}")
        path = table.parent / name
        if not path.is_file():
            raise DataError(f"{table}, line {number}: the slide {path} does not exist", fix=f"edit {table}")
        listed.append((path, stated_mpp((row.get("mpp") or "").strip(), f"{table}, line {number}")))
    return listed


def stated_mpp(text: str, where: str) -> float | None:
    """Microns per pixel as a cell of a table has them; None for an empty one. Raises `DataError`."""
    if not text:
        return None
    try:
        return plausible(float(text.replace(",", ".")), where)
    except ValueError:
        raise DataError(f"{where}: mpp is {text!r}, expected a number such as 0.25") from None


def plausible(mpp: float, where: str) -> float:
    """The resolution, or `DataError` where no microscope has it."""
    from benchmark.slides.resolution import PLAUSIBLE_MPP

    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:
        msg = f"{where}: mpp is {mpp:g}; expected microns per pixel, from {low:g} to {high:g}"
        raise DataError(msg, fix="0.25 is usual at 40×, 0.5 at 20×")
    return mpp


def _names(paths: Iterable[Path]) -> Mapping[Path, str]:
    """Path → the shortest end of it that no other path shares; with the file's ending where that alone differs."""
    waiting, depth, names = list(paths), 1, dict[Path, str]()
    alike = Counter(path.with_suffix("") for path in waiting)
    shown = {path: path if alike[path.with_suffix("")] > 1 else path.with_suffix("") for path in waiting}
    while waiting:
        ends: dict[str, list[Path]] = {}
        for path in waiting:
            parts = shown[path].parts[-depth:]
            ends.setdefault(unicodedata.normalize("NFC", "/".join(part.strip(os.sep) for part in parts)), []).append(
                path
            )
        for end, sharing in ends.items():
            exhausted = depth >= max(len(path.parts) for path in sharing)
            if len(sharing) == 1 or exhausted:
                names.update({path: end if len(sharing) == 1 else f"{end}{path.suffix}" for path in sharing})
        waiting = [path for path in waiting if path not in names]
        depth += 1
    return names
