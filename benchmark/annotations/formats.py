"""Any annotation file, by what it is; and label images written on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.asap import read_asap
from benchmark.annotations.class_names import HOLE, IGNORE, ClassNames, Meaning
from benchmark.annotations.geojson import read_geojson
from benchmark.annotations.imagescope import read_imagescope
from benchmark.annotations.labelimage import LabelImage
from benchmark.annotations.labelpixels import LabelPixels
from benchmark.annotations.naming import SHOWN, option
from benchmark.annotations.notes import Kind, Note
from benchmark.annotations.shapes import Bounds
from benchmark.errors import AnnotationError, DataError
from benchmark.slides.grid import Grid
from benchmark.storage import whole_file

JSON, XML, IMAGES = (".geojson", ".json"), (".xml", ".annotations"), (".png", ".tif", ".tiff", ".bmp")
HEAD = 4096
"""Bytes in which the root of an XML file is looked for."""
Origin = Literal["canvas", "bounds"]


def read_annotation(
    path: Path,
    classes: ClassNames | Sequence[str] = ("normal", "tumor"),
    *,
    size: tuple[int, int] | None = None,
    bounds: Bounds | None = None,
    origin: Origin | None = None,
) -> Annotation:
    """Read GeoJSON, ASAP, ImageScope or HALO XML, or a label image, whichever it is; level-0 px.

    `classes`: names of the classes, the negative one first, with what the option `classes` says of others; see
    `ClassNames`. A label image holds class indices, or of two classes 1 or 255 for the positive one; `size` (width,
    height) of the slide says how many level-0 px its pixels stand for (without it: one), and with `bounds` (x, y,
    width, height of the scanned area) whether it shows all of the slide or that area alone; `origin` says it.

    Raises `DataError` when the file cannot be read or its suffix is not known, `AnnotationError` when it is not
    understood.
    """
    names = classes if isinstance(classes, ClassNames) else ClassNames(tuple(classes))
    suffix = path.suffix.lower()
    if suffix in JSON:
        return read_geojson(path, names)
    if suffix in XML:
        if b"<ASAP_Annotations" in _head(path):
            return read_asap(path, names)
        return read_imagescope(path, names=names)
    if suffix in IMAGES:
        return _label_image(path, names, size, bounds, origin)
    known = ", ".join((*JSON, *XML, *IMAGES))
    raise DataError(f"{path}: annotations of this kind are not known; expected one of {known}")


def write_label_image(path: Path, annotation: Annotation, grid: Grid) -> None:
    """Write the class under the centre of every cell as an 8-bit PNG, rows × cols."""
    from PIL import Image

    with whole_file(path) as temporary:
        Image.fromarray(annotation.labels(grid).astype(np.uint8)).save(temporary, format="PNG")


def _label_image(
    path: Path, names: ClassNames, size: tuple[int, int] | None, bounds: Bounds | None, origin: Origin | None
) -> LabelImage:
    pixels = LabelPixels(path)
    values = _values(pixels.counts(), names, path)
    classes = {value: own for value, own in values.items() if isinstance(own, int) and own > 0}
    ignored = [value for value, own in values.items() if own == IGNORE]
    place: tuple[float, tuple[float, float], list[Note]] = (1.0, (0.0, 0.0), [])
    if size is not None:
        place = _placed(pixels.shape, size, bounds, origin, path)
    downsample, start, notes = place
    notes = [*notes, *(Note(note, Kind.ASSUMED, file=str(path)) for note in pixels.notes)]
    image = LabelImage(path, classes=classes, ignore=ignored, downsample=downsample, origin=start, notes=notes)
    image.source = pixels
    return image


def _values(counts: dict[int, int], names: ClassNames, path: Path) -> dict[int, Meaning]:
    """What every number of a label image means; 0 is the negative class unless the option says it is ignored."""
    two, marked = len(names.classes) == 2, [value for value in counts if value]
    found: dict[int, Meaning] = {}
    unknown = []
    for value in counts:
        meaning = names.given.get(str(value))
        if meaning is None and value == 0:
            meaning = 0
        if meaning is None and (value < len(names.classes) if not two else marked in ([1], [255])):
            meaning = 1 if two else value
        if meaning is None:
            unknown.append(value)
        elif value == 0 and isinstance(meaning, int) and meaning:
            raise AnnotationError(f"{path}: 0 is what nobody drew, it cannot be class {meaning}", fix="drop 0=…")
        else:
            found[value] = 0 if meaning == HOLE else meaning
    if unknown:
        total = sum(counts.values())
        shares = [f"{value}: {counts[value]} px ({counts[value] / total:.1%})" for value in list(counts)[:SHOWN]]
        more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
        expected = "0 and 1, or 0 and 255" if two else f"0 to {len(names.classes) - 1}"
        msg = f"{path} has the values {'; '.join(shares)}{more}; expected {expected} for {', '.join(names.classes)}"
        raise AnnotationError(msg, fix=option([str(value) for value in marked[:SHOWN]], names, {"1": 1}))
    return found


def _placed(
    shape: tuple[int, int], size: tuple[int, int], bounds: Bounds | None, origin: Origin | None, path: Path
) -> tuple[float, tuple[float, float], list[Note]]:
    """Level-0 px per label pixel, where the first of them lies, and a note where that had to be found out."""
    areas: dict[Origin, Bounds] = {"canvas": (0, 0, *size)}
    if bounds is not None and bounds != (0, 0, *size):
        areas["bounds"] = bounds
    if origin == "bounds" and "bounds" not in areas:
        areas["bounds"] = areas["canvas"]
    wanted = {name: area for name, area in areas.items() if origin in (None, name)}
    fitting = {name: scale for name, area in wanted.items() if (scale := _scale(shape, area[2:])) is not None}
    if not fitting:
        [(_, _, width, height), *_] = wanted.values()
        what = f"{path} has {shape[1]}×{shape[0]} px and its slide {width}×{height}: their proportions differ"
        raise DataError(what, fix="export the label image of the whole slide again")
    if len(fitting) > 1:
        what = f"{path} fits the whole slide ({size[0]}×{size[1]} px) and its scanned area {areas['bounds']} alike"
        raise AnnotationError(what, fix="--set origin=canvas   (or origin=bounds: it shows the scanned area alone)")
    [(name, scale)] = fitting.items()
    x, y, _, _ = areas[name]
    note = Note(
        f"the label image shows the scanned area alone, which begins at ({x}, {y})", Kind.DECIDED, file=str(path)
    )
    return scale, (float(x), float(y)), [note] if name == "bounds" and origin is None else []


def _scale(shape: tuple[int, int], size: tuple[int, int]) -> float | None:
    """Level-0 px per label pixel; of the scales that round to the image's size a power of two, if there is one."""
    pixels = shape[::-1]
    low = max(length / (count + 0.5) for length, count in zip(size, pixels, strict=True))
    high = min(length / (count - 0.5) for length, count in zip(size, pixels, strict=True))
    if low > high:
        return None
    power: float = 2.0 ** np.floor(np.log2(high))
    return power if power >= low else (low + high) / 2


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD)
    except OSError as error:
        raise DataError(f"the annotation {path} cannot be read: {error.strerror}", fix=f"ls {path.parent}") from None
