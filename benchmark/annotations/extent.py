"""Whether an annotation was drawn in the pixels of its slide, judged by where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.labelimage import LabelImage
from benchmark.annotations.notes import Kind, Note
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.shapes import Bounds
from benchmark.errors import AnnotationError, DataError
from benchmark.slides.grid import Grid

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

OVER = 1.05
"""How far beyond the slide an outline may reach by carelessness, as a factor of its size."""
FITS = 0.98
"""Share of an annotation that lies in the scanned area when it was drawn there."""
CLEAR = 0.2
"""By how much more of it must lie there than under the other reading."""
OFF_TISSUE, ON_TISSUE = 0.1, 0.5
"""Below the first share on tissue an annotation is suspected, above the second a scale is believed."""


def placed(
    annotation: Annotation,
    size: tuple[int, int],
    bounds: Bounds | None,
    *,
    where: str,
    origin: Literal["canvas", "bounds"] | None = None,
    tissue: tuple[NDArray[np.bool_], Grid] | None = None,
) -> Annotation:
    """The annotation on the canvas of its slide of `size` (width, height), wherever its viewer counts from.

    Viewers count from the corner of the canvas (OpenSlide, ASAP) or from that of the scanned area (QuPath on MRXS
    and SCN). `bounds`: the scanned area. `origin` says which; without it, outlines that fit only one of the two, or
    lie on `tissue` only as one of the two, decide, which the notes say.

    Raises `AnnotationError` naming `where` and the option when that leaves it open.
    """
    import shapely
    from shapely.affinity import translate

    if bounds is None or bounds[:2] == (0, 0) or origin == "canvas" or not isinstance(annotation, Polygons):
        return annotation
    x, y, width, height = bounds
    shapes = [region.geometry for region in annotation.regions] + list(annotation.ignored_areas)
    if origin == "bounds" or not shapes:
        return annotation.moved(x, y)
    drawn = shapely.union_all(np.array(shapes, dtype=object))
    inside = {
        "canvas": drawn.intersection(shapely.box(x, y, x + width, y + height)).area / drawn.area,
        "bounds": drawn.intersection(shapely.box(0, 0, width, height)).area / drawn.area,
    }
    decided, why = _decided(inside, FITS), "of its area lies in the scanned area"
    if decided is None and tissue is not None:
        mask, grid = tissue
        inside = {
            "canvas": _on_tissue(drawn, mask, grid, 1.0),
            "bounds": _on_tissue(translate(drawn, x, y), mask, grid, 1.0),
        }
        decided, why = _decided(inside, ON_TISSUE), "of its area lies on tissue"
    shares = f"{inside['canvas']:.0%} {why} if its coordinates count from the canvas"
    shares += f", {inside['bounds']:.0%} if they count from the scanned area, which begins at ({x}, {y})"
    if decided is None:
        msg = f"{where}: nothing tells where the annotation was drawn: {shares}"
        raise AnnotationError(msg, fix="--set origin=canvas   (or origin=bounds, as QuPath counts)")
    note = Note(f"coordinates taken from the {decided} ({shares})", Kind.DECIDED)
    return annotation.moved(x, y, note) if decided == "bounds" else annotation.moved(0, 0, note)


def _decided(shares: Mapping[str, float], least: float) -> str | None:
    """The one of two that reaches `least`, where the other stays clearly below."""
    best, other = sorted(shares, key=lambda name: -shares[name])
    return best if shares[best] >= least and shares[other] < shares[best] - CLEAR else None


def check_extent(
    annotation: Annotation,
    size: tuple[int, int],
    downsamples: Sequence[float],
    *,
    where: str,
    tissue: tuple[NDArray[np.bool_], Grid] | None = None,
) -> tuple[Note, ...]:
    """Notes on an annotation that fits its slide of `size` (width, height).

    `downsamples`: of the slide's levels. `tissue`: which cells of a grid hold tissue; with it, an annotation drawn in
    the pixels of a smaller level is found too: next to nothing of it lies on tissue, and most of it would at
    the scale of a level.

    Raises `DataError` naming `where` and the factor that would fit, when the annotation is in other pixels.
    """
    import shapely

    if isinstance(annotation, LabelImage):  # made to fit when it was read
        return ()
    shapes = [region.geometry for region in annotation.polygons() if region.label > 0]
    if not shapes:
        return ()
    drawn = shapely.union_all(shapely.make_valid(np.array(shapes, dtype=object)))
    _, _, right, bottom = drawn.bounds
    over = max(right / size[0], bottom / size[1])
    if over > OVER:
        factor = min((f for f in downsamples if f >= over / OVER and f > 1), default=over)
        msg = f"{where}: the annotation reaches to ({right:.0f}, {bottom:.0f}) px, the slide has {size[0]}×{size[1]}"
        fix = f"is it the annotation of this slide? then divide its coordinates by {factor:.4g}"
        raise DataError(f"{msg}: it was drawn in other pixels, or on another slide", fix=fix)
    _check_small(drawn, downsamples, where, tissue)
    beyond = drawn.area - drawn.intersection(shapely.box(0, 0, *size)).area
    if drawn.area and beyond > 1e-9 * drawn.area:
        text = f"{beyond / drawn.area:.1%} of the annotated area lies beyond the slide and counts for nothing"
        return (Note(text, Kind.PASSED_OVER),)
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
