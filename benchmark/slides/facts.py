"""What a slide file says of itself: levels, microns per pixel, scanner; and whether all of it can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DataError
from benchmark.slides.resolution import resolution_of

if TYPE_CHECKING:
    from benchmark.slides.slide import Slide

ORIENTATION = 274
"""The EXIF tag of an image's orientation; 1 is upright."""
PROBE = 8
"""Pixels read at each place of a level: enough to make OpenSlide decode the tile."""


@dataclass(frozen=True)
class SlideFacts:
    """`levels`: (width, height) of each, the first is level 0. `mpp`: None where the file does not tell it.

    `mpp_source`: the place in the file that tells it. `bounds`: the scanned area (x, y, width, height) in level-0
    pixels where the scanner gives one; QuPath counts from its corner, OpenSlide from the corner of the whole canvas.
    `notes`: what was passed over or supposed while reading the header.
    """

    size: tuple[int, int]
    levels: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp: float | None
    objective: float | None
    vendor: str | None
    mpp_source: str = ""
    bounds: tuple[int, int, int, int] | None = None
    notes: tuple[str, ...] = ()


def slide_facts(path: Path, slide: str) -> SlideFacts:
    """Read the header of a slide or tile. Raises `DataError` naming slide and file when it cannot be opened."""
    from benchmark.slides.handles import failures, unreadable

    try:
        return _facts(path)
    except failures() as error:
        raise unreadable(path, slide, error) from error


def probe(slide: Slide) -> str | None:
    """None when every level can be read at its first, middle and last tile, else what is wrong, in words.

    A truncated file mostly still opens; its last tiles or its smaller levels fail here. One that lost no more than
    its last level reads like one that never had it. Takes milliseconds; a plain tile is decoded whole.
    """
    from benchmark.slides.handles import failures, open_fresh

    try:
        facts = slide_facts(slide.path, slide.id)
        handle = open_fresh(slide.path)
    except DataError as error:
        return error.what
    except failures() as error:
        return f"{slide.path.name} cannot be opened: {error}"
    for level, ((width, height), factor) in enumerate(zip(facts.levels, facts.downsamples, strict=True)):
        for share in (0.0, 0.5, 1.0):
            x, y = int((width - PROBE) * share), int((height - PROBE) * share)
            try:
                handle.region(max(0, int(x * factor)), max(0, int(y * factor)), level, PROBE, PROBE)
            except failures() as error:
                reason = str(error) or type(error).__name__
                return f"{slide.path.name}: level {level} cannot be read near ({x}, {y}): {reason}"
    return None


def _facts(path: Path) -> SlideFacts:
    import openslide

    from benchmark.slides.handles import open_fresh

    size = open_fresh(path).size
    if openslide.OpenSlide.detect_format(path) is None:
        resolution = resolution_of(path, {})
        notes = (*resolution.notes, *_orientation(path))
        return SlideFacts(size, (size,), (1.0,), resolution.mpp, None, None, resolution.source, None, notes)
    with openslide.OpenSlide(path) as opened:
        known = dict(opened.properties)
        resolution = resolution_of(path, known)
        return SlideFacts(
            opened.dimensions,
            tuple(opened.level_dimensions),
            tuple(float(factor) for factor in opened.level_downsamples),
            resolution.mpp,
            _number(known, openslide.PROPERTY_NAME_OBJECTIVE_POWER),
            known.get(openslide.PROPERTY_NAME_VENDOR),
            resolution.source,
            _bounds(known, opened.dimensions),
            resolution.notes,
        )


def _bounds(known: Mapping[str, str], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The scanned area; None where the file gives none, or one that is the whole canvas."""
    values = [_number(known, f"openslide.bounds-{name}") for name in ("x", "y", "width", "height")]
    box = [int(value) for value in values if value is not None]
    return (box[0], box[1], box[2], box[3]) if len(box) == 4 and box != [0, 0, *size] else None


def _orientation(path: Path) -> tuple[str, ...]:
    """What a plain image's EXIF orientation means for its pixels: Pillow turns a TIFF, and nothing else."""
    from PIL import Image

    with Image.open(path) as image:
        turned = image.getexif().get(ORIENTATION, 1)
        tiff = image.format == "TIFF"
    if turned == 1:
        return ()
    how = "pixels are turned as it says" if tiff else "pixels are read as stored, viewers turn them"
    return (f"EXIF orientation {turned}: {how}; an annotation drawn in a viewer may not fit",)


def _number(known: Mapping[str, str], name: str) -> float | None:
    try:
        return float(known[name])
    except (KeyError, ValueError):
        return None
