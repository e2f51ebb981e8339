"""How large a pixel is: every place in which a slide file says it, and which of them was believed."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from benchmark.slides.tiff_contents import broken_tiff

if TYPE_CHECKING:
    from tifffile import TiffFile

MICRONS_PER_UNIT = {
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "inch": 25_400.0,
    "in": 25_400.0,
    "m": 1e6,
}
PLAUSIBLE_MPP = (0.05, 20.0)
"""Microns per pixel beyond these are a screen's resolution or a slip, not a microscope's."""
SAME = 0.05
"""Two statements that differ by no more than this share agree."""
MICRONS_AT_40 = 0.25
"""Nominal microns per pixel of an objective of 40×."""


@dataclass(frozen=True)
class Resolution:
    """`mpp`: mean of both axes, microns per pixel; None where the file gives none. `source`: where it is given."""

    mpp: float | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Statement:
    """What one place of a file says: microns per pixel along both axes."""

    source: str
    x: float
    y: float

    @property
    def mpp(self) -> float:
        return (self.x + self.y) / 2

    @property
    def plausible(self) -> bool:
        return all(PLAUSIBLE_MPP[0] <= axis <= PLAUSIBLE_MPP[1] for axis in (self.x, self.y))


def resolution_of(path: Path, properties: Mapping[str, str]) -> Resolution:
    """The resolution of a slide file, from the first of these places that gives a plausible one.

    OpenSlide's `openslide.mpp-x/y`, OME-XML's physical pixel size, ImageJ's unit, the resolution tags of a TIFF (also
    of one that OpenSlide does not read), the density of a PNG, JPEG or BMP, and last the objective (Aperio's `AppMag`),
    from which 0.25 µm at 40× is scaled and a note is made. `properties` are OpenSlide's, empty for a plain image.
    Statements that contradict each other or are not a microscope's are noted.
    """
    statements = list(_statements(path, properties))
    believed = next((statement for statement in statements if statement.plausible), None)
    notes = [
        f"{statement.source} says {statement.mpp:.4g} µm/px, which no microscope gives: passed over"
        for statement in statements
        if not statement.plausible and statement.source != DENSITY
    ]
    if believed is None:
        return Resolution(notes=tuple(notes))
    if abs(believed.x / believed.y - 1) > SAME:
        notes.append(f"pixels are not square ({believed.x:.4g} × {believed.y:.4g} µm, {believed.source}): mean taken")
    for other in statements:
        if other.plausible and abs(other.mpp / believed.mpp - 1) > SAME and not other.source.startswith(OBJECTIVE):
            notes.append(f"{other.source} says {other.mpp:.4g} µm/px; {believed.mpp:.4g} of {believed.source} is taken")
    if believed.source.startswith(OBJECTIVE):
        notes.append(f"no resolution but {believed.source}: {believed.mpp:.4g} µm/px taken (0.25 µm at 40×)")
    return Resolution(believed.mpp, believed.source, tuple(dict.fromkeys(notes)))


DENSITY, OBJECTIVE = "image density", "objective"


def power_of_two(microns: float, mpp: float) -> int:
    """The power of two nearest to `microns` (on a logarithmic scale), in px of `mpp` microns each; at least 1."""
    return int(2 ** max(0, round(math.log2(microns / mpp))))


def _statements(path: Path, properties: Mapping[str, str]) -> Iterator[_Statement]:
    """Everything that is said, what is believed first; the file is opened again only where OpenSlide knows nothing."""
    axes = [_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy"]
    if axes[0] and axes[1] and properties.get("openslide.vendor") != "generic-tiff":  # there it is the tags alone
        yield _Statement("openslide.mpp-x/y", axes[0], axes[1])
    else:
        yield from _of_tiff(path) if _is_tiff(path) else _of_image(path)
    power = _number(properties.get("openslide.objective-power"))
    if power:
        yield _of_objective(power)


def _of_objective(power: float) -> _Statement:
    mpp = MICRONS_AT_40 * 40 / power
    return _Statement(f"{OBJECTIVE} {power:g}×", mpp, mpp)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _of_tiff(path: Path) -> Iterator[_Statement]:
    import tifffile

    broken: tuple[type[Exception], ...] = (*broken_tiff(), OSError)
    tifffile.logger().setLevel(logging.CRITICAL)  # of a damaged file it prints; the readers raise
    try:
        with tifffile.TiffFile(path) as tiff:
            yield from _of_ome(tiff)
            yield from _of_description(tiff)
            yield from _of_tags(tiff)
            yield from _of_objective_text(tiff)
    except broken:
        return  # whoever reads the pixels says what is wrong with the file


def _of_ome(tiff: TiffFile) -> Iterator[_Statement]:
    if not tiff.is_ome or not tiff.ome_metadata:
        return
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        tree = fromstring(tiff.ome_metadata)
    except (ParseError, DefusedXmlException, ValueError):
        return
    pixels = next((node for node in tree.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return
    axes = []
    for axis in "XY":
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        micron = MICRONS_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").strip())
        axes.append(size * micron if size and micron else None)
    if axes[0] and axes[1]:
        yield _Statement("OME-XML", axes[0], axes[1])


def _of_description(tiff: TiffFile) -> Iterator[_Statement]:
    """ImageJ counts its resolution tags per unit of its own; Aperio writes MPP into the description."""
    text = tiff.pages.first.description
    per_unit = _tag_values(tiff)
    if text.startswith("ImageJ") and per_unit is not None:
        unit = re.search(r"^unit=(.+)$", text, re.MULTILINE)
        micron = MICRONS_PER_UNIT.get(unit.group(1).strip().lower()) if unit else None
        if micron:
            yield _Statement("ImageJ", micron / per_unit[0], micron / per_unit[1])
    stated = re.search(r"\|\s*MPP\s*=\s*([\d.]+)", text)
    if stated and (mpp := _number(stated.group(1))):
        yield _Statement("Aperio MPP", mpp, mpp)


def _of_objective_text(tiff: TiffFile) -> Iterator[_Statement]:
    stated = re.search(r"\|\s*AppMag\s*=\s*([\d.]+)", tiff.pages.first.description)
    if stated and (power := _number(stated.group(1))):
        yield _of_objective(power)


def _of_tags(tiff: TiffFile) -> Iterator[_Statement]:
    per_unit = _tag_values(tiff)
    tag = tiff.pages.first.tags.get("ResolutionUnit")
    micron = {2: MICRONS_PER_UNIT["inch"], 3: MICRONS_PER_UNIT["cm"]}.get(int(tag.value) if tag else 2)
    if per_unit is not None and micron is not None:
        x, y = micron / per_unit[0], micron / per_unit[1]
        yield _Statement(DENSITY if min(x, y) > PLAUSIBLE_MPP[1] else "TIFF resolution", x, y)


def _tag_values(tiff: TiffFile) -> tuple[float, float] | None:
    """Pixels per unit along x and y; None where a tag is missing or zero."""
    values = []
    for axis in "XY":
        tag = tiff.pages.first.tags.get(f"{axis}Resolution")
        above, below = tag.value if tag is not None else (0, 1)
        values.append(above / below if below else 0.0)
    return (values[0], values[1]) if min(values) > 0 else None


def _of_image(path: Path) -> Iterator[_Statement]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            dots = image.info.get("dpi", (0, 0))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return
    if dots[0] and dots[1]:
        inch = MICRONS_PER_UNIT["inch"]
        yield _Statement(DENSITY, inch / float(dots[0]), inch / float(dots[1]))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
