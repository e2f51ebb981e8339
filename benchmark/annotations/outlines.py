"""From label pixels to outlines along the pixel edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon


def separate(numbers: NDArray[Any]) -> int:
    """How many 4-connected areas of one positive number there are."""
    from skimage.measure import label

    return int(label(numbers, background=0, connectivity=1).max(initial=0))


def outlines(numbers: NDArray[Any], scale: float) -> list[tuple[int, Polygon | MultiPolygon]]:
    """(number, outline) of every positive number, ascending; coordinates are pixel edges times `scale`.

    Holes stay holes. Every pixel centre lies inside the outline of its own number and of no other.
    """
    from scipy.ndimage import find_objects

    found = []
    for number, window in enumerate(find_objects(numbers.astype(np.int32)), start=1):
        if window is not None:
            rows, cols = window
            found.append((number, _outline(numbers[window] == number, cols.start, rows.start, scale)))
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
