"""Whether an annotation was drawn in the pixels of its slide, judged by where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation
from benchmark.errors import DataError
from benchmark.slides.grid import Grid

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

OVER = 1.05
"""How far beyond the slide an outline may reach by carelessness, as a factor of its size."""
OFF_TISSUE, ON_TISSUE = 0.1, 0.5
"""Below the first share on tissue an annotation is suspected, above the second a scale is believed."""


def check_extent(
    annotation: Annotation,
    size: tuple[int, int],
    downsamples: Sequence[float],
    *,
    where: str,
    tissue: tuple[NDArray[np.bool_], Grid] | None = None,
) -> tuple[str, ...]:
    """Notes on an annotation that fits its slide of `size` (width, height).

    `downsamples`: of the slide's levels. `tissue`: which cells of a grid hold tissue; with it, an annotation drawn in
    the pixels of a smaller level is found too: next to nothing of it lies on tissue, and most of it would at
    the scale of a level.

    Raises `DataError` naming `where` and the factor that would fit, when the annotation is in other pixels.
    """
    import shapely

    shapes = [region.geometry for region in annotation.polygons() if region.label > 0]
    if not shapes:
        return ()
    drawn = shapely.union_all(shapely.make_valid(np.array(shapes, dtype=object)))
    _, _, right, bottom = drawn.bounds
    over = max(right / size[0], bottom / size[1])
    if over > OVER:
        factor = min((f for f in downsamples if f >= over / OVER and f > 1), default=over)
        msg = f"{where}: the annotation reaches to ({right:.0f}, {bottom:.0f}) px, the slide has {size[0]}×{size[1]}"
        raise DataError(f"{msg}: it was drawn in other pixels", fix=f"divide its coordinates by {factor:.4g}")
    _check_small(drawn, downsamples, where, tissue)
    beyond = drawn.area - drawn.intersection(shapely.box(0, 0, *size)).area
    if drawn.area and beyond > 1e-9 * drawn.area:
        return (f"{beyond / drawn.area:.1%} of the annotated area lies beyond the slide and counts for nothing",)
    return ()


def _check_small(
    drawn: BaseGeometry, downsamples: Sequence[float], where: str, tissue: tuple[NDArray[np.bool_], Grid] | None
) -> None:
    if tissue is None or not tissue[0].any() or tissue[0].all():
        return
    mask, grid = tissue
    share = _on_tissue(drawn, mask, grid, 1.0)
    if share >= OFF_TISSUE:
        return
    fitting = [(factor, _on_tissue(drawn, mask, grid, factor)) for factor in downsamples if factor > 1]
    factor, best = max(fitting, key=lambda pair: pair[1], default=(1.0, 0.0))
    if best > ON_TISSUE:
        msg = f"{where}: {share:.0%} of the annotated area lies on tissue, but {best:.0%} would at {factor:.4g} times"
        raise DataError(f"{msg} its scale: it was drawn in another level's pixels", fix=f"multiply by {factor:.4g}")


def _on_tissue(drawn: BaseGeometry, mask: NDArray[np.bool_], grid: Grid, factor: float) -> float:
    """Share of the shape's area, enlarged by `factor`, that lies in tissue cells; 0 when it leaves the slide."""
    import shapely
    from shapely.affinity import scale

    shape = scale(drawn, factor, factor, origin=(0, 0))
    x, y = grid.centres
    shapely.prepare(shape)
    inside = shapely.contains_xy(shape, *np.meshgrid(x, y))
    if inside.any():
        return float(mask[inside].mean())
    row = int(np.abs(y - shape.centroid.y).argmin())
    col = int(np.abs(x - shape.centroid.x).argmin())
    return float(mask[row, col])
