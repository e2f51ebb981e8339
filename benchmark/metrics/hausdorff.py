"""Hausdorff distances between objects of a label image: exact, without visiting every cell of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]

MANY = 300
"""From this number of points on it pays to look them up block by block."""


class Shape:
    """One object, held as the mask of its bounding box (`box`: first row, last row, first col, last col)."""

    def __init__(self, labels: NDArray[np.int32], number: int, window: tuple[slice, slice]) -> None:
        rows, cols = window
        self.mask: NDArray[np.bool_] = labels[window] == number
        self.box = (int(rows.start), int(rows.stop) - 1, int(cols.start), int(cols.stop) - 1)
        self.corner = np.array([self.box[0], self.box[2]])

    @cached_property
    def edge(self) -> Points:
        """Cells (n × 2: row, col) with at least one of their four neighbours outside the object."""
        padded = np.pad(self.mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        cells: Points = np.argwhere(self.mask & ~inner) + self.corner
        return cells

    @cached_property
    def tree(self) -> Any:
        """A k-d tree of the edge: the nearest cell to any cell outside the object lies on its edge."""
        from scipy.spatial import cKDTree

        return cKDTree(self.edge)

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Which of the points (n × 2) belong to the object."""
        local = points - self.corner
        inside: NDArray[np.bool_] = np.all((local >= 0) & (local < self.mask.shape), axis=1)
        inside[inside] = self.mask[tuple(local[inside].T)]
        return inside

    def outside_of(self, other: Shape) -> Points:
        """Own cells inside the other's bounding box that are not the other's."""
        top, left = max(self.box[0], other.box[0]), max(self.box[2], other.box[2])
        bottom, right = min(self.box[1], other.box[1]) + 1, min(self.box[3], other.box[3]) + 1
        if top >= bottom or left >= right:
            return np.empty((0, 2), dtype=np.int64)
        mine, theirs = (
            shape.mask[top - shape.box[0] : bottom - shape.box[0], left - shape.box[2] : right - shape.box[2]]
            for shape in (self, other)
        )
        cells: Points = np.argwhere(mine & ~theirs) + np.array([top, left])
        return cells


def directed(source: Shape, target: Shape) -> float:
    """The largest distance, in cells, from a cell of `source` to the nearest cell of `target`.

    Only two kinds of cell can be the farthest: edge cells of the source, and its cells inside the target's
    bounding box (in a hole of the target, for one). A cell outside that box and off the edge has a neighbour in
    the source that is farther from every cell of the target.
    """
    points = np.concatenate([source.edge[~target.holds(source.edge)], source.outside_of(target)])
    return _farthest(points, target.tree)


def _farthest(points: Points, tree: Any) -> float:
    """The largest distance from any of the points to the tree, 0 without points.

    Of many points, one of every 16 × 16 block is looked up first. Distances change by no more than the way between
    points, so blocks whose bound stays below the best are done; the rest goes on in blocks of 4 × 4, then singly.
    """
    best = 0.0
    for side in (16, 4):
        if len(points) < MANY:
            break
        blocks = (points - points.min(axis=0)) // side
        key = blocks[:, 0] * (blocks[:, 1].max() + 1) + blocks[:, 1]
        chosen = np.full(key.max() + 1, -1)
        chosen[key] = np.arange(len(points))
        used = chosen >= 0
        bound = np.zeros(len(chosen))
        bound[used] = tree.query(points[chosen[used]])[0]
        best = max(best, float(bound.max()))
        points = points[bound[key] + np.hypot(side - 1, side - 1) > best]
    return max(best, float(tree.query(points)[0].max())) if len(points) else best


def hausdorff(one: Shape, other: Shape) -> float:
    """H(A, B) = max(sup_{a∈A} inf_{b∈B} |a − b|, sup_{b∈B} inf_{a∈A} |a − b|), in cells, over all cells of both."""
    return max(directed(one, other), directed(other, one))


def nearest(shape: Shape, others: Sequence[Shape]) -> float:
    """The smallest Hausdorff distance from one object to any of the others (at least one).

    The largest difference between the sides of two bounding boxes never exceeds the distance of the objects, so
    the others are tried in that order until the bound passes the best distance found.
    """
    bounds = np.abs(np.array([other.box for other in others]) - shape.box).max(axis=1)
    best = np.inf
    for index in np.argsort(bounds, kind="stable"):
        if bounds[index] >= best:
            break
        distance = directed(others[index], shape)
        if distance < best:
            best = min(best, max(distance, directed(shape, others[index])))
    return float(best)
