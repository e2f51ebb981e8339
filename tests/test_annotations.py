"""Label images and polygons: the centre rule, exact fractions, outlines that rasterise back."""

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
from PIL import Image

from benchmark.annotations import Annotation, LabelImage, Polygons, Region
from benchmark.annotations.polygons import released_raster
from benchmark.errors import DataError
from benchmark.slides import Grid

SQUARE = shapely.box(512, 512, 1536, 1536)
NINE = Grid.regular((9 * 256, 9 * 256), 256)

numbers = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1, 1, 2, 7]))
)


def square_cells(first: int, last: int) -> NDArray[np.bool_]:
    cells = np.zeros((9, 9), np.bool_)
    cells[first : last + 1, first : last + 1] = True
    return cells


def test_rasterise_by_the_centre_rule() -> None:
    np.testing.assert_array_equal(Polygons([Region(SQUARE, 1)]).labels(NINE), square_cells(2, 5))


@pytest.mark.parametrize(("outline", "first", "last"), [(0, 3, 5), (1, 2, 6)])
def test_rasterise_as_released(outline: int, first: int, last: int) -> None:
    cells = released_raster([Region(SQUARE, 1)], (9, 9), 256, outline=outline)
    np.testing.assert_array_equal(cells, square_cells(first, last))


def test_released_holes_erase_last_and_later_borders_erase_earlier_cells() -> None:
    hole = Region(shapely.box(768, 768, 1280, 1280), 0)
    inner = Region(SQUARE.difference(hole.geometry), 1)
    for regions in ([hole, Region(SQUARE, 1)], [inner]):
        cells = released_raster(regions, (9, 9), 256, outline=1)
        np.testing.assert_array_equal(cells, square_cells(2, 6) & ~square_cells(3, 5))
    touching = [Region(shapely.box(0, 0, 1024, 2048), 1), Region(shapely.box(1024, 0, 2048, 2048), 1)]
    assert not released_raster(touching, (9, 9), 256)[:, 4].any()


@pytest.mark.parametrize(
    ("gland", "label"),
    [(0, [1, 0]), (627, [1, 0]), (628, [1, 1]), (6272, [1, 1]), (11916, [1, 1]), (11917, [0, 1]), (12544, [0, 1])],
)
def test_patch_labels_by_the_five_percent_rule(gland: int, label: list[int]) -> None:
    pixels = np.zeros(112 * 112, np.uint8)
    pixels[:gland] = 3
    shares = LabelImage(pixels.reshape(112, 112)).fractions(Grid.windows((112, 112), 112, 56), 2)
    assert (shares[0, 0] > 0.05).astype(int).tolist() == label
    assert shares[0, 0, 1] == gland / 12544


def naive_fractions(classes: NDArray[Any], grid: Grid, count: int) -> NDArray[np.float64]:
    shares = np.zeros((*grid.shape, count))
    for row, col, x, y in grid.patches():
        part = classes[max(y, 0) : max(y + grid.height, 0), max(x, 0) : max(x + grid.width, 0)]
        shares[row, col] = np.bincount(part.ravel(), minlength=count)
    shares[..., 0] += grid.width * grid.height - shares.sum(axis=-1)
    return shares / (grid.width * grid.height)


@settings(deadline=None)
@given(numbers, st.integers(1, 6), st.integers(1, 6))
def test_fractions_are_exact_shares(pixels: NDArray[np.uint8], stride: int, side: int) -> None:
    image = LabelImage(pixels, classes={1: 1, 2: 2, 7: 1})
    grid = Grid.regular((pixels.shape[1] + 3, pixels.shape[0] + 3), stride, side=side)
    shares = image.fractions(grid, 3)
    np.testing.assert_array_equal(shares, naive_fractions(image.classes, grid, 3))
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-12)


def test_fractions_of_a_smaller_label_image_split_its_pixels() -> None:
    image = LabelImage(np.array([[1, 0], [0, 1]]), downsample=4)
    shares = image.fractions(Grid(np.array([0, 1]), np.array([3]), 6, 4), 2)[0, :, 1]
    np.testing.assert_allclose(shares, [(4 * 1 + 2 * 3) / 24, (3 * 1 + 3 * 3) / 24])
    assert image.size == (8, 8)
    assert image.labels(Grid.pixels((10, 8))).tolist()[0] == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_label_images_answer_by_class_and_number() -> None:
    pixels = np.array([[0, 5, 5, 9], [0, 0, 9, 9]], np.uint16)
    grid = Grid.pixels((6, 3), origin=(-1, 0))
    plain = LabelImage(pixels)
    assert plain.instances(grid).tolist() == [[0, 0, 5, 5, 9, 0], [0, 0, 0, 9, 9, 0], [0] * 6]
    assert plain.labels(grid).tolist() == [[0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0], [0] * 6]
    mapped = LabelImage(pixels, classes={9: 2})
    assert mapped.labels(grid).max() == 2
    assert set(np.unique(mapped.instances(grid))) == {0, 9}
    assert (plain.count(), mapped.count(), LabelImage(pixels, classes={}).count()) == (2, 1, 0)
    assert [region.label for region in mapped.polygons()] == [2]
    with pytest.raises(DataError, match="class 2, but there are 2 classes"):
        mapped.fractions(grid, 2)


@settings(deadline=None)
@given(numbers, st.sampled_from([1, 3]))
def test_outlines_rasterise_back(pixels: NDArray[np.uint8], downsample: int) -> None:
    """Also with holes, objects in several parts, and parts that touch at a corner."""
    image = LabelImage(pixels, classes={1: 1, 2: 2, 7: 1}, downsample=downsample)
    outlines = Polygons(image.polygons())
    grid = Grid.pixels((pixels.shape[1] * downsample, pixels.shape[0] * downsample))
    np.testing.assert_array_equal(outlines.labels(grid), image.labels(grid))
    ranks = np.unique(np.append(0, pixels), return_inverse=True)[1][1:].reshape(pixels.shape)
    np.testing.assert_array_equal(outlines.instances(grid), LabelImage(ranks, downsample=downsample).instances(grid))
    assert outlines.repaired == outlines.dropped == 0
    assert outlines.count() == image.count()


@settings(deadline=None)
@given(numbers, st.integers(1, 5), st.integers(1, 5))
def test_polygons_and_label_image_agree_on_fractions(pixels: NDArray[np.uint8], stride: int, side: int) -> None:
    image = LabelImage(pixels, classes={1: 1, 2: 2, 7: 1})
    grid = Grid.regular((pixels.shape[1] + 2, pixels.shape[0] + 2), stride, side=side)
    np.testing.assert_allclose(Polygons(image.polygons()).fractions(grid, 3), image.fractions(grid, 3), atol=1e-12)


corner = st.integers(0, 20)
boxes = st.lists(st.tuples(corner, corner, st.integers(1, 12), st.integers(1, 12), st.integers(0, 2)), max_size=5)


@settings(deadline=None)
@given(boxes)
def test_later_regions_overwrite_earlier_ones(drawn: list[tuple[int, int, int, int, int]]) -> None:
    painted, number = np.zeros((32, 32), np.int64), np.zeros((32, 32), np.int64)
    for index, (x, y, width, height, label) in enumerate(drawn, start=1):
        painted[y : y + height, x : x + width] = label
        number[y : y + height, x : x + width] = index if label else 0
    drawing = Polygons([Region(shapely.box(x, y, x + w, y + h), label) for x, y, w, h, label in drawn])
    grid = Grid.pixels((32, 32))
    np.testing.assert_array_equal(drawing.labels(grid), painted)
    np.testing.assert_array_equal(drawing.instances(grid), number)
    coarse = Grid.regular((32, 32), 5, side=7)
    np.testing.assert_allclose(drawing.fractions(coarse, 3), naive_fractions(painted, coarse, 3), atol=1e-12)


def test_fraction_of_a_disc_is_its_area() -> None:
    disc = shapely.Point(50, 50).buffer(30, quad_segs=200)
    shares = Polygons([Region(disc, 1)]).fractions(Grid.regular((100, 100), 25), 2)
    assert shares[..., 1].sum() * 625 == pytest.approx(disc.area)
    assert shares[..., 1].sum() * 625 == pytest.approx(np.pi * 900, rel=1e-4)


def test_crossed_outlines_are_mended_and_flat_ones_dropped() -> None:
    bow = shapely.Polygon([(0, 0), (8, 8), (8, 0), (0, 8)])
    flat = shapely.Polygon([(0, 0), (5, 5), (9, 9)])
    drawing = Polygons([Region(bow, 1), Region(flat, 1), Region(shapely.box(10, 0, 12, 2), 1)])
    assert (drawing.repaired, drawing.dropped, drawing.count()) == (2, 1, 3)
    grid = Grid.pixels((12, 8))
    assert drawing.labels(grid)[4, [0, 3, 4, 7]].tolist() == [1, 0, 0, 1]
    assert drawing.labels(grid)[1, 10] == 1
    assert drawing.fractions(Grid.whole((8, 8)), 2)[0, 0, 1] == pytest.approx(0.5)


def test_no_polygons_at_all() -> None:
    empty = Polygons()
    grid = Grid.regular((10, 10), 5)
    assert not empty.labels(grid).any()
    assert (empty.fractions(grid, 2)[..., 0] == 1).all()
    assert (empty.count(), empty.polygons()) == (0, ())


def test_impossible_classes_are_refused() -> None:
    with pytest.raises(DataError, match="class index -1"):
        Region(SQUARE, -1)
    with pytest.raises(DataError, match="class 2, but there are 2 classes"):
        Polygons([Region(SQUARE, 2)]).fractions(NINE, 2)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("l.bmp", Image.fromarray(np.array([[0, 7], [200, 1]], np.uint8))),
        ("l.png", Image.fromarray(np.array([[0, 7], [200, 1]], np.uint8))),
        ("i16.png", Image.fromarray(np.array([[0, 7], [200, 1]], np.uint16))),
        ("i.tif", Image.fromarray(np.array([[0, 7], [200, 1]], np.int32))),
    ],
)
def test_label_files_are_read_as_numbers(tmp_path: Path, name: str, image: Image.Image) -> None:
    image.save(tmp_path / name)
    annotation = LabelImage(tmp_path / name)
    assert annotation.pixels.tolist() == [[0, 7], [200, 1]]
    assert pickle.loads(pickle.dumps(annotation)).count() == 3


def test_palette_and_one_bit_files_are_read_as_indices(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.array([[0, 2], [1, 0]], np.uint8), mode="L").convert("P")
    indexed.putpalette([250, 250, 250, 9, 9, 9, 80, 0, 0])
    indexed.save(tmp_path / "p.png")
    assert LabelImage(tmp_path / "p.png").pixels.tolist() == [[0, 2], [1, 0]]
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "one.png")
    assert LabelImage(tmp_path / "one.png").labels(Grid.pixels((2, 1))).tolist() == [[1, 0]]


def test_reading_waits_until_needed_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "train_1_anno.bmp"
    lazy = LabelImage(path)
    with pytest.raises(DataError, match=r"train_1_anno\.bmp does not exist"):
        lazy.count()
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(DataError, match="Pillow mode RGB"):
        lazy.count()
    Image.fromarray(np.ones((40, 40), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-500])
    with pytest.raises(DataError, match=r"train_1_anno\.bmp cannot be read"):
        lazy.count()
    path.write_bytes(content)
    assert lazy.count() == 1


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2)), np.array([[-1]]), np.array([[70000]])]
)
def test_impossible_label_arrays_are_refused(pixels: NDArray[Any]) -> None:
    with pytest.raises(DataError):
        LabelImage(pixels)


def test_a_label_image_must_be_as_large_as_its_slide(tmp_path: Path) -> None:
    image = LabelImage(np.zeros((5, 7), np.uint8))
    image.check_size((7, 5), "train_1")
    with pytest.raises(DataError, match="slide 'train_1' has 7×6 px but its label image covers 7×5 px"):
        image.check_size((7, 6), "train_1")
    LabelImage(np.zeros((5, 7), np.uint8), downsample=4).check_size((29, 17), "wsi")


def test_both_kinds_keep_the_contract() -> None:
    drawn: list[Annotation] = [LabelImage(np.eye(4, dtype=np.uint8)), Polygons([Region(shapely.box(0, 0, 4, 4), 1)])]
    grid = Grid.regular((4, 4), 2)
    for annotation in drawn:
        assert annotation.labels(grid).dtype == np.int8
        assert annotation.instances(grid).dtype == np.int32
        assert annotation.fractions(grid, 2).dtype == np.float64
        assert annotation.labels(grid).shape == (2, 2)
