"""Any annotation file, by what it is; and label images written on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.asap import LESION, read_asap
from benchmark.annotations.drawn import HOLES
from benchmark.annotations.geojson import read_geojson
from benchmark.annotations.imagescope import read_imagescope
from benchmark.annotations.labelimage import LabelImage
from benchmark.errors import DataError
from benchmark.slides.grid import Grid
from benchmark.storage import whole_file

JSON, XML, IMAGES = (".geojson", ".json"), (".xml",), (".png", ".tif", ".tiff", ".bmp")
HEAD = 4096
"""Bytes in which the root of an XML file is looked for."""


def read_annotation(
    path: Path, classes: Sequence[str] = ("normal", "tumor"), *, size: tuple[int, int] | None = None
) -> Annotation:
    """Read GeoJSON, ASAP or ImageScope XML, or a label image, whichever it is; level-0 px.

    `classes`: names of the classes, the negative one first; outlines named after them get their index, and all
    names that the formats use for a lesion get index 1. A label image holds class indices; `size` (width, height) of
    the slide says how many level-0 px its pixels stand for (without it: one).

    Raises `DataError` when the file cannot be read, or its suffix is not known.
    """
    suffix = path.suffix.lower()
    names = {name: index for index, name in enumerate(classes)}
    if suffix in JSON:
        return read_geojson(path, None if len(classes) == 2 else names)
    if suffix in XML:
        if b"<ASAP_Annotations" in _head(path):
            usual = dict.fromkeys(LESION, 1) if len(classes) == 2 else {}
            return read_asap(path, {**usual, **dict.fromkeys(HOLES, 0), **names})
        return read_imagescope(path, None if len(classes) == 2 else names)
    if suffix in IMAGES:
        return _label_image(path, len(classes), size)
    known = ", ".join((*JSON, *XML, *IMAGES))
    raise DataError(f"{path}: annotations of this kind are not known; expected one of {known}")


def write_label_image(path: Path, annotation: Annotation, grid: Grid) -> None:
    """Write the class under the centre of every cell as an 8-bit PNG, rows × cols."""
    from PIL import Image

    with whole_file(path) as temporary:
        Image.fromarray(annotation.labels(grid).astype(np.uint8)).save(temporary, format="PNG")


def _label_image(path: Path, classes: int, size: tuple[int, int] | None) -> LabelImage:
    image = LabelImage(path, classes={label: label for label in range(1, classes)})
    if classes == 2:  # masks are written with 1 or with 255
        image = LabelImage(path)
    if size is None:
        return image
    image.downsample = _scale(image, size, path)
    return image


def _scale(image: LabelImage, size: tuple[int, int], path: Path) -> float:
    """Level-0 px per label pixel; of the scales that round to the image's size a power of two, if there is one."""
    pixels = image.pixels.shape[::-1]
    low = max(length / (count + 0.5) for length, count in zip(size, pixels, strict=True))
    high = min(length / (count - 0.5) for length, count in zip(size, pixels, strict=True))
    if low > high:
        what = f"{path} has {pixels[0]}×{pixels[1]} px and its slide {size[0]}×{size[1]}: their proportions differ"
        raise DataError(what, fix="export the label image of the whole slide again")
    power: float = 2.0 ** np.floor(np.log2(high))
    return power if power >= low else (low + high) / 2


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD)
    except OSError as error:
        raise DataError(f"the annotation {path} cannot be read: {error.strerror}", fix=f"ls {path.parent}") from None
