"""The CAMELYON16 folder: which slides and annotations it holds. Nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.errors import DataError

from ..tables import read_table
from .camelyon_plus import PlusLabel, PlusLabels
from .cases import Case, Index, data_root, keep_one, numbered, pairing_fault, walk

TABLE = "reference.csv"
IMAGES = (".tif", ".tiff")

OFFICIAL = {
    "normal": [number for number in range(1, 161) if number != 86],
    "tumor": list(range(1, 112)),
    "test": [number for number in range(1, 131) if number != 49],
}
"""Numbers of the slides of the release: 159 normal, 111 tumour, 129 test. Source: its README."""

PARTLY_ANNOTATED = frozenset(
    (
        *numbered("tumor_", "010 015 018 020 025 029 033 034 044 046 051 054 055 056 067 079 085 092 095 110"),
        "test_114",
    )
)
"""CAMELYON16 slides whose annotation is not exhaustive, as the README of the release lists them."""

WITHDRAWN = {
    "normal_086": "misclassified; the release renamed it to tumor_111",
    "test_049": "a duplicate; the release removed it",
}
"""CAMELYON16 slides that the release took back (its README), still found in older copies."""

LCMIL_CAMELYON16 = (
    *numbered("test_", "016 026 040 071 073 090 113"),
    *numbered("tumor_", "009 011 016 026 031 038 039 047 058 064 068 076 078 082 089 090 109"),
)
"""The 24 slides of LC-MIL (arXiv 2109.10778), as its released annotations name them."""

_NAME = re.compile(r"(normal|tumor|test)_(\d{1,3})", re.IGNORECASE)


def slide_id(stem: str) -> str | None:
    """`tumor_001` for any way the releases write it (`Tumor_001`, `tumor_1`); None for another file."""
    match = _NAME.fullmatch(stem)
    return f"{match[1].lower()}_{int(match[2]):03d}" if match else None


def read_index(root: Path, patients: Mapping[str, str], plus: PlusLabels | None = None) -> Index:
    """Every slide the folder should have, in the official order; `plus`: labels that replace those of the release.

    Slides, annotations and the table are found by name in any folder below the root, so the layout of the
    challenge (`training/`, `testing/`) and the flat one (`images/`, `annotations/`) are both read. Raises
    `DataError` when no slide is found, or one appears twice.
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
    notes = [f"{name} is ignored: {WITHDRAWN[name]}" for name in withdrawn]
    if zipped and not annotations:
        notes.append("lesion_annotations.zip is not unpacked")
    table = tables.get(TABLE)
    kinds, remarks = _read_table(table) if table else ({}, ())
    notes += remarks
    expected = list(patients) or [f"{kind}_{number:03d}" for kind in OFFICIAL for number in OFFICIAL[kind]]
    names = [*expected, *sorted((images.keys() | annotations.keys()) - set(expected) - WITHDRAWN.keys())]
    cases = [_case(name, images.get(name), annotations.get(name), kinds, made=bool(patients)) for name in names]
    if plus is not None:
        cases = [relabelled(case, plus.slides.get(case.id), plus.path) for case in cases]
        notes += plus.notes
    return Index(folder, tuple(cases), tuple(tables.values()), tuple(notes))


def relabelled(case: Case, label: PlusLabel | None, path: Path) -> Case:
    """The case with the label of CAMELYON+.

    A slide without a row is left out. One that became normal has nothing outlined on it. One that became lesion has no
    outline of it, so its annotation is not exhaustive.
    """
    if label is None:
        return replace(case, left_out=f"no row in {path.name}: CAMELYON+ took it out")
    if label.lesion == case.lesion:
        return case
    before = {True: "lesion", False: "normal", None: "without a label"}[case.lesion]
    said = f"{label.word!r} in {label.where}, {before} in the release"
    if not label.lesion:
        if case.annotation is not None:
            said += f"; its annotation {case.annotation.name} is not read"
        case = replace(case, annotation=None)
    fault = pairing_fault(case.image, case.annotation, False)  # a lesion may lack its outline here
    exhaustive = case.exhaustive and not (label.lesion and case.annotation is None)
    return replace(case, lesion=label.lesion, fault=fault, exhaustive=exhaustive, relabelled=said)


def _case(
    name: str, image: Path | None, annotation: Path | None, kinds: Mapping[str, bool], *, made: bool = False
) -> Case:
    """One slide of the index. `made`: of a miniature, whose annotations are all exhaustive."""
    kind = name.partition("_")[0]
    lesion = kinds.get(name) if kind == "test" else kind == "tumor"
    fault = pairing_fault(image, annotation, lesion)
    if fault and lesion is None and image:
        fault = f"{image.name} has no row in {TABLE}, so its label is not known"
    if lesion is False and annotation is not None:
        fault = f"{annotation.name} outlines a lesion, but the slide counts as normal"
    return Case(
        id=name,
        image=image,
        annotation=annotation,
        patient=name,  # the release does not say which slides share a patient
        part="test" if kind == "test" else "train",
        lesion=lesion,
        exhaustive=made or name not in PARTLY_ANNOTATED,
        fault=fault,
    )


def _read_table(path: Path) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Slide → whether it holds a tumour, and notes. The table has no header; its first two columns are read."""
    fix = f"restore {path.name} from the release"
    kinds = {"tumor": True, "normal": False}
    table = read_table(path, ("slide", "type"), header=False, fix=fix)
    rows: dict[str, bool] = {}
    for number, row in enumerate(table.rows):
        name = slide_id(Path(row["slide"]).stem)
        if name is None:
            if number > 0:
                raise DataError(f"{row.where}, column 1: {row['slide']!r} is not a slide; expected test_001 …", fix=fix)
            continue  # some copies begin with a header
        kind = row["type"].lower()
        if kind not in kinds:
            raise DataError(f"{row.where}, column 2: {name} is {kind!r}; expected Tumor or Normal", fix=fix)
        if rows.get(name, kinds[kind]) != kinds[kind]:
            raise DataError(f"{row.where}: {name} has another row that says otherwise", fix=fix)
        rows[name] = kinds[kind]
    return rows, table.notes
