"""Score maps: what is refused, changing grids, top-K units, files, and accumulation from tiles."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import DataError, PredictionError
from benchmark.slides import Grid, ScoreAccumulator, ScoreMap

NAN = float("nan")
scores = st.one_of(st.floats(0, 1, width=32), st.just(NAN))
maps = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(np.float32, shape, elements=scores))


def pixel_map(values: NDArray[np.float32]) -> ScoreMap:
    return ScoreMap(Grid.pixels((values.shape[1], values.shape[0])), values)


def nanmean(values: NDArray[np.float32]) -> float:
    known = values[~np.isnan(values)].astype(np.float64)
    return float(known.mean()) if known.size else NAN


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), r"shape \(2, 3\).*\(2, 2\)"),
        (np.array([[0, 0.5], [1.2, 1]]), "row 1, col 0: 1.2"),
        (np.array([[-0.1, 0.5], [1, 1]]), "row 0, col 0: -0.1"),
        (np.array([[np.inf, 0.5], [1, 1]]), "row 0, col 0: inf"),
    ],
)
def test_impossible_scores_are_refused(values: NDArray[np.float64], message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        ScoreMap(Grid.pixels((2, 2)), values)  # type: ignore[arg-type]


def test_rounding_is_clipped_and_nan_is_kept() -> None:
    values = ScoreMap(Grid.pixels((3, 1)), np.array([[1.000001, -1e-7, NAN]], np.float32)).values
    assert values.dtype == np.float32
    assert values[0, :2].tolist() == [1.0, 0.0]
    assert np.isnan(values[0, 2])


def test_the_same_grid_gives_the_same_map() -> None:
    scored = pixel_map(np.zeros((2, 3), np.float32))
    assert scored.on(Grid.pixels((3, 2))) is scored


@settings(deadline=None)
@given(maps, st.integers(1, 5))
def test_a_coarser_cell_is_the_mean_of_its_own_cells(values: NDArray[np.float32], stride: int) -> None:
    grid = Grid.windows((values.shape[1], values.shape[0]), stride, stride)
    coarse = pixel_map(values).on(grid)
    for row, col, x, y in grid.patches():
        assert coarse.values[row, col] == pytest.approx(
            nanmean(values[y : y + stride, x : x + stride]), abs=1e-6, nan_ok=True
        )


@settings(deadline=None)
@given(maps, st.integers(1, 4))
def test_a_finer_cell_has_the_value_of_the_nearest_own_cell(values: NDArray[np.float32], factor: int) -> None:
    rows, cols = values.shape
    own = ScoreMap(Grid.regular((cols * factor, rows * factor), factor), values)
    fine = own.on(Grid.pixels((cols * factor, rows * factor)))
    np.testing.assert_array_equal(fine.values, values.repeat(factor, axis=0).repeat(factor, axis=1))


@settings(deadline=None)
@given(maps, st.integers(1, 4))
def test_finer_and_back_is_the_identity(values: NDArray[np.float32], factor: int) -> None:
    rows, cols = values.shape
    own = ScoreMap(Grid.regular((cols * factor, rows * factor), factor), values)
    np.testing.assert_allclose(
        own.on(Grid.pixels((cols * factor, rows * factor))).on(own.grid).values, values, atol=1e-6
    )


def test_nearest_own_cell_of_overlapping_windows() -> None:
    own = ScoreMap(Grid.windows((30, 10), 10, 5), np.linspace(0, 1, 5, dtype=np.float32)[None])
    on_pixels = own.on(Grid.pixels((30, 10))).values
    nearest = np.abs((np.arange(30) + 0.5)[:, None] - own.grid.centres[0]).argmin(axis=1)
    np.testing.assert_array_equal(on_pixels, np.broadcast_to(own.values[0, nearest], (10, 30)))


def test_units_are_the_mean_of_their_top_cells() -> None:
    values = np.array([[0.1, 0.9, 0.2, NAN], [0.3, 0.5, NAN, NAN]], np.float32)
    scored = pixel_map(values)
    units = Grid.regular((4, 2), 2)
    np.testing.assert_allclose(scored.units(units, top=1), [[0.9, 0.2]])
    np.testing.assert_allclose(scored.units(units, top=2), [[0.7, 0.2]])
    np.testing.assert_allclose(scored.units(units, top=99), [[0.45, 0.2]])
    assert np.isnan(scored.units(Grid.regular((4, 2), 2, origin=(40, 0)))).all()


@given(values=maps)
@settings(max_examples=25, deadline=None)
def test_a_saved_map_comes_back(values: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> None:
    grid = Grid.windows((values.shape[1] * 5 + 7, values.shape[0] * 5 + 7), 12, 5)
    values = np.resize(values, grid.shape)
    path = tmp_path_factory.mktemp("map") / "scores.png"
    ScoreMap(grid, values).save(path)
    loaded = ScoreMap.load(path)
    assert loaded.grid.digest == grid.digest
    np.testing.assert_array_equal(np.isnan(loaded.values), np.isnan(values))
    np.testing.assert_allclose(loaded.values, values, atol=1 / 65534)
    assert [file.name for file in path.parent.iterdir()] == ["scores.png"]


def test_a_saved_map_is_a_16_bit_picture_and_survives_pickling(tmp_path: Path) -> None:
    scored = pixel_map(np.array([[0, 0.5, 1, NAN]], np.float32))
    scored.save(tmp_path / "scores.png")
    assert np.asarray(Image.open(tmp_path / "scores.png")).tolist() == [[0, 32767, 65534, 65535]]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scored)).values, scored.values)


def test_what_is_not_a_score_map_is_refused(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no")
    for name in ("plain.png", "text.png", "gone.png"):
        with pytest.raises(DataError, match=name):
            ScoreMap.load(tmp_path / name)


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        pixel_map(np.zeros((2, 2), np.float32)).save(tmp_path / "scores.png")
    assert list(tmp_path.iterdir()) == []


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    cell=st.integers(1, 7),
    side=st.integers(3, 15),
    stride=st.integers(2, 15),
)
@settings(max_examples=30, deadline=None)
def test_accumulated_tiles_equal_the_direct_reduction(
    seed: int, size: tuple[int, int], cell: int, side: int, stride: int
) -> None:
    """Every pixel prediction of every tile counts once in each cell that holds the pixel's centre."""
    rng = np.random.default_rng(seed)
    grid = Grid.regular(size, cell, side=cell + 2)
    tiles = [
        (x, y, rng.random((side, side)).astype(np.float32)) for _, _, x, y in Grid.windows(size, side, stride).patches()
    ]
    tiles[0][2][0, 0] = NAN
    total, number = np.zeros((80, 80)), np.zeros((80, 80))
    for x, y, tile in tiles:
        total[y : y + side, x : x + side] += np.nan_to_num(tile)
        number[y : y + side, x : x + side] += ~np.isnan(tile)
    expected = np.full(grid.shape, NAN)
    for row, col, x, y in grid.patches():
        patch = np.s_[max(y, 0) : y + cell + 2, max(x, 0) : x + cell + 2]
        if number[patch].sum():
            expected[row, col] = total[patch].sum() / number[patch].sum()
    forwards, backwards = ScoreAccumulator(grid), ScoreAccumulator(grid)
    for tile in tiles:
        forwards.add(*tile)
    for tile in tiles[::-1]:
        backwards.add(*tile)
    np.testing.assert_allclose(forwards.finish().values, expected, atol=1e-6)
    np.testing.assert_allclose(backwards.finish().values, expected, atol=1e-6)


def test_accumulating_pixels_averages_overlaps_and_leaves_the_rest_unscored() -> None:
    accumulator = ScoreAccumulator(Grid.pixels((4, 1)))
    accumulator.add(-1, 0, np.array([[1, 0.2, 0.4]], np.float32))
    accumulator.add(1, 0, np.array([[0.6, 0.8]], np.float32))
    accumulator.add(50, 50, np.ones((3, 3), np.float32))
    np.testing.assert_allclose(accumulator.finish().values, [[0.2, 0.5, 0.8, NAN]], atol=1e-7)


@pytest.mark.parametrize("tile", [np.zeros((2, 2, 2)), np.array([[np.inf]])])
def test_impossible_tiles_are_refused(tile: NDArray[np.float64]) -> None:
    with pytest.raises(PredictionError):
        ScoreAccumulator(Grid.pixels((4, 4))).add(0, 0, tile)  # type: ignore[arg-type]


def test_a_wrong_probability_in_a_tile_is_not_averaged_away() -> None:
    with pytest.raises(PredictionError, match="outside"):
        ScoreAccumulator(Grid.whole((4, 4))).add(3, 1, np.array([[0.1, 1.7]], np.float32))
