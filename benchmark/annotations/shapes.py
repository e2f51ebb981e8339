"""From the corners that a file lists to shapes: rings, rectangles and ellipses, each with its names and its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.class_names import Meaning
from benchmark.errors import AnnotationError, DataError

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

Points = NDArray[np.float64]
Bounds = tuple[int, int, int, int]
"""x, y, width and height of the scanned area on the canvas of a slide, level-0 px."""
FARTHEST = 1e8
"""No slide has a corner beyond this, in px."""
GAP = 0.02
"""Share of its length by which the ends of a line may be apart and still close it."""
QUARTER = 64
"""Segments of a quarter of an ellipse: its area is then right to 1e-4."""
SQUARE = 1e-3
"""Share of its size by which a parallelogram's corners may be off."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One outline as a file has it; level-0 px.

    `names`: its own name, then those of what it lies in (a group's group, a layer). `place`: where in the file it is.
    `negative`: cut out of its own `layer`. `meaning`: given where the reader was told what the whole layer is.
    """

    geometry: Polygon | MultiPolygon
    names: tuple[str, ...]
    place: str
    negative: bool = False
    layer: int = 0
    meaning: Meaning | None = None


def ring(corners: Iterable[Sequence[Any]], what: str) -> Points:
    """The corners as n × 2 floats, without a third coordinate.

    Raises `DataError` naming `what` for anything but finite numbers.
    """
    try:
        points = np.array([(float(x), float(y)) for x, y, *_ in corners], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} has a corner that is no pair of numbers: {error}") from None
    sound = (np.isfinite(points) & (np.abs(points) <= FARTHEST)).all(axis=1)
    if not sound.all():
        raise DataError(f"{what} has a corner that no slide has: {points[~sound][0].tolist()}")
    return points


def is_short(points: Points) -> bool:
    """Whether a ring has fewer than three different corners."""
    if len(points) > 2 and len({tuple(corner) for corner in points[:8].tolist()}) > 2:
        return False
    return len(np.unique(points, axis=0)) < 3


def closes(points: Points) -> bool:
    """Whether the two ends of a line of four corners or more meet, to `GAP` of its length."""
    if len(points) < 4 or is_short(points):
        return False
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    return float(np.hypot(*(points[-1] - points[0]))) <= GAP * length


def rectangle(points: Points) -> Points:
    """The four corners of a rectangle given by two opposite ones; any other ring is returned as it is."""
    distinct = _open(points)
    if len(distinct) != 2:
        return points
    (left, top), (right, bottom) = distinct
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def ellipse(points: Points, what: str, area: float | None = None) -> Points:
    """The outline of an ellipse given by its box (two corners or four, also turned), or by the ends of its axes.

    The corners of a rectangle are a box, those of a rhombus the ends; of a turned square, which is both, `area` tells,
    what the file says the ellipse covers. Five corners or more are the outline itself. Raises `AnnotationError` for
    anything else.
    """
    corners = rectangle(_open(points))
    if len(corners) > 4:
        return points
    fix = "draw it again, or save it as a polygon"
    size = np.ptp(corners, axis=0).max() if len(corners) else 0.0
    if len(corners) != 4 or np.abs(corners[0] + corners[2] - corners[1] - corners[3]).max() > SQUARE * size:
        raise AnnotationError(f"{what} is an ellipse given by {len(corners)} corners that are no box", fix=fix)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    boxed = bool(abs(first @ second) <= SQUARE * size**2)
    ends = bool(abs(np.hypot(*first) - np.hypot(*second)) <= SQUARE * size)
    if boxed and ends and min(np.abs(first)) > SQUARE * size:
        if area is None:
            msg = f"{what} is an ellipse given by a turned square: its box, or the ends of its axes?"
            raise AnnotationError(msg, fix=fix)
        smaller = np.pi * float(np.hypot(*first) * np.hypot(*second))
        boxed = abs(area - smaller) < abs(area - 2 * smaller)
    elif not boxed and not ends:
        raise AnnotationError(f"{what} is an ellipse given by four corners that are no box", fix=fix)
    middle = corners.mean(axis=0)
    if not boxed:
        first, second = corners[0] - middle, corners[1] - middle
    angles = np.arange(4 * QUARTER) * (np.pi / 2 / QUARTER)
    outline: Points = middle + np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    return outline


def _open(points: Points) -> Points:
    """The ring without the repetition of its first corner at its end."""
    return points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points
