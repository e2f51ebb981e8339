"""Which shapes meet which, among thousands, whatever the number of their corners."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Shapes = NDArray[Any]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def touching(own: Shapes, others: Shapes) -> Pairs:
    """Indices into `own` and `others` of all pairs that intersect.

    A tree that is asked for a predicate walks along every corner of a large shape for every small one; here boxes are
    compared first, and the shape with more corners is prepared once.
    """
    import shapely

    one, other = shapely.STRtree(others).query(own)
    shapely.prepare(own)
    shapely.prepare(others)
    first = shapely.get_num_coordinates(own)[one] >= shapely.get_num_coordinates(others)[other]
    larger = np.where(first, own[one], others[other])
    smaller = np.where(first, others[other], own[one])
    meet = shapely.intersects(larger, smaller)
    return one[meet].astype(np.int64), other[meet].astype(np.int64)
