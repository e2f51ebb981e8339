"""Annotations of slides of one's own: the file of a slide, its format, and the same format written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from benchmark.applying.given_slides import Given
from benchmark.errors import ConfigError, DataError

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.slides import Grid, Slide

Format = Literal["geojson", "asap", "imagescope", "label-image"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {"geojson": ".geojson", "asap": ".xml", "imagescope": ".xml", "label-image": ".png"}
KINDS = (".geojson", ".json", ".xml", ".annotations", ".png", ".tif", ".tiff", ".bmp")

LARGEST = 1 << 28
"""Pixels of a label image that is written: it takes six bytes for each, and as many looks at the outlines."""


def annotation_of(given: Given, place: Path, alone: bool) -> Path:
    """The annotation of a slide: the file `place`, or the one in the folder `place` that is called like the slide.

    `alone`: it is the only slide. Raises `DataError` when there is none or several, or one file for several slides.
    """
    if not place.exists():
        raise DataError(f"the annotation {place} does not exist", fix=f"ls {place.parent}")
    if place.is_file():
        if not alone:
            raise DataError(f"--annotation {place} is one file for several slides", fix="--annotation FOLDER")
        return place
    name = given.id.rpartition("/")[2]
    folders = [place / given.id.rpartition("/")[0], place] if "/" in given.id else [place]
    for folder in folders:
        files = [folder / f"{name}{kind}" for kind in KINDS]
        present = [file for file in files if file.is_file() and file.resolve() != given.path]
        if len(present) > 1:
            both = ", ".join(file.name for file in present)
            raise DataError(f"slide {given.id!r} has {len(present)} annotations in {folder}: {both}", fix="leave one")
        if present and folder == place and "/" in given.id:
            msg = f"several slides are called {name!r}, and {present[0]} does not say whose annotation it is"
            raise DataError(msg, fix=f"move it to {place / given.id}{present[0].suffix}")
        if present:
            return present[0]
    raise DataError(f"slide {given.id!r} has no annotation in {place}", fix=f"expected {name}.geojson, .xml or .png")


def format_of(path: Path) -> Format:
    """The format of an annotation file, by its ending and, of XML, its root."""
    suffix = path.suffix.lower()
    if suffix in (".geojson", ".json"):
        return "geojson"
    if suffix in (".xml", ".annotations"):
        try:
            with path.open("rb") as stream:
                return "asap" if b"<ASAP_Annotations" in stream.read(4096) else "imagescope"
        except OSError as error:
            raise DataError(f"the annotation {path} cannot be read: {error.strerror}") from None
    return "label-image"


def chosen_format(wanted: str | None) -> Format | None:
    """The value of `--format`. Raises `ConfigError` for another name."""
    for known in FORMATS:
        if wanted == known:
            return known
    if wanted is None:
        return None
    raise ConfigError(f"--format {wanted}: expected one of {', '.join(FORMATS)}", fix="--format geojson")


def write_annotation(
    path: Path, annotation: Annotation, kind: Format, classes: tuple[str, ...], slide: Slide, grid: Grid
) -> None:
    """Write an annotation whose outlines run along the cells of `grid`; read again, it gives the same cells."""
    from benchmark.annotations import write_asap, write_geojson, write_imagescope, write_label_image

    if kind == "geojson":
        write_geojson(path, annotation, classes)
    elif kind == "asap":
        write_asap(path, annotation, classes)
    elif kind == "imagescope":
        write_imagescope(path, annotation, classes, slide.mpp)
    else:
        require_drawable(kind, slide, grid)
        write_label_image(path, annotation, _pixels(slide, grid))


def require_drawable(kind: Format, slide: Slide, grid: Grid) -> None:
    """Raise `DataError` where a label image whose pixels divide the cells of `grid` would be too large to write."""
    if kind == "label-image" and (count := _pixels(slide, grid).rows * _pixels(slide, grid).cols) > LARGEST:
        side = _side(grid)
        msg = f"slide {slide.id!r}: a label image of cells of {side} px would have {count / 1e9:.1f} billion pixels"
        power = 1 << (side - 1).bit_length()
        raise DataError(msg, fix=f"--format geojson, or cells whose side is a power of two: --set cell={power}")


def _pixels(slide: Slide, grid: Grid) -> Grid:
    """Pixels of a label image: the largest power of two that divides a cell, so that cells begin where pixels do."""
    from benchmark.slides import Grid

    step = _side(grid)
    return Grid.regular(slide.size, max(1, step & -step))


def _side(grid: Grid) -> int:
    return int(grid.x[1] - grid.x[0]) if grid.cols > 1 else grid.width
