"""Simulated coarse annotations, down to the released polygon of one real slide."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from benchmark.annotations import CoarseOptions, LabelImage, Polygons, Region, simulate_coarse
from benchmark.annotations.polygons import released_raster
from benchmark.annotations.simulate import border_chain, coarse_cells
from benchmark.slides import Grid

Cells = NDArray[np.bool_]
cell_masks = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(lambda shape: arrays(np.bool_, shape))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def blobs() -> Cells:
    """Two regions, of 60 and 9 cells, in 40 × 40."""
    cells = np.zeros((40, 40), np.bool_)
    cells[12:15, 12:26] = cells[15:24, 12:14] = cells[30:33, 30:33] = True
    return cells


def only(cells: Cells, **options: Any) -> Cells:
    [mask] = coarse_cells(cells, CoarseOptions(**options), rng())
    return mask


def test_largest_region_dilated_and_hulled(blobs: Cells) -> None:
    assert only(blobs, dilation=0, hull=False).sum() == 60
    assert only(blobs, hull=False).sum() == 420
    assert only(blobs, rule="released").sum() == 468
    corners = shapely.MultiPoint(np.argwhere(only(blobs, rule="released"))[:, ::-1]).convex_hull.exterior
    assert {(7, 7), (30, 7), (30, 19), (18, 28), (7, 28)} <= set(corners.coords)


def test_the_hull_of_the_centre_rule_is_the_geometric_one(blobs: Cells) -> None:
    mask = only(blobs)
    hull = shapely.MultiPoint(np.argwhere(only(blobs, hull=False))[:, ::-1]).convex_hull
    cols, rows = np.meshgrid(np.arange(40), np.arange(40))
    np.testing.assert_array_equal(mask, shapely.intersects_xy(hull, cols, rows))


def test_the_border_chain_rasterised_again_loses_its_border(blobs: Cells) -> None:
    mask = only(blobs, rule="released")
    labels = released_raster([Region(shapely.Polygon(border_chain(mask)), 1)], mask.shape, 1)
    assert labels.sum() == 389
    np.testing.assert_array_equal(labels, ndimage.binary_erosion(mask))
    confusion = [(blobs & labels).sum(), (labels & ~blobs).sum(), (blobs & ~labels).sum(), (~labels & ~blobs).sum()]
    assert confusion == [60, 329, 9, 1202]


def test_all_regions_are_kept_apart(blobs: Cells) -> None:
    masks = coarse_cells(blobs, CoarseOptions(keep="all", dilation=1), rng())
    assert len(masks) == 2
    assert (
        simulate_coarse(LabelImage(blobs), (40, 40), CoarseOptions(cell=1, keep="all", dilation=1), rng()).count() == 2
    )


def test_diagonal_neighbours_are_one_region() -> None:
    assert only(np.eye(6, dtype=np.bool_), dilation=0, hull=False, halve="never").sum() == 6


@settings(deadline=None)
@given(cell_masks, st.integers(0, 2), st.booleans(), st.sampled_from(["largest", "all"]), st.integers(1, 7))
def test_the_outline_gives_its_cells_back(cells: Cells, dilation: int, hull: bool, keep: Any, cell: int) -> None:
    options = CoarseOptions(cell=cell, dilation=dilation, hull=hull, keep=keep)
    size = (cells.shape[1] * cell, cells.shape[0] * cell)
    coarse = simulate_coarse(LabelImage(cells, downsample=cell), size, options, rng())
    expected = np.zeros(cells.shape, np.bool_)
    for mask in coarse_cells(cells, options, rng()):
        expected |= mask
    np.testing.assert_array_equal(coarse.labels(Grid.regular(size, cell)) > 0, expected)


@settings(deadline=None)
@given(cell_masks, st.integers(1, 3))
def test_a_released_outline_gives_its_cells_back_without_border(cells: Cells, dilation: int) -> None:
    padded = np.pad(cells, dilation + 1)
    for mask in coarse_cells(padded, CoarseOptions(dilation=dilation, hull=False, halve="never"), rng()):
        filled = ndimage.binary_fill_holes(mask)
        outline = [Region(shapely.Polygon(border_chain(mask)), 1)]
        np.testing.assert_array_equal(released_raster(outline, mask.shape, 1), ndimage.binary_erosion(filled))
        np.testing.assert_array_equal(released_raster(outline, mask.shape, 1, outline=1), filled)


@pytest.mark.parametrize("seed", range(5))
def test_a_lone_region_is_cut_in_half(seed: int) -> None:
    y, x = np.mgrid[:41, :41]
    disc = (x - 20) ** 2 + (y - 20) ** 2 <= 15**2
    [half] = coarse_cells(disc, CoarseOptions(dilation=0), np.random.default_rng(seed))
    assert 0.4 < half.sum() / disc.sum() < 0.6
    assert not (half & ~disc).any()
    assert only(disc, dilation=0, halve="never").sum() == disc.sum()


def test_halves_differ_by_generator_and_repeat_by_seed(blobs: Cells) -> None:
    options = CoarseOptions(halve="always", dilation=0)
    masks = [coarse_cells(blobs, options, np.random.default_rng(seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()
    assert masks[0].sum() < 60


def test_a_single_cell_survives_halving() -> None:
    cells = np.zeros((5, 5), np.bool_)
    cells[2, 2] = True
    assert only(cells, dilation=0).sum() == 1
    assert only(cells, dilation=1).sum() == 9


@pytest.mark.parametrize("rule", ["centre", "released"])
def test_nothing_positive_gives_nothing(rule: Any) -> None:
    assert simulate_coarse(Polygons(), (1000, 1000), CoarseOptions(rule=rule), rng()).regions == ()


@pytest.mark.parametrize(
    ("field", "value"), [("cell", 0), ("dilation", -1), ("keep", "none"), ("halve", "yes"), ("rule", "x"), ("cel", 9)]
)
def test_options_have_legal_ranges(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        CoarseOptions.model_validate({field: value})


class PlainUnpickler(pickle.Unpickler):
    """Admits NumPy integers, and nothing else that could be called."""

    def find_class(self, module: str, name: str) -> Any:
        """Map the two names that a NumPy scalar needs."""
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if name == "scalar" and module in {"numpy.core.multiarray", "numpy._core.multiarray"}:
            return np._core.multiarray.scalar  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")


def asap_regions(path: Path) -> list[Region]:
    from defusedxml.ElementTree import parse

    regions = []
    for annotation in parse(path).getroot().iter("Annotation"):
        corners = sorted(annotation.iter("Coordinate"), key=lambda corner: int(corner.get("Order")))
        ring = [(float(corner.get("X")), float(corner.get("Y"))) for corner in corners]
        regions.append(Region(shapely.Polygon(ring), int(annotation.get("PartOfGroup") == "Tumor")))
    return sorted(regions, key=lambda region: -region.label)


@pytest.mark.realdata
def test_the_released_polygon_of_test_016_is_reproduced(shared_data: Path) -> None:
    with (shared_data / "lcmil" / "coarse_annotations.sav").open("rb") as file:
        [released] = PlainUnpickler(file).load()["test_016"]["annotations_outer"]
    truth = Polygons(asap_regions(shared_data / "lcmil" / "ground_truth.xml"))
    shape = (364, 432)
    coarse = simulate_coarse(truth, (432 * 256, 364 * 256), CoarseOptions(rule="released", halve="never"), rng())
    own = released_raster(coarse.regions, shape, 256, outline=1)
    assert own.sum() == 12376
    theirs = [Region(shapely.Polygon(released), 1)]
    assert (own != released_raster(theirs, shape, 256, outline=1)).sum() == 0
    assert released_raster(coarse.regions, shape, 256).sum() == 11953
    corners = coarse.regions[0].geometry.exterior.coords[:-1]
    assert len(released) == len(corners) == 423
    assert {(int(x), int(y)) for x, y in released} == set(corners)
