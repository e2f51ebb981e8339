"""Coarse annotations made from the truth, as the LC-MIL authors made theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.outlines import outlines
from benchmark.annotations.polygons import Polygons, released_raster
from benchmark.annotations.released import drawn_regions
from benchmark.slides.grid import Grid

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon
    from shapely.geometry.base import BaseGeometry


class CoarseOptions(BaseModel):
    """How coarse. The defaults are those recovered from LC-MIL's released annotations of 40× slides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: int = Field(256, ge=1, description="cell on which the truth is coarsened, level-0 px")
    dilation: int = Field(5, ge=0, le=100, description="half-width of the dilating square, cells")
    hull: bool = Field(True, description="take the convex hull of each region")
    keep: Literal["largest", "all"] = Field("largest", description="which regions of the truth are kept")
    halve: Literal["auto", "never", "always"] = Field(
        "auto", description="cut a region in half by a random line through its centroid; auto: if it is the only one"
    )
    rule: Literal["centre", "released"] = Field(
        "centre", description="how truth and outline meet the cells: centre rule, or LC-MIL's `released_raster`"
    )


def simulate_coarse(
    truth: Annotation, size: tuple[int, int], options: CoarseOptions, rng: np.random.Generator
) -> Polygons:
    """Coarsen a fine annotation of a slide of `size` (width, height): keep, halve, dilate, hull.

    Every class but 0 counts as positive; all regions of the result have label 1, and none is left when no
    cell is positive. Rasterised by the same rule on cells of the same size, the result gives exactly the
    cells of `coarse_cells` (under the rule "released": with their border erased).

    Source: LC-MIL (arXiv 2109.10778), Section IV; kernel recovered from the released polygons. The paper does
    not say how one-region slides are cut in half: a random line through the centroid is our choice.
    """
    grid = Grid.regular(size, options.cell)
    if options.rule == "released":
        cells = released_raster(drawn_regions(truth), grid.shape, options.cell)
    else:
        cells = truth.labels(grid) > 0
    return Polygons([Region(_drawn(mask, options), 1) for mask in coarse_cells(cells, options, rng)])


def coarse_cells(cells: NDArray[np.bool_], options: CoarseOptions, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """One mask (rows × cols) per kept region of `cells`, halved, dilated and hulled as the options say.

    Regions are 8-connected; of equally large ones the first in reading order is kept. The hull is that of
    the cell centres, border included (the released annotations show Pillow's border line, which enters a few
    cells more). Masks of several regions may overlap.
    """
    from scipy.ndimage import binary_dilation, label

    square = np.ones((3, 3), np.bool_)
    numbers, count = label(cells, structure=square)
    if count == 0:
        return []
    largest = 1 + int(np.argmax(np.bincount(numbers.ravel())[1:]))
    masks = []
    for number in [largest] if options.keep == "largest" else range(1, count + 1):
        mask = numbers == number
        if options.halve == "always" or (options.halve == "auto" and count == 1):
            mask = _half(mask, rng)
        if options.dilation:
            mask = binary_dilation(mask, structure=square, iterations=options.dilation)
        masks.append(_filled(_hull(mask), mask.shape, options.rule) if options.hull else mask)
    return masks


def border_chain(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The cells of one region that have a 4-neighbour outside, in order around it: n × 2 (col, row), 8-connected.

    Of a region with holes, the outer border.
    """
    from skimage.measure import find_contours

    contour = max(find_contours(np.pad(mask, 1).astype(np.float64), 0.999, fully_connected="high"), key=len)
    cells = np.rint(contour - 1).astype(np.int64)[:, ::-1]
    moved = np.any(cells != np.roll(cells, 1, axis=0), axis=1)
    chain: NDArray[np.int64] = cells[moved] if moved.any() else cells[:1]
    return chain


def _half(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """The cells on one side of a random line through their centroid."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, cols = np.nonzero(mask)
    side = (rows - rows.mean()) * np.sin(angle) + (cols - cols.mean()) * np.cos(angle) >= -1e-9
    half = np.zeros_like(mask)
    half[rows[side], cols[side]] = True
    return half


def _hull(mask: NDArray[np.bool_]) -> BaseGeometry:
    import shapely

    return shapely.MultiPoint(np.argwhere(mask)[:, ::-1]).convex_hull


def _filled(hull: BaseGeometry, shape: tuple[int, ...], rule: str) -> NDArray[np.bool_]:
    """Cells whose centre lies in the hull or on its border; released: also those that Pillow's border line enters."""
    import shapely

    if rule == "released" and isinstance(hull, shapely.Polygon):
        return released_raster([Region(hull, 1)], (shape[0], shape[1]), 1, outline=1)
    cols, rows = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    shapely.prepare(hull)
    return np.asarray(shapely.intersects_xy(hull, cols, rows), dtype=np.bool_)


def _drawn(mask: NDArray[np.bool_], options: CoarseOptions) -> Polygon | MultiPolygon:
    """The outline of one region in level-0 px; a hair wider than the hull, so that its border cells are inside."""
    import shapely
    from shapely import affinity

    if options.rule == "released":
        chain = border_chain(mask)
        return shapely.Polygon(chain * options.cell if len(chain) > 2 else None)
    hull = _hull(mask)
    if options.hull and isinstance(hull, shapely.Polygon):
        half = options.cell / 2
        centred = affinity.affine_transform(hull, [options.cell, 0, 0, options.cell, half, half])
        return centred.buffer(options.cell * 1e-6, join_style="mitre")
    return outlines(mask.astype(np.uint8), options.cell)[0][1]
