"""Outlines that cross themselves: what they enclose an odd number of times, found in bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import AnnotationError

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

FEW = 64
"""Crossings up to which GEOS mends an outline itself; its time grows with their square."""
MOST = 50_000
"""Crossings beyond which a line encloses nothing that anybody meant."""
CHUNK = 2048
"""Segments, or rays, that are looked at together."""


def mended(shape: Polygon | MultiPolygon, where: str) -> Polygon | MultiPolygon:
    """A valid shape of what an outline encloses an odd number of times, as `shapely.make_valid` has it; may be empty.

    Takes seconds whatever the outline. Raises `AnnotationError` naming `where` for one that crosses itself more than
    `MOST` times.
    """
    import shapely

    if shape.is_valid:
        return shape
    starts, ends = _segments(shape)
    crossings = _crossings(starts, ends)
    if crossings > MOST:
        msg = f"{where} crosses itself more than {MOST} times in {len(starts)} corners: it encloses no area to speak of"
        raise AnnotationError(msg, fix="draw this outline again, or delete it")
    if crossings > FEW:
        return _odd_faces(starts, ends)
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    whole: Polygon | MultiPolygon = shapely.union_all([part for part in parts if part.area > 0])
    return whole


def _segments(shape: Polygon | MultiPolygon) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last point of every segment of every ring, each n × 2; those without length left out."""
    import shapely

    points, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shape)), return_index=True)
    same = (ring[1:] == ring[:-1]) & (points[1:] != points[:-1]).any(axis=1)
    return points[:-1][same], points[1:][same]


def _crossings(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> int:
    """How many pairs of segments cross, each within the other; the count stops soon after `MOST`."""
    import shapely

    lines = shapely.linestrings(np.stack([starts, ends], axis=1))
    tree, found = shapely.STRtree(lines), 0
    for first in range(0, len(lines), CHUNK):
        own, other = tree.query(lines[first : first + CHUNK])
        own = own + first
        later = other > own
        found += int(_cross(starts, ends, own[later], other[later]).sum())
        if found > MOST:
            break
    return found


def _cross(
    starts: NDArray[np.float64], ends: NDArray[np.float64], one: NDArray[Any], other: NDArray[Any]
) -> NDArray[np.bool_]:
    def side(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
        signs: NDArray[np.float64] = np.sign(
            (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        )
        return signs

    a, b, c, d = starts[one], ends[one], starts[other], ends[other]
    crossing: NDArray[np.bool_] = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
    return crossing


def _odd_faces(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> Polygon | MultiPolygon:
    """The faces between the lines that an odd number of lines separates from the outside."""
    import shapely

    lines = shapely.linestrings(np.stack([starts, ends], axis=1))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all(lines))))
    inside = shapely.get_coordinates(shapely.point_on_surface(faces))
    tree = shapely.STRtree(lines)
    right = float(max(starts[:, 0].max(), ends[:, 0].max())) + 1
    odd = np.zeros(len(faces), np.bool_)
    for first in range(0, len(faces), CHUNK):
        x, y = inside[first : first + CHUNK].T
        ray, line = tree.query(shapely.box(x, y, right, y))
        (ax, ay), (bx, by) = starts[line].T, ends[line].T
        spans = (ay > y[ray]) != (by > y[ray])
        ray, ax, ay, bx, by = ray[spans], ax[spans], ay[spans], bx[spans], by[spans]
        beyond = ax + (y[ray] - ay) / (by - ay) * (bx - ax) > x[ray]
        odd[first : first + CHUNK] = np.bincount(ray[beyond], minlength=len(x)) % 2 == 1
    whole: Polygon | MultiPolygon = shapely.union_all(faces[odd])
    return whole
