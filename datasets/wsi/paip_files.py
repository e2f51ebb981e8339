"""The folders of PAIP2019 and PAIP2020: SVS slides with an ImageScope XML of the same name. Nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.errors import DataError

from .cases import Case, Index, data_root, keep_one, pairing_fault, walk


def read_index(
    root: Path, patients: Mapping[str, str], *, name: str, pattern: re.Pattern[str], expected: Sequence[str]
) -> Index:
    """Every slide the folder should have: the `expected` ones, then all others whose name fits `pattern`.

    Slides and annotations are found by name in any folder below the root: one folder per slide, as PAIP2019 is
    distributed, or all in one. A slide outside `expected` without an annotation is passed over (the challenges'
    validation and test parts have none). Raises `DataError` when nothing is found, or a slide is there twice.
    """
    folder = data_root(root, name, name.upper())
    images: dict[str, Path] = {}
    annotations: dict[str, Path] = {}
    for file in walk(folder):
        if pattern.fullmatch(file.stem) and file.suffix.lower() in (".svs", ".xml"):
            keep_one(images if file.suffix.lower() == ".svs" else annotations, file.stem, file)
    if not images and not patients:
        msg = f"data root {root} holds no slide such as {expected[0]}.svs in any folder"
        raise DataError(msg, fix=f"bench data info {name}   (the layout that is expected)")
    wanted = list(patients or expected)
    others = sorted((images.keys() | annotations.keys()) - set(wanted))
    silent = [slide for slide in others if slide not in annotations]
    notes = [f"{len(silent)} slides without annotation are passed over, from {silent[0]} on"] if silent else []
    names = sorted([*wanted, *(slide for slide in others if slide in annotations)])
    return Index(folder, tuple(_case(slide, images, annotations) for slide in names), (), tuple(notes))


def _case(name: str, images: Mapping[str, Path], annotations: Mapping[str, Path]) -> Case:
    image, annotation = images.get(name), annotations.get(name)
    return Case(name, image, annotation, name, "train", True, True, pairing_fault(image, annotation, True))
