"""The coarse annotations that the LC-MIL authors published: pickles of plain containers and NumPy integers."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.annotations.class_names import HOLE, Meaning
from benchmark.annotations.drawn import Drawing
from benchmark.annotations.plainpickle import Refused, load_plain
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.shapes import ring
from benchmark.annotations.xmlfile import check_file
from benchmark.errors import DataError

OUTER, INNER = "annotations_outer", "annotations_inner"
_KEYS: tuple[tuple[str, Meaning], ...] = ((OUTER, 1), (INNER, HOLE))
PREFIX = "coarse_"
ONLY = "top1"
"""What the only version of a file without versions is called, as in the files that have several."""


def read_sav(path: Path) -> Mapping[str, Mapping[str, Polygons]]:
    """Slide id → version → annotation; level-0 px. Versions are `top1` (simulated) and `pathologist_1` … (drawn).

    Files without the level of versions, such as `coarse_annotations.sav`, give the one version `top1`; a file that is
    one annotation has the slide id "". Inner outlines are holes. Outlines of fewer than three corners are left
    out, which the notes say.

    Raises `DataError` for anything else, and for a pickle that names a function or class but NumPy's numbers.
    """
    check_file(path)
    try:
        content = load_plain(path)
    except Refused as error:
        raise DataError(f"{path} is refused: {error}", fix="take the file from the authors' repository") from None
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise DataError(f"{path} is no readable pickle: {error}", fix="copy the file again") from None
    if _is_annotation(content):
        return {"": {ONLY: _annotation(content, path, "the file")}}
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise DataError(f"{path} holds {_kind(content)}, expected slide → version → {OUTER}, {INNER}")
    return {str(slide): _versions(versions, path, str(slide)) for slide, versions in content.items()}


def _versions(versions: dict[Any, Any], path: Path, slide: str) -> dict[str, Polygons]:
    if _is_annotation(versions):
        return {ONLY: _annotation(versions, path, slide)}
    found = {}
    for version, content in versions.items():
        if not _is_annotation(content):
            raise DataError(f"{path}: {slide}, {version} holds {_kind(content)}, expected {OUTER} and {INNER}")
        found[str(version).removeprefix(PREFIX)] = _annotation(content, path, f"{slide}, {version}")
    return found


def _is_annotation(content: Any) -> bool:
    return isinstance(content, dict) and OUTER in content


def _annotation(content: dict[str, Any], path: Path, what: str) -> Polygons:
    drawing = Drawing(path)
    for key, meaning in _KEYS:
        listed = content.get(key)
        for number, corners in enumerate([] if listed is None else listed):
            if not isinstance(corners, (list, tuple)):
                raise DataError(f"{path}: {what}, {key} {number} is {_kind(corners)}, expected a list of corners")
            place = f"{what}, {key} {number}"
            drawing.add(ring(corners, f"{path}: {place}"), (), place, meaning=meaning)
    return drawing.finish()


def _kind(content: Any) -> str:
    return f"a {type(content).__name__}"
