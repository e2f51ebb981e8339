"""A draft of the manifest of a folder of slides, from the names of files and folders alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.slides import Slide
from benchmark.slides.facts import SlideFacts, probe, slide_facts

from .cases import walk
from .coarse_files import SUFFIXES as DRAWN
from .label_words import known_word
from .manifest import COLUMNS, NAMES
from .manifest_paths import is_id, nfc, proper_id
from .tcga_files import patient_of
from .wsi_verify import named

IMAGES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".svslide", ".bif", ".czi")
"""Files of whole-slide scanners; a plain image is no slide here, for it may be a mask or a thumbnail."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Folder name → split."""

_MASK = re.compile(r"[-_](mask|annotation|label)s?$", re.IGNORECASE)

OPENERS = 8
"""Slides opened at a time: mostly waiting for the disk."""


@dataclass(frozen=True)
class Template:
    """A table that a user completes: its columns and rows.

    `unreadable`: file → why, for images that cannot be opened; they have no row. `lacks`: what is still missing, in
    words, with the number of rows. `notes`: what was guessed or ignored.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    unreadable: Mapping[str, str]
    lacks: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


def propose(root: Path) -> Template:
    """A row per slide below `root` that OpenSlide opens. Raises `DataError` when there is none."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; expected one that holds slides", fix="name the folder of the slides")
    if (root / NAMES[1]).is_file():
        raise DataError(f"{root} already has a manifest, {NAMES[1]}", fix="move it away")
    files = list(walk(root))
    images = _images(files)
    with ThreadPoolExecutor(OPENERS) as pool:
        looked = list(pool.map(_look, images))
    facts = {file: own for file, own in zip(images, looked, strict=True) if isinstance(own, SlideFacts)}
    slides = [file for file, own in facts.items() if own.vendor is not None]
    unreadable = {_name(root, file): str(why) for file, why in zip(images, looked, strict=True) if file not in facts}
    if not slides:
        more = f"; images that cannot be read: {named(list(unreadable))}" if unreadable else ""
        msg = f"{root} holds no slide that OpenSlide opens (looked for {', '.join(IMAGES)}){more}"
        raise DataError(msg, fix="name the folder of the slides, at most 4 folders above them")
    drawn = _annotations(files, slides)
    same = Counter(nfc(file.stem) for file in slides)
    rows = tuple(_row(root, file, drawn.get(file, []), twin=same[nfc(file.stem)] > 1) for file in slides)
    plain = len(facts) - len(slides)
    notes = [f"{plain} plain TIFF images are ignored; add a row for each that is a slide"] if plain else []
    guessed = sum(patient_of(file.stem) is None for file in slides)
    if guessed:
        notes.append(f"the patient of {guessed} slides is the name of the file: slides of one patient need one name")
    many = [file for file in slides if len(drawn.get(file, [])) > 1]
    notes += [f"{_name(root, file)} has {len(drawn[file])} annotations; none is named in its row" for file in many]
    silent = sum(facts[file].mpp is None for file in slides)
    return Template(COLUMNS, rows, unreadable, _lacks(rows, silent), tuple(notes))


def _images(files: Sequence[Path]) -> list[Path]:
    """What may be a slide: scanner files, but no mask of another one (`tumor_001_mask.tif`)."""
    images = [file for file in files if file.suffix.lower() in IMAGES]
    stems = {file.stem for file in images}
    return [file for file in images if not (_MASK.search(file.stem) and _MASK.sub("", file.stem) in stems)]


def _look(file: Path) -> SlideFacts | str:
    """What the file says of itself, or why it cannot be read."""
    try:
        facts = slide_facts(file, file.stem)
    except DataError as error:
        return error.what
    return probe(Slide(file.stem, file, file.stem)) or facts  # a slide that is cut off passes for a plain image


def _annotations(files: Sequence[Path], slides: Sequence[Path]) -> dict[Path, list[Path]]:
    """Slide → drawn files of its name: those beside it, else those anywhere, as long as no other slide has the name."""
    taken = set(slides)
    candidates: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in DRAWN and file not in taken:
            candidates.setdefault(nfc(file.stem), []).append(file)
    alone = Counter(nfc(file.stem) for file in slides)
    chosen = {}
    for slide in slides:
        named = candidates.get(nfc(slide.stem), [])
        beside = [file for file in named if file.parent == slide.parent]
        chosen[slide] = beside or (named if alone[nfc(slide.stem)] == 1 else [])
    return chosen


def _row(root: Path, file: Path, drawn: Sequence[Path], *, twin: bool) -> dict[str, str]:
    folders = [part.lower() for part in reversed(file.relative_to(root).parts[:-1])]
    return {
        "slide": _name(root, file),
        "patient": patient_of(file.stem) or file.stem,
        "label": next((folder for folder in folders if known_word(folder) is not None and not folder.isdigit()), ""),
        "split": next((SPLITS[folder] for folder in folders if folder in SPLITS), ""),
        "annotation": _name(root, drawn[0]) if len(drawn) == 1 else "",
        "mpp": "",
        "id": _id(root, file, twin),
    }


def _id(root: Path, file: Path, twin: bool) -> str:
    """Empty where the name of the file will do: it is the only one of its name, and an id."""
    if not twin and is_id(nfc(file.stem)):
        return ""
    return proper_id("_".join(file.relative_to(root).with_suffix("").parts) if twin else file.stem)


def _lacks(rows: Sequence[Mapping[str, str]], silent: int) -> tuple[tuple[int, str], ...]:
    labels, splits = (sum(not row[column] for row in rows) for column in ("label", "split"))
    bare = sum(bool(known_word(row["label"])) and not row["annotation"] for row in rows)
    lacks = [
        (labels, "slides without a label: fill in normal or tumor, or words of your own"),
        (splits, "slides without a split: fill in train, validation or test, or leave the column empty in all rows"),
        (bare, "positive slides without an annotation: name one, or they count by their label alone"),
        (silent, "slides whose file does not say its resolution: fill in mpp, microns per pixel"),
    ]
    return tuple((count, text) for count, text in lacks if count)


def _name(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
