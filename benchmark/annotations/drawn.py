"""From named shapes to an annotation, whatever file they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.class_names import HOLE, IGNORE, ClassNames, Meaning, is_frame
from benchmark.annotations.mending import mended
from benchmark.annotations.naming import meanings
from benchmark.annotations.notes import Kind, Note, distinct
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.shapes import Points, Shape, is_short
from benchmark.annotations.touching import touching
from benchmark.errors import DataError

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

HAIR = 1e-6
"""Share of its area by which an outline may stick out and still lie inside another."""
TOUCH = 1e-3
"""Share of its area from which on an outline lies on another, and does not only touch it."""

Pair = tuple[Shape, Meaning]


@dataclass
class Drawing:
    """Shapes as they are read, and what whoever uses the annotation should know of them.

    `noun`: what the format calls the name of an outline. `released_holes`: the names that LC-MIL's reader takes for
    holes, where it passes over all other ones; None where it has no such list.
    """

    path: Path
    noun: str = "classification"
    released_holes: tuple[str, ...] | None = None
    shapes: list[Shape] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    _counts: dict[tuple[str, Kind], tuple[int, str]] = field(default_factory=dict)

    def add(
        self,
        outer: Points,
        names: Sequence[str],
        place: str,
        *,
        inner: Sequence[Points] = (),
        negative: bool = False,
        layer: int = 0,
        meaning: Meaning | None = None,
    ) -> None:
        """Add one outline with the rings that are cut out of it; a line or a point is counted and left out."""
        import shapely

        if is_short(outer):
            self.count("outlines of fewer than three corners left out", place)
            return
        geometry = shapely.Polygon(outer, [hole for hole in inner if not is_short(hole)])
        self.shapes.append(Shape(geometry, tuple(names), place, negative, layer, meaning))

    def count(self, text: str, place: str, kind: Kind = Kind.PASSED_OVER) -> None:
        """Note that this happened once more: the note says how often, and the place of the first."""
        number, first = self._counts.get((text, kind), (0, place))
        self._counts[text, kind] = (number + 1, first)

    def finish(self, names: ClassNames | None = None) -> Polygons:
        """The annotation: names understood, holes above what they are cut from, ignored areas apart.

        Raises `AnnotationError` for names that nothing explains, and for outlines that enclose nothing to speak of.
        """
        raw, shapes = self._mended()
        understood, notes = meanings(shapes, names or ClassNames(), self.path, self.noun)
        pairs = [(shape, own) for shape, own in zip(shapes, understood, strict=True) if own is not None]
        ignored = [Region(s.geometry, 0 if s.negative else 1) for s, own in pairs if own == IGNORE]
        released = [
            Region(shape.geometry, _label(shape, own))
            for shape, own in zip(raw, understood, strict=True)
            if own is not None and self._released(shape, own)
        ]
        counted = [
            Note(f"{number} {text}", kind, place, str(self.path))
            for (text, kind), (number, place) in self._counts.items()
        ]
        return Polygons(
            nested(self._regions(pairs)),
            notes=distinct([*self.notes, *notes, *counted, *self._doubts(pairs)]),
            ignored=[region.geometry for region in _visible(nested(ignored))],
            drawn=released,
        )

    def _mended(self) -> tuple[list[Shape], list[Shape]]:
        """The shapes that have an area, as they were drawn and as they are valid."""
        raw, valid = [], []
        for shape in self.shapes:
            if shape.geometry.is_valid:
                whole = shape
            else:
                whole = replace(shape, geometry=mended(shape.geometry, f"{self.path}: {shape.place}"))
                if whole.geometry.area > 0:
                    self.count("outlines that cross themselves mended", shape.place, Kind.MENDED)
            if whole.geometry.area > 0:
                raw.append(shape)
                valid.append(whole)
            else:
                self.count("outlines without area left out", shape.place)
        return raw, valid

    def _released(self, shape: Shape, meaning: Meaning) -> bool:
        if meaning == HOLE:
            return self.released_holes is None or shape.names[:1] in {(name,) for name in self.released_holes}
        return isinstance(meaning, int) and meaning > 0

    def _regions(self, pairs: Sequence[Pair]) -> list[Region]:
        """What colours or cuts, in the order of the file; a negative outline cuts its own layer alone, a hole all."""
        marked = [pair for pair in pairs if pair[1] == HOLE or (isinstance(pair[1], int) and pair[1] > 0)]
        if len({shape.layer for shape, _ in marked}) < 2 or not any(shape.negative for shape, _ in marked):
            return [Region(shape.geometry, _label(shape, meaning)) for shape, meaning in marked]
        layers: dict[int, list[Region]] = {}
        holes: list[Region] = []
        for shape, meaning in marked:
            region = Region(shape.geometry, _label(shape, meaning))
            (holes if meaning == HOLE and not shape.negative else layers.setdefault(shape.layer, [])).append(region)
        sealed = [
            region
            for regions in layers.values()
            for region in (regions if all(own.label for own in regions) else _visible(nested(regions)))
        ]
        return [*sealed, *holes]

    def _doubts(self, pairs: Sequence[Pair]) -> list[Note]:
        """Holes that lie on nothing, and outlines of the negative class or to ignore that lie on a lesion."""
        lesion = [shape for shape, own in pairs if isinstance(own, int) and own > 0 and not shape.negative]
        notes = []
        for wanted, overlap, kind, text in (
            (HOLE, False, Kind.PASSED_OVER, "holes lie on nothing that they are cut from: their cells are negative"),
            (
                0,
                True,
                Kind.ASSUMED,
                "outlines of the negative class overlap a lesion: lesion where both are (NAME=hole cuts)",
            ),
            (IGNORE, True, Kind.ASSUMED, "areas to ignore overlap a lesion: where both are, nothing counts"),
        ):
            doubtful = [shape for shape, own in pairs if own == wanted and not any(map(is_frame, shape.names[:1]))]
            doubtful = [s for s, lies in zip(doubtful, _lie_on(doubtful, lesion), strict=True) if lies is overlap]
            if doubtful:
                notes.append(Note(f"{len(doubtful)} {text}", kind, doubtful[0].place, str(self.path)))
        return notes


def _label(shape: Shape, meaning: Meaning) -> int:
    return meaning if isinstance(meaning, int) and not shape.negative else 0


def _visible(regions: Sequence[Region]) -> list[Region]:
    return [Region(shape, label) for shape, label in outlines_of(Polygons(regions))]


def _lie_on(shapes: Sequence[Shape], others: Sequence[Shape]) -> list[bool]:
    """Whether each of the shapes shares area with any of the others."""
    import shapely

    found = [False] * len(shapes)
    if not shapes or not others:
        return found
    own = np.array([shape.geometry for shape in shapes], dtype=object)
    below = np.array([shape.geometry for shape in others], dtype=object)
    for index, other in zip(*(pair.tolist() for pair in touching(own, below)), strict=True):
        if not found[index]:
            inside = shapely.contains_properly(below[other], own[index])
            shared = own[index].area if inside else shapely.intersection(below[other], own[index]).area
            found[index] = shared > TOUCH * own[index].area
    return found


def nested(regions: Sequence[Region]) -> list[Region]:
    """The regions (valid ones), in an order in which holes erase what lies around them, and islands in holes stay.

    Formats list outlines in any order. One that lies inside others (to rounding) comes after them; of equal ones the
    later is the inner one; among the rest, holes come last.
    """
    import shapely

    if all(region.label for region in regions):
        return list(regions)
    shapes = np.array([region.geometry for region in regions], dtype=object)
    outer, inner = touching(shapes, shapes)
    areas = shapely.area(shapes)
    hair = HAIR * areas[inner]
    above = (areas[outer] > areas[inner] + hair) | ((areas[outer] >= areas[inner] - hair) & (outer < inner))
    inner, outer, hair = inner[above], outer[above], hair[above]
    covered = shapely.covers(shapes[outer], shapes[inner])
    points = shapely.point_on_surface(shapes[inner])
    doubtful = np.flatnonzero(~covered & shapely.intersects(shapes[outer], points))  # it may stick out by a hair
    shared = shapely.area(shapely.intersection(shapes[inner[doubtful]], shapes[outer[doubtful]]))
    covered[doubtful] = shared >= areas[inner[doubtful]] - hair[doubtful]
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
