"""From label pixels to outlines along the pixel edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon


def count_separate(bands: Iterable[tuple[int, NDArray[Any]]]) -> int:
    """How many 4-connected areas of one positive number there are, in bands of rows from the top."""
    from skimage.measure import label

    total, merged = 0, 0
    above_numbers: NDArray[Any] | None = None
    above_areas: NDArray[Any] | None = None
    for _, numbers in bands:
        areas = label(numbers, background=0, connectivity=1)
        total += int(areas.max(initial=0))
        seam: dict[int, int] = {}
        if above_numbers is not None and above_areas is not None:
            merged += _joined(above_areas, areas[0], (above_numbers == numbers[0]) & (numbers[0] > 0), seam)
        above_numbers = numbers[-1]
        above_areas = _carried(areas[-1], seam)
    return total - merged


def _joined(above: NDArray[Any], below: NDArray[Any], same: NDArray[np.bool_], seam: dict[int, int]) -> int:
    """Join the areas that meet at a seam, and count how many joins made one of two. Areas above are named below 0."""
    leader: dict[int, int] = {}

    def root(area: int) -> int:
        while leader.setdefault(area, area) != area:
            area = leader[area]
        return area

    joins = 0
    for upper, lower in set(zip((-1 - above[same]).tolist(), below[same].tolist(), strict=True)):
        one, other = root(upper), root(lower)
        if one != other:
            leader[max(one, other)] = min(one, other)
            joins += 1
    seam.update({area: root(area) for area in list(leader) if area > 0})
    return joins


def _carried(areas: NDArray[Any], seam: dict[int, int]) -> NDArray[Any]:
    """The areas of a band's last row, those that a seam joined under one number."""
    present, inverse = np.unique(areas, return_inverse=True)
    leaders: dict[int, int] = {}
    named = [0 if area == 0 else leaders.setdefault(seam.get(area, area), area) for area in present.tolist()]
    carried: NDArray[Any] = np.array(named)[inverse.reshape(areas.shape)]
    return carried


def outlines_by_bands(
    bands: Iterable[tuple[int, NDArray[Any]]], scale: float
) -> list[tuple[int, Polygon | MultiPolygon]]:
    """`outlines` of an image that comes in bands of rows from the top."""
    import shapely

    parts: dict[int, list[Polygon | MultiPolygon]] = {}
    several = False
    for first, numbers in bands:
        several = several or first > 0
        for number, shape in outlines(numbers, scale, first):
            parts.setdefault(number, []).append(shape)
    if not several:
        return [(number, shape) for number, [shape] in sorted(parts.items())]
    return [(number, shapely.union_all(shapes).simplify(0)) for number, shapes in sorted(parts.items())]


def outlines(numbers: NDArray[Any], scale: float, first: int = 0) -> list[tuple[int, Polygon | MultiPolygon]]:
    """(number, outline) of every positive number, ascending; coordinates are pixel edges times `scale`.

    `first`: the row of the image that the first row of `numbers` is.

    Holes stay holes. Every pixel centre lies inside the outline of its own number and of no other.
    """
    from scipy.ndimage import find_objects

    found = []
    for number, window in enumerate(find_objects(numbers.astype(np.int32)), start=1):
        if window is not None:
            rows, cols = window
            found.append((number, _outline(numbers[window] == number, cols.start, first + rows.start, scale)))
    return found


def _outline(mask: NDArray[np.bool_], x: int, y: int, scale: float) -> Polygon | MultiPolygon:
    """The union of all horizontal runs of pixels; runs that repeat in the next row are one box."""
    import shapely

    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, left = np.nonzero(steps == 1)
    right = np.nonzero(steps == -1)[1]
    order = np.lexsort((row, right, left))
    row, left, right = row[order], left[order], right[order]
    new = np.ones(row.size, np.bool_)
    new[1:] = (np.diff(row) != 1) | (np.diff(left) != 0) | (np.diff(right) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], row.size) - 1
    boxes = shapely.box(
        (left[first] + x) * scale, (row[first] + y) * scale, (right[first] + x) * scale, (row[last] + 1 + y) * scale
    )
    outline: Polygon | MultiPolygon = shapely.union_all(boxes).simplify(0)
    return outline
