"""What a slide file says of itself: levels, microns per pixel, scanner; and whether all of it can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.slides.slide import Slide

PROBE = 8
"""Pixels read at each place of a level: enough to make OpenSlide decode the tile."""
PER_UNIT = {"centimeter": 1e4, "inch": 25_400.0}
"""Microns in the units that TIFF counts its resolution in."""
PLAUSIBLE_MPP = (0.05, 20.0)
"""Microns per pixel beyond these are a screen's resolution or a slip, not a microscope's."""


@dataclass(frozen=True)
class SlideFacts:
    """`levels`: (width, height) of each, the first is level 0. `mpp`: None where the file does not tell."""

    size: tuple[int, int]
    levels: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp: float | None
    objective: float | None
    vendor: str | None


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

    if openslide.OpenSlide.detect_format(path) is None:
        from benchmark.slides.handles import open_fresh

        size = open_fresh(path).size
        return SlideFacts(size, (size,), (1.0,), None, None, None)
    with openslide.OpenSlide(path) as opened:
        known = opened.properties
        return SlideFacts(
            opened.dimensions,
            tuple(opened.level_dimensions),
            tuple(float(factor) for factor in opened.level_downsamples),
            _mpp(known),
            _number(known, openslide.PROPERTY_NAME_OBJECTIVE_POWER),
            known.get(openslide.PROPERTY_NAME_VENDOR),
        )


def _mpp(known: Mapping[str, str]) -> float | None:
    """The mean of both axes as OpenSlide has it, else from the resolution tags of a TIFF."""
    axes = [_number(known, f"openslide.mpp-{axis}") for axis in "xy"]
    if None in axes:
        unit = PER_UNIT.get(known.get("tiff.ResolutionUnit", ""), 0.0)
        per_unit = [_number(known, f"tiff.{axis}Resolution") for axis in "XY"]
        axes = [unit / value if value else None for value in per_unit]
    found = [axis for axis in axes if axis is not None and PLAUSIBLE_MPP[0] <= axis <= PLAUSIBLE_MPP[1]]
    return sum(found) / 2 if len(found) == 2 else None


def _number(known: Mapping[str, str], name: str) -> float | None:
    try:
        return float(known[name])
    except (KeyError, ValueError):
        return None
