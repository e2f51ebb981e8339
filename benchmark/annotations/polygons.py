"""Annotations that are outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.mending import mended
from benchmark.annotations.notes import Note
from benchmark.annotations.touching import touching
from benchmark.errors import DataError
from benchmark.slides.grid import Grid

if TYPE_CHECKING:
    from shapely import LinearRing, MultiPolygon, Polygon


class Polygons(Annotation):
    """Outlines in level-0 pixels, in the order they were drawn: later ones overwrite earlier ones, label 0 erases.

    `regions`: the outlines that have an area. Invalid ones (crossing themselves) are mended; `repaired` counts these,
    `dropped` those that had no area to keep.
    `ignored`: areas whose cells count nowhere, whatever class is drawn there.
    `drawn`: outlines as the file has them, in its order and not mended, by default the regions.
    `notes`: what whoever uses the annotation should know, from the file it was read from.
    """

    def __init__(
        self,
        regions: Sequence[Region] = (),
        *,
        notes: Sequence[Note] = (),
        ignored: Sequence[Polygon | MultiPolygon] = (),
        drawn: Sequence[Region] | None = None,
    ) -> None:
        valid = [region.geometry.is_valid for region in regions]
        whole = [
            region if sound else Region(mended(region.geometry, f"region {number}"), region.label)
            for number, (region, sound) in enumerate(zip(regions, valid, strict=True), start=1)
        ]
        self.regions = tuple(region for region in whole if region.geometry.area > 0)
        self.notes = tuple(notes)
        self.ignored_areas = tuple(ignored)
        self.drawn = tuple(regions if drawn is None else drawn)
        self.repaired = len(regions) - sum(valid)
        self.dropped = len(regions) - len(self.regions)

    def moved(self, x: float, y: float, *notes: Note) -> Polygons:
        """The same annotation, x and y px further on, with notes that say so."""
        from shapely.affinity import translate

        def shifted(regions: Sequence[Region]) -> list[Region]:
            return [Region(translate(region.geometry, x, y), region.label) for region in regions]

        ignored = [translate(area, x, y) for area in self.ignored_areas]
        return Polygons(shifted(self.regions), notes=(*self.notes, *notes), ignored=ignored, drawn=shifted(self.drawn))

    def scaled(self, times: float) -> Polygons:
        """The same annotation with every coordinate multiplied, as in pixels of another size."""
        from shapely.affinity import scale

        def grown(regions: Sequence[Region]) -> list[Region]:
            return [Region(scale(region.geometry, times, times, origin=(0, 0)), region.label) for region in regions]

        ignored = [scale(area, times, times, origin=(0, 0)) for area in self.ignored_areas]
        return Polygons(grown(self.regions), notes=self.notes, ignored=ignored, drawn=grown(self.drawn))

    def ignored(self, grid: Grid) -> NDArray[np.bool_]:
        """Cells whose centre lies in an area to ignore, rows × cols: they count nowhere."""
        found = np.zeros(grid.shape, np.int32)
        for area in self.ignored_areas:
            _paint(found, area, grid, 1)
        return found > 0

    def labels(self, grid: Grid) -> NDArray[np.int8]:
        """Class index under the centre of each cell, rows × cols."""
        classes = np.array([0, *(region.label for region in self.regions)], np.int8)
        found: NDArray[np.int8] = classes[self._topmost(grid)]
        return found

    def instances(self, grid: Grid) -> NDArray[np.int32]:
        """1 + index of the region under the centre of each cell, rows × cols; 0 = background, also in holes."""
        topmost = self._topmost(grid)
        return np.where(self.labels(grid) > 0, topmost, 0).astype(np.int32)

    def fractions(self, grid: Grid, classes: int) -> NDArray[np.float64]:
        """Exact share of each patch that each class covers (areas of intersection), rows × cols × classes."""
        shares = np.zeros((*grid.shape, classes))
        for region, visible in zip(self.regions, self.visible(), strict=True):
            if not 0 <= region.label < classes:
                raise DataError(f"a region has class {region.label}, but there are {classes} classes")
            if region.label > 0 and not visible.is_empty:
                rows, cols = _touched(grid, visible.bounds)
                shares[rows, cols, region.label] += _areas(visible, grid, rows, cols) / (grid.width * grid.height)
        shares[..., 0] = 1 - shares[..., 1:].sum(axis=-1)
        return shares.clip(0, 1)

    def count(self) -> int:
        """Number of separate outlines of a positive class; holes are not counted."""
        import shapely

        return sum(int(shapely.get_num_geometries(region.geometry)) for region in self.regions if region.label > 0)

    def polygons(self) -> tuple[Region, ...]:
        """The regions as they were drawn, holes (label 0) among them."""
        return self.regions

    def _topmost(self, grid: Grid) -> NDArray[np.int32]:
        found = np.zeros(grid.shape, np.int32)
        for number, region in enumerate(self.regions, start=1):
            _paint(found, region.geometry, grid, number)
        return found

    def visible(self) -> list[Polygon | MultiPolygon]:
        """What later regions leave of each region, in their order."""
        import shapely

        shapes = np.array([region.geometry for region in self.regions], dtype=object)
        later: list[list[int]] = [[] for _ in shapes]
        for below, above in zip(*(pair.tolist() for pair in touching(shapes, shapes)), strict=True):
            if above > below:
                later[below].append(above)
        return [
            shapely.difference(shape, shapely.union_all(shapes[above])) if above else shape
            for shape, above in zip(shapes, later, strict=True)
        ]


def _paint(cells: NDArray[np.int32], shape: Polygon | MultiPolygon, grid: Grid, number: int) -> None:
    """Write `number` into the cells whose centre lies in `shape`; a centre exactly on the outline is outside."""
    import shapely

    if shape.is_empty:
        return
    left, top, right, bottom = shape.bounds
    x, y = grid.centres
    rows = slice(*np.searchsorted(y, [top, bottom]).tolist())
    cols = slice(*np.searchsorted(x, [left, right]).tolist())
    shapely.prepare(shape)
    across, down = np.meshgrid(x[cols], y[rows])
    cells[rows, cols][shapely.contains_xy(shape, across, down)] = number


def released_raster(
    regions: Sequence[Region], shape: tuple[int, int], unit: float, *, outline: int = 0
) -> NDArray[np.bool_]:
    """Cells (rows × cols, `unit` level-0 px each) as LC-MIL's released code rasterises its polygons.

    Pillow fills each polygon and then draws its border with `outline`: 0 erases the border cells, also those
    of an earlier polygon, 1 keeps them. Coordinates divided by `unit` count as cell *indices*, half a cell
    off the centre rule. Holes (inner rings, then regions of label 0) are erased last.
    """
    import shapely
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    outer: list[LinearRing] = []
    inner: list[LinearRing] = []
    for region in regions:
        for polygon in shapely.get_parts(region.geometry):
            (outer if region.label > 0 else inner).append(polygon.exterior)
            inner.extend(polygon.interiors if region.label > 0 else ())
    for rings, fill, border in ((outer, 1, outline), (inner, 0, 0)):
        for ring in rings:
            corners = shapely.get_coordinates(ring) / unit
            draw.polygon([(x, y) for x, y in corners.tolist()], fill=fill, outline=border)
    return np.asarray(canvas, dtype=np.bool_)


def _touched(grid: Grid, bounds: tuple[float, float, float, float]) -> tuple[slice, slice]:
    left, top, right, bottom = bounds
    rows = np.searchsorted(grid.y + grid.height, top), np.searchsorted(grid.y, bottom)
    cols = np.searchsorted(grid.x + grid.width, left), np.searchsorted(grid.x, right)
    return slice(int(rows[0]), int(rows[1])), slice(int(cols[0]), int(cols[1]))


def _areas(shape: Polygon | MultiPolygon, grid: Grid, rows: slice, cols: slice) -> NDArray[np.float64]:
    """Area of `shape` within every patch; only patches that its outline crosses are intersected."""
    import shapely

    left, top = np.meshgrid(grid.x[cols], grid.y[rows])
    boxes = shapely.box(left, top, left + grid.width, top + grid.height)
    shapely.prepare(shape)
    inside = shapely.contains(shape, boxes)
    crossed = shapely.intersects(shape, boxes) & ~inside
    areas = np.where(inside, float(grid.width * grid.height), 0.0)
    areas[crossed] = shapely.area(shapely.intersection(shape, boxes[crossed]))
    return areas
