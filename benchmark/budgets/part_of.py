"""A part of an annotation, read by the same rule as the whole."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import Annotation, Polygons, Region
from benchmark.annotations.drawn import HAIR
from benchmark.annotations.mending import mended
from benchmark.annotations.touching import touching
from benchmark.errors import DataError

if TYPE_CHECKING:
    from shapely import Polygon

    from benchmark.slides import Grid


def pieces(annotation: Annotation) -> list[Region]:
    """Its outlines, those of several parts taken apart as the ledger counts them; holes (class 0) among them."""
    import shapely

    return [Region(piece, own.label) for own in annotation.polygons() for piece in shapely.get_parts(own.geometry)]


def part_of(annotation: Annotation, kept: frozenset[int], number: int) -> Annotation:
    """The annotation with those alone of its `number` pieces whose numbers (from 0) are `kept`.

    One that holds another, to read it by a rule of its own, is the same around the part of that one. Raises `DataError`
    where the pieces of the other are not one for one its own. Areas to ignore and notes are those of the whole.
    """
    held = {name: own for name, own in vars(annotation).items() if isinstance(own, Annotation)}
    if held:
        part = copy(annotation)
        vars(part).update({name: part_of(own, kept, number) for name, own in held.items()})
        return part
    whole = pieces(annotation)
    if len(whole) != number:
        what = f"{type(annotation).__name__} has {len(whole)} outlines, what holds it has {number}: expected as many"
        raise DataError(what, fix="let `polygons` of what holds it return its outlines one for one; or no budget")
    chosen = [own for each, own in enumerate(whole) if each in kept]
    if not isinstance(annotation, Polygons):
        return _Traced(chosen, annotation)
    drawn = _drawn(annotation, whole, kept)
    return Polygons(chosen, notes=annotation.notes, ignored=annotation.ignored_areas, drawn=drawn)


class _Traced(Polygons):
    """Outlines of an annotation that is none itself; what it ignores is asked of the whole."""

    def __init__(self, regions: Sequence[Region], whole: Annotation) -> None:
        super().__init__(regions, notes=whole.notes)
        self._whole = whole

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """As the whole has them."""
        return self._whole.ignored(grid)


def _drawn(annotation: Polygons, whole: Sequence[Region], kept: frozenset[int]) -> list[Region]:
    """The outlines as the file has them: holes, and what is kept with all its pieces.

    Of an outline that is kept in part, the pieces that are; of one that its own layer cut, what is kept of the rest.
    """
    import shapely

    valid = [mended(own.geometry, "an outline") for own in annotation.drawn]
    shapes = [list(shapely.get_parts(own)) for own in valid]
    twins = _twins([shape for own in shapes for shape in own], whole, kept)
    spare = [number for number in sorted(kept - set(twins.values())) if whole[number].label]
    result: list[Region] = []
    first = 0
    for own, own_shapes in zip(annotation.drawn, shapes, strict=True):
        numbers = [twins.get(first + each) for each in range(len(own_shapes))]
        first += len(own_shapes)
        if not own.label or all(number in kept for number in numbers):
            result.append(own)
            continue
        cut = [shape for shape, number in zip(own_shapes, numbers, strict=True) if number is None]
        left = [number for number in spare if any(_within(whole[number], shape) for shape in cut)]
        result += [whole[number] for number in (*numbers, *left) if number is not None and number in kept]
    return result


def _twins(shapes: Sequence[Polygon], whole: Sequence[Region], kept: frozenset[int]) -> dict[int, int]:
    """Number of a shape → number of the lesion that is alike to rounding, if any; of equal ones, one that is kept."""
    import shapely

    lesions = sorted((number in kept, number) for number, own in enumerate(whole) if own.label)
    if not shapes or not lesions:
        return {}
    own = np.array(shapes, dtype=object)
    others = np.array([whole[number].geometry for _, number in lesions], dtype=object)
    one, other = touching(own, others)
    near = np.abs(shapely.area(own[one]) - shapely.area(others[other])) <= HAIR * shapely.area(own[one])
    one, other = one[near], other[near]
    alike = shapely.area(shapely.symmetric_difference(own[one], others[other])) <= HAIR * shapely.area(own[one])
    pairs = sorted(zip(one[alike].tolist(), other[alike].tolist(), strict=True))
    return {shape: lesions[place][1] for shape, place in pairs}


def _within(lesion: Region, shape: Polygon) -> bool:
    return bool(shape.contains(lesion.geometry.representative_point()))
