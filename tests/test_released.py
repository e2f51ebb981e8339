"""Annotations seen by the released rule, on any regular lattice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from benchmark.annotations import CoarseOptions, Note, Polygons, Region, Released, read_asap, read_sav, simulate_coarse
from benchmark.annotations.polygons import released_raster
from benchmark.errors import DataError
from benchmark.slides import Grid

SQUARE = Region(shapely.box(512, 512, 1536, 1536), 1)
SIZE = (9 * 256, 9 * 256)


def cells(first: int, last: int, length: int = 9) -> np.ndarray:
    found = np.zeros((length, length), np.int8)
    found[first : last + 1, first : last + 1] = 1
    return found


def test_the_vector_of_the_released_rule_and_of_the_centre_rule() -> None:
    annotation = Polygons([SQUARE])
    grid = Grid.regular(SIZE, 256)
    np.testing.assert_array_equal(Released(annotation).labels(grid), cells(3, 5))
    np.testing.assert_array_equal(annotation.labels(grid), cells(2, 5))


@pytest.mark.parametrize("side", [64, 255, 256, 257, 512])
def test_the_patch_around_a_cell_changes_nothing(side: int) -> None:
    found = Released(Polygons([SQUARE])).labels(Grid.regular(SIZE, 256, side))
    np.testing.assert_array_equal(found, cells(3, 5))


def test_a_lattice_that_starts_elsewhere_sees_the_same_outline() -> None:
    grid = Grid.regular(SIZE, 256, origin=(512, 256))
    found = Released(Polygons([SQUARE])).labels(grid)
    np.testing.assert_array_equal(found, cells(3, 5)[1:, 2:])


def test_an_irregular_lattice_is_refused() -> None:
    with pytest.raises(DataError, match=r"(?s)equal distances.*label_rule=centre"):
        Released(Polygons([SQUARE])).labels(Grid.windows((1000, 1000), 256, 192))


def test_everything_else_is_the_annotation_s_own() -> None:
    annotation = Polygons([SQUARE], notes=(Note("a note"),))
    released = Released(annotation)
    grid = Grid.regular(SIZE, 256)
    np.testing.assert_array_equal(released.fractions(grid, 2), annotation.fractions(grid, 2))
    np.testing.assert_array_equal(released.instances(grid), annotation.instances(grid))
    assert released.count() == 1
    assert released.polygons() == annotation.polygons()
    assert released.notes == (Note("a note"),)
    assert released.labels(grid.cell(0, 0)).shape == (1, 1)


@pytest.mark.realdata
def test_the_simulation_from_the_truth_is_the_published_annotation(shared_data: Path) -> None:
    truth = read_asap(shared_data / "lcmil" / "ground_truth.xml")
    published = read_sav(shared_data / "lcmil" / "coarse_annotations.sav")["test_016"]["top1"]
    size, grid = (432 * 256, 364 * 256), Grid.regular((432 * 256, 364 * 256), 256)
    options = CoarseOptions(rule="released", halve="never")
    own = simulate_coarse(truth, size, options, np.random.default_rng(0))
    assert released_raster(own.polygons(), grid.shape, 256, outline=1).sum() == 12376
    np.testing.assert_array_equal(Released(own).labels(grid), Released(published).labels(grid))
    assert Released(published).labels(grid).sum() == 11953
    assert own.polygons()[0].geometry.normalize() == published.polygons()[0].geometry.normalize()
