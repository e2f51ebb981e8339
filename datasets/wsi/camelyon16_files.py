"""The CAMELYON16 folder: which slides and annotations it holds. Nothing is decoded."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import DataError

from .cases import Case, Index, data_root, keep_one, pairing_fault, walk
from .published import PARTLY_ANNOTATED, WITHDRAWN

TABLE = "reference.csv"
IMAGES = (".tif", ".tiff")

OFFICIAL = {
    "normal": [number for number in range(1, 161) if number != 86],
    "tumor": list(range(1, 112)),
    "test": [number for number in range(1, 131) if number != 49],
}
"""Numbers of the slides of the release: 159 normal, 111 tumour, 129 test. Source: its README."""

_NAME = re.compile(r"(normal|tumor|test)_(\d{1,3})", re.IGNORECASE)


def slide_id(stem: str) -> str | None:
    """`tumor_001` for any way the releases write it (`Tumor_001`, `tumor_1`); None for another file."""
    match = _NAME.fullmatch(stem)
    return f"{match[1].lower()}_{int(match[2]):03d}" if match else None


def read_index(root: Path, patients: Mapping[str, str]) -> Index:
    """Every slide the folder should have, in the official order.

    Slides, annotations and the table are found by name in any folder below the root, so the layout of the
    challenge (`training/`, `testing/`) and the flat one (`images/`, `annotations/`) are both read. Raises
    `DataError` when no slide is found, or one is there twice.
    """
    folder = data_root(root, "camelyon16", "CAMELYON16")
    images: dict[str, Path] = {}
    annotations: dict[str, Path] = {}
    tables: dict[str, Path] = {}
    zipped = False
    for file in walk(folder):
        suffix, name = file.suffix.lower(), slide_id(file.stem)
        zipped = zipped or file.name == "lesion_annotations.zip"
        if file.name == TABLE:
            keep_one(tables, TABLE, file)
        elif name and suffix in IMAGES:
            keep_one(images, name, file)
        elif name and suffix == ".xml":
            keep_one(annotations, name, file)
    if not images and not patients:
        msg = f"data root {root} holds no normal_001.tif, tumor_001.tif or test_001.tif in any folder"
        raise DataError(msg, fix="bench data info camelyon16   (the layout that is expected)")
    withdrawn = [name for name in WITHDRAWN if images.pop(name, None)]
    notes = [f"{name} is passed over: {WITHDRAWN[name]}" for name in withdrawn]
    if zipped and not annotations:
        notes.append("lesion_annotations.zip is not unpacked")
    table = tables.get(TABLE)
    kinds = _read_table(table) if table else {}
    expected = list(patients) or [f"{kind}_{number:03d}" for kind in OFFICIAL for number in OFFICIAL[kind]]
    names = [*expected, *sorted((images.keys() | annotations.keys()) - set(expected) - WITHDRAWN.keys())]
    cases = [_case(name, images.get(name), annotations.get(name), kinds) for name in names]
    return Index(folder, tuple(cases), tuple(tables.values()), tuple(notes))


def _case(name: str, image: Path | None, annotation: Path | None, kinds: Mapping[str, bool]) -> Case:
    kind = name.partition("_")[0]
    lesion = kinds.get(name) if kind == "test" else kind == "tumor"
    fault = pairing_fault(image, annotation, lesion)
    if fault and lesion is None and image:
        fault = f"{image.name} has no row in {TABLE}, so nothing says whether it holds a lesion"
    if lesion is False and annotation is not None:
        fault = f"{annotation.name} outlines a lesion, but the slide counts as normal"
    return Case(
        id=name,
        image=image,
        annotation=annotation,
        patient=name,  # the release does not say which slides share a patient
        part="test" if kind == "test" else "train",
        lesion=lesion,
        exhaustive=name not in PARTLY_ANNOTATED,
        fault=fault,
    )


def _read_table(path: Path) -> dict[str, bool]:
    """Slide → whether it holds a tumour. The table has no header; only its first two columns are read."""
    fix = f"restore {path.name} from the release"
    kinds = {"tumor": True, "normal": False}
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of comma-separated text: {error}", fix=fix) from error
    rows: dict[str, bool] = {}
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line]
        name = slide_id(Path(fields[0]).stem) if fields else None
        if name is None:
            if number > 1 and any(fields):
                raise DataError(f"{path}, line {number}: {fields[0]!r} is no slide; expected test_001 …", fix=fix)
            continue
        kind = fields[1].lower() if len(fields) > 1 else ""
        if kind not in kinds:
            raise DataError(f"{path}, line {number}: {name} is {kind!r}; expected Tumor or Normal", fix=fix)
        if rows.get(name, kinds[kind]) != kinds[kind]:
            raise DataError(f"{path}, line {number}: {name} has another row that says otherwise", fix=fix)
        rows[name] = kinds[kind]
    return rows
