"""Grids: the tilings of the papers, and the laws of spans."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.slides import Grid
from benchmark.slides.grid import box_counts, box_sums

lengths = st.integers(1, 400)


def test_oeem_patches_of_a_usual_glas_image() -> None:
    grid = Grid.windows((775, 522), 112, 56)
    assert grid.y.tolist() == [0, 56, 112, 168, 224, 280, 336, 392, 410]
    assert (grid.cols, int(grid.x[-1]), grid.rows * grid.cols) == (13, 663, 117)


@pytest.mark.parametrize(("size", "shape"), [((574, 433), (7, 10)), ((589, 453), (8, 10)), ((567, 430), (7, 10))])
def test_oeem_patches_of_the_small_glas_images(size: tuple[int, int], shape: tuple[int, int]) -> None:
    assert Grid.windows(size, 112, 56).shape == shape


@pytest.mark.parametrize(
    ("length", "side", "stride", "origins"),
    [
        (112, 112, 56, [0]),
        (140, 112, 56, [0, 28]),
        (168, 112, 56, [0, 56]),
        (196, 112, 56, [0, 56, 84]),
        (224, 112, 56, [0, 56, 112]),
        (192, 320, 256, [0]),
        (320, 320, 256, [0]),
        (384, 320, 256, [0, 64]),
        (640, 320, 256, [0, 256, 320]),
        (768, 320, 256, [0, 256, 448]),
        (522, 256, 192, [0, 192, 266]),
        (775, 256, 192, [0, 192, 384, 519]),
        (433, 256, 192, [0, 177]),
        (574, 256, 192, [0, 192, 318]),
        (100, 112, 56, [0]),
    ],
)
def test_windows_of_cam_test_time_and_tiles(length: int, side: int, stride: int, origins: list[int]) -> None:
    grid = Grid.windows((length, length), side, stride)
    assert grid.x.tolist() == grid.y.tolist() == origins


@pytest.mark.parametrize(("side", "stride", "patches"), [(512, 384, 68121), (512, 128, 606841), (512, 512, 38416)])
def test_hybrid_patches_with_a_clamped_last_tile(side: int, stride: int, patches: int) -> None:
    grid = Grid.windows((100_000, 100_000), side, stride)
    assert grid.rows * grid.cols == patches


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), lengths)
def test_windows_follow_the_tile_formula_of_oeem(side: int, stride: int, length: int) -> None:
    """Sheet 2.4: n = ceil(max(0, L - side) / stride) + 1 tiles, tile i ends at min(L, stride i + side)."""
    count = -(-max(0, length - side) // stride) + 1
    expected = [max(0, min(length, stride * i + side) - side) for i in range(count)]
    assert Grid.windows((length, 1), side, stride).x.tolist() == expected


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), lengths)
def test_windows_cover_every_pixel_when_they_touch(side: int, stride: int, length: int) -> None:
    covered = np.zeros(length, np.bool_)
    for start in Grid.windows((length, length), side, stride).x:
        covered[start : start + side] = True
    assert covered.all() or stride > side


@pytest.mark.parametrize(("unit", "x", "y"), [(256, 1280, 768), (128, 576, 320)])
def test_lcmil_patch_is_centred_on_its_cell(unit: int, x: int, y: int) -> None:
    grid = Grid.regular((4096, 4096), unit, side=256)
    assert (grid.x[5], grid.y[3], grid.width) == (x, y, 256)
    assert (grid.centres[0][5], grid.centres[1][3]) == (5.5 * unit, 3.5 * unit)


def test_regular_rounds_the_number_of_cells_and_keeps_at_least_one() -> None:
    assert Grid.regular((700, 600), 256).shape == (2, 3)
    assert Grid.regular((20, 30), 256).shape == (1, 1)
    assert Grid.regular((1000, 1000), 100, origin=(200, -100)).shape == (11, 8)


def test_pixels_whole_cell_and_patches() -> None:
    grid = Grid.pixels((3, 2), origin=(10, 20))
    assert list(grid.patches())[:4] == [(0, 0, 10, 20), (0, 1, 11, 20), (0, 2, 12, 20), (1, 0, 10, 21)]
    assert grid.centres[0].tolist() == [10.5, 11.5, 12.5]
    assert list(grid.cell(1, 2).patches()) == [(0, 0, 12, 21)]
    whole = Grid.whole((30, 40))
    assert (whole.shape, whole.width, whole.height) == ((1, 1), 30, 40)


def test_digest_depends_on_everything_and_survives_pickling() -> None:
    grids = [
        Grid.windows((200, 200), 50, 25),
        Grid.windows((200, 200), 50, 30),
        Grid.windows((200, 190), 50, 25),
        Grid.regular((200, 200), 25, side=50),
        Grid.pixels((200, 200)),
    ]
    assert len({grid.digest for grid in grids}) == len(grids)
    assert pickle.loads(pickle.dumps(grids[0])).digest == grids[0].digest == Grid.windows((200, 200), 50, 25).digest


def test_spans_are_half_open() -> None:
    rows, cols = Grid.regular((8, 8), 4).spans(Grid.regular((8, 8), 1))
    assert rows.tolist() == cols.tolist() == [[0, 4], [4, 8]]
    on_edges = Grid(np.array([-1, 3, 7]), np.array([0]), 2, 2)  # centres 0, 4 and 8
    assert Grid.regular((8, 2), 4).spans(on_edges)[1].tolist() == [[0, 1], [1, 2]]


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9), lengths)
def test_spans_hold_exactly_the_centres_inside(side: int, stride: int, finer: int, length: int) -> None:
    grid, other = Grid.windows((length, length), side, stride), Grid.regular((length, length), finer)
    centres = other.centres[0]
    for x, (start, stop) in zip(grid.x, grid.spans(other)[1], strict=True):
        inside = np.flatnonzero((centres >= x) & (centres < x + side))
        assert inside.tolist() == list(range(start, stop))


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_box_sums_and_counts_are_plain_sums(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, known = rng.random((height, width)), rng.random((height, width)) < 0.7
    rows, cols = np.sort(rng.integers(0, height + 1, (3, 2))), np.sort(rng.integers(0, width + 1, (4, 2)))
    sums, counts = box_sums(values, rows, cols), box_counts(known, rows, cols)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(cols):
            assert sums[i, j] == pytest.approx(values[top:bottom, left:right].sum())
            assert counts[i, j] == known[top:bottom, left:right].sum()


@pytest.mark.parametrize(
    ("x", "width", "names"),
    [([], 1, "x edges"), ([3, 3], 1, "x edges"), ([3, 1], 1, "x edges"), ([0], 0, "patch width")],
)
def test_impossible_grids_are_refused(x: list[int], width: int, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        Grid(np.array(x), np.array([0]), width, 1)


def test_impossible_strides_are_refused() -> None:
    with pytest.raises(ConfigError, match="stride must be at least 1 px, got 0"):
        Grid.regular((10, 10), 0)
    with pytest.raises(ConfigError, match="side must be at least 1 px, got -1"):
        Grid.windows((10, 10), -1, 5)


def test_edges_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Grid.pixels((3, 3)).x[0] = 5
