"""Where the patches of cells lie, and how the features of several slides are numbered."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.learning.encoders.feature_rows import Rows
from benchmark.learning.encoders.features import Features
from benchmark.methods.cleaning.cells import DEFAULT_CELL, Cells
from benchmark.methods.cleaning.dknn import shifted
from benchmark.slides import Grid

ROW, COL = 3, 5


def cells_of(unit):
    grid = Grid.regular((unit * 9, unit * 9), unit)
    return Cells(grid, np.ones(grid.shape, bool))


def corner(patches):
    return [int(patches.x[COL]), int(patches.y[ROW])]


@pytest.mark.parametrize(
    ("unit", "centred", "training", "features"),
    [
        (256, [1280, 768], [1280, 768], [1408, 896]),
        (128, [576, 320], [640, 384], [704, 448]),
    ],
)
def test_corners_of_patches(unit, centred, training, features):
    cells = cells_of(unit)
    assert corner(cells.patches(256)) == centred
    assert corner(shifted(cells, 256, train=True)) == training
    assert corner(shifted(cells, 256, train=False)) == features


class Pixels:
    """A dataset whose evaluation grid is fine, and that says nothing of tissue."""

    def __init__(self, size, cell=1, tissue=None):
        self.size, self.cell, self.found = size, cell, tissue

    def evaluation_grid(self, slide):
        return Grid.regular(self.size, self.cell)

    def tissue(self, slide, grid):
        return self.found


@pytest.mark.parametrize(("own", "asked", "got"), [(1, None, DEFAULT_CELL), (1, 64, 64), (16, None, 16), (64, 32, 32)])
def test_the_lattice_is_the_datasets_where_its_cells_are_not_too_fine(own, asked, got):
    slide, context = SimpleNamespace(size=(320, 192)), SimpleNamespace(geometry=Pixels((320, 192), own))
    cells = Cells.of(slide, context, asked)
    assert (cells.grid.width, cells.grid.shape) == (got, (192 // got, 320 // got))
    assert cells.tissue.all()


def test_scores_go_to_their_cells():
    grid = Grid.regular((96, 64), 32)
    tissue = np.array([[True, False, True], [False, True, False]])
    spread = Cells(grid, tissue).spread(np.array([0.1, 0.2, 0.3], np.float32))
    np.testing.assert_array_equal(np.isnan(spread), ~tissue)
    assert spread[0, 2] == np.float32(0.2) and spread[1, 1] == np.float32(0.3)


def some(first, number):
    values = (first + np.arange(number, dtype=np.float16))[:, None] * np.ones(2, np.float16)
    return Features(values, np.arange(number), np.zeros(number, np.int64))


def test_rows_of_several_slides_have_one_numbering():
    rows = Rows([some(0, 3), some(100, 2), some(200, 4)])
    assert (len(rows), rows.dim) == (9, 2)
    taken = rows.take(np.array([8, 0, 3, 3, 4]))
    assert taken.dtype == np.float32
    assert taken[:, 0].tolist() == [203, 0, 100, 100, 101]
    labels = np.array([1, 0, 1, 0, 0, 1, 0, -1, 1], np.int8)
    assert [part.tolist() for part in rows.of_class(labels, 1)] == [[0, 2], [], [5, 8]]
    assert [part.tolist() for part in rows.of_class(labels, 0)] == [[1], [3, 4], [6]]
