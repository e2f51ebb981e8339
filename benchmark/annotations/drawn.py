"""From the corners that a file lists to outlines: what every reader of drawn annotations needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.polygons import Polygons
from benchmark.errors import DataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from shapely import MultiPolygon, Polygon

LARGEST = 1 << 29
"""Bytes of an annotation file beyond which it is not read: the largest known ones have some 10 MB."""
HOLES = ("_2", "exclusion", "exclude", "hole", "negative")
"""Names, in lower case, of what is cut out of a lesion."""
HAIR = 1e-6
"""Share of its area by which an outline may stick out and still lie inside another."""
FARTHEST = 1e8
"""No slide has a corner beyond this, in px."""


@dataclass
class Drawing:
    """Outlines as they are read, and what a reader of the annotation should know of them."""

    path: Path
    regions: list[Region] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    short: int = 0
    mended: int = 0
    flat: int = 0

    def add(self, corners: Sequence[tuple[Any, Any]], label: int, what: str) -> None:
        """Add one ring. Raises `DataError` for corners that are no finite numbers; a line or a point is counted."""
        import shapely

        points = ring(corners, f"{self.path}: {what}")
        if is_short(points):
            self.short += 1
            return
        self.regions.append(Region(shapely.Polygon(points), label))

    def seal(self, first: int, last: int) -> None:
        """Make the regions from `first` to before `last` what is visible of them: their holes cut no other region."""
        own = self.regions[first:last]
        if not all(region.label for region in own):
            drawn = Polygons(nested(own))
            self._count(drawn)
            self.regions[first:last] = [Region(shape, label) for shape, label in outlines_of(drawn)]

    def finish(self) -> Polygons:
        """The annotation: holes above what they are cut from, and what had to be mended in its notes."""
        found = Polygons(nested(self.regions), notes=self.notes)
        notes = list(self.notes)
        if self.short:
            notes.append(f"{self.short} outlines of fewer than three corners left out")
        self._count(found)
        if self.mended:
            notes.append(f"{self.mended} outlines that cross themselves mended")
        if self.flat:
            notes.append(f"{self.flat} outlines without area left out")
        found.notes = tuple(notes)
        return found

    def _count(self, drawn: Polygons) -> None:
        self.mended += drawn.repaired - drawn.dropped  # an outline without area is always among the invalid ones
        self.flat += drawn.dropped


def ring(corners: Sequence[tuple[Any, Any]], what: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The corners as n × 2 floats, without a third coordinate.

    Raises `DataError` naming `what` for anything but finite numbers.
    """
    try:
        points = np.array([(float(x), float(y)) for x, y, *_ in corners], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} has a corner that is no pair of numbers: {error}") from None
    if not np.isfinite(points).all() or (np.abs(points) > FARTHEST).any():
        raise DataError(f"{what} has a corner that no slide has: {points[~_sound(points)][0].tolist()}")
    return points


def is_short(points: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Whether a ring has fewer than three different corners."""
    return len(np.unique(points, axis=0)) < 3


def _sound(points: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    sound: np.ndarray[Any, np.dtype[np.bool_]] = (np.isfinite(points) & (np.abs(points) <= FARTHEST)).all(axis=1)
    return sound


def nested(regions: Sequence[Region]) -> list[Region]:
    """The regions in an order in which holes erase what lies around them, and islands in holes stay.

    Formats list outlines in any order. One that lies inside others (to rounding) comes after them; of equal ones the
    later is the inner one; among the rest, holes come last.
    """
    import shapely

    if all(region.label for region in regions):
        return list(regions)
    shapes = shapely.make_valid(np.array([region.geometry for region in regions], dtype=object))
    inner, outer = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    areas = shapely.area(shapes)
    hair = HAIR * areas[inner]
    above = (areas[outer] > areas[inner] + hair) | ((areas[outer] >= areas[inner] - hair) & (outer < inner))
    inner, outer, hair = inner[above], outer[above], hair[above]
    covered = shapely.area(shapely.intersection(shapes[inner], shapes[outer])) >= areas[inner] - hair
    depth = np.bincount(inner[covered], minlength=len(regions))
    order = sorted(range(len(regions)), key=lambda index: (depth[index], regions[index].label == 0))
    return [regions[index] for index in order]


def outlines_of(annotation: Annotation) -> list[tuple[Polygon, int]]:
    """What is visible of an annotation as single polygons with their holes, each with its class; not class 0.

    Ordered by the area within the outer ring, largest first: what fills a hole comes after it.
    """
    import shapely

    regions = annotation.polygons()
    drawn = annotation if isinstance(annotation, Polygons) else Polygons(regions)
    shapes: list[Polygon | MultiPolygon] = drawn.visible()
    found = [
        (part, region.label)
        for region, shape in zip(drawn.regions, shapes, strict=True)
        if region.label
        for part in shapely.get_parts(shape)
        if part.geom_type == "Polygon" and part.area > 0
    ]
    return sorted(found, key=lambda pair: -float(shapely.Polygon(pair[0].exterior).area))


def class_name(label: int, classes: Sequence[str]) -> str:
    """The name of a class. Raises `DataError` when there is none."""
    if label >= len(classes):
        raise DataError(f"a region has class {label}, but the classes are {', '.join(classes)}")
    return classes[label]


def read_xml(path: Path, root: str, kind: str) -> Element:
    """The root element of an XML file, which must be called `root`.

    Raises `DataError` for a file that is missing, empty, too large, malformed, not of this kind, or that declares
    entities (which can be made to expand without end).
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    check_file(path)
    try:
        element: Element | None = parse(path, forbid_dtd=False).getroot()
    except ParseError as error:
        raise DataError(f"{path} is not well-formed XML: {error}", fix="export the annotation again") from None
    except DefusedXmlException as error:
        what = f"{path} declares entities or refers to other files, which annotations never do: {error!r}"
        raise DataError(what, fix="export the annotation again, and ask where this file comes from") from None
    except (ValueError, LookupError) as error:  # an encoding that does not exist, or is not kept
        raise DataError(f"{path} cannot be decoded: {error}", fix="export the annotation again") from None
    if element is None or element.tag != root:
        found = "nothing" if element is None else f"<{element.tag}>"
        raise DataError(f"{path} is no {kind}: its root is {found}, expected <{root}>")
    return element


def check_file(path: Path) -> None:
    """Raise `DataError` unless `path` is a file of sensible size with something in it."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"the annotation {path} cannot be read: {error.strerror}", fix=f"ls {path.parent}") from None
    if not path.is_file():
        raise DataError(f"{path} is no file", fix=f"ls {path.parent}")
    if size == 0:
        raise DataError(f"the annotation {path} is empty", fix="export it again")
    if size > LARGEST:
        raise DataError(f"the annotation {path} has {size >> 20} MB, more than the {LARGEST >> 20} MB that are read")


def attribute(element: Element, name: str, path: Path) -> str:
    """An attribute that must be there. Raises `DataError`."""
    value = element.get(name)
    if value is None:
        raise DataError(f"{path}: an element <{element.tag}> lacks the attribute {name}")
    return value


def label_of(name: str, known: dict[str, int], path: Path, what: str) -> int:
    """The class of a name, whatever its case. Raises `DataError` that lists the known ones."""
    label = known.get(name.strip().lower())
    if label is None:
        names = ", ".join(known)
        raise DataError(f"{path}: unknown {what} {name!r}; known are: {names}", fix=f"rename it, or map it: {what}s=…")
    return label


def lowered(names: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Names in lower case with their class."""
    return {name.strip().lower(): label for name, label in names}
