"""Patches in batches: right pixels, right order, the same with any number of readers."""

import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.errors import ConfigError, DataError
from benchmark.slides import Grid, Slide, slots, stream_patches, write_pyramid
from benchmark.slides.stream import AHEAD
from benchmark.slides.strips import WIDEST, columns_per_strip

WIDTH, HEIGHT = 1100, 900


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "slide.tif"
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x % 251, y % 241, (x // 7 + y // 5) % 256], -1).astype(np.uint8)
    write_pyramid(path, [pixels], (WIDTH, HEIGHT), mpp=0.5)
    return Slide("slide", path, "p")


def collected(batches):
    batches = list(batches)
    cells = np.concatenate([np.stack([batch.rows, batch.cols], 1) for batch in batches])
    return cells, np.concatenate([batch.pixels for batch in batches]), [len(batch.rows) for batch in batches]


@pytest.mark.parametrize("stride", [64, 128])
def test_patches_are_what_the_slide_shows_there(slide, stride):
    grid = Grid.regular(slide.size, stride, 128)
    where = np.random.default_rng(0).random(grid.shape) < 0.4
    cells, pixels, sizes = collected(stream_patches(slide, grid, where, batch=10))
    assert cells.tolist() == np.argwhere(where).tolist()
    assert set(sizes[:-1]) == {10}
    for (row, col), patch in list(zip(cells, pixels, strict=True))[::7]:
        np.testing.assert_array_equal(patch, slide.read(int(grid.x[col]), int(grid.y[row]), 128, 128))


def test_resized_patches_are_pillows_bilinear(slide):
    grid = Grid.regular(slide.size, 256)
    cells, pixels, _ = collected(stream_patches(slide, grid, side=224))
    row, col = cells[3]
    read = Image.fromarray(slide.read(int(grid.x[col]), int(grid.y[row]), 256, 256))
    np.testing.assert_array_equal(pixels[3], np.asarray(read.resize((224, 224), Image.Resampling.BILINEAR)))


def test_beyond_the_slide_is_black(slide):
    grid = Grid(np.array([WIDTH - 10]), np.array([HEIGHT - 10]), 40, 40)
    _, pixels, _ = collected(stream_patches(slide, grid))
    assert (pixels[0, 10:, :] == 0).all() and (pixels[0, :, 10:] == 0).all() and pixels[0, :10, :10].any()


def test_two_readers_give_the_same_bits_in_the_same_order(slide):
    grid = Grid.regular(slide.size, 64, 128)
    alone = collected(stream_patches(slide, grid, side=100, batch=16, readers=0))
    two = collected(stream_patches(slide, grid, side=100, batch=16, readers=2))
    for one, other in zip(alone[:2], two[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_wanted_gives_nothing(slide):
    grid = Grid.regular(slide.size, 64)
    assert list(stream_patches(slide, grid, np.zeros(grid.shape, bool))) == []


def test_a_mask_of_another_shape_is_refused(slide):
    with pytest.raises(ConfigError, match="'slide'"):
        list(stream_patches(slide, Grid.regular(slide.size, 64), np.ones((2, 2), bool)))


@pytest.mark.parametrize("readers", [0, 2])
def test_unreadable_pixels_name_the_slide(tmp_path, slide, readers):
    broken = tmp_path / "broken.tif"
    content = slide.path.read_bytes()
    broken.write_bytes(content[:600] + b"\x00" * (len(content) // 2) + content[600 + len(content) // 2 :])
    with pytest.raises(DataError, match="broken"):
        list(stream_patches(Slide("broken", broken, "p"), Grid.regular((WIDTH, HEIGHT), 128), batch=4, readers=readers))


def test_stopping_early_ends_the_readers(slide):
    batches = stream_patches(slide, Grid.regular(slide.size, 64), batch=4, readers=2)
    next(batches)
    assert multiprocessing.active_children()
    batches.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("option", [{"side": 0}, {"batch": 0}, {"readers": -1}])
def test_numbers_out_of_range_are_refused(slide, option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        list(stream_patches(slide, Grid.regular(slide.size, 64), **option))


def test_without_room_for_shared_memory_the_bits_are_the_same(slide, monkeypatch):
    def none_left(*_, **__):
        raise OSError("no space left")

    grid = Grid.regular(slide.size, 128)
    expected = collected(stream_patches(slide, grid, batch=16, readers=0))
    monkeypatch.setattr(slots, "SharedMemory", none_left)
    cells, pixels, _ = collected(stream_patches(slide, grid, batch=16, readers=2))
    np.testing.assert_array_equal(cells, expected[0])
    np.testing.assert_array_equal(pixels, expected[1])


def test_batches_stay_as_they_were_given(slide):
    """Slots of shared memory are used again; what was handed out must not change with them."""
    grid = Grid.regular(slide.size, 64)
    kept = [(batch.pixels, batch.pixels.copy()) for batch in stream_patches(slide, grid, batch=8, readers=2)]
    assert len(kept) > 2 * (2 * AHEAD + 1)
    for pixels, copy in kept:
        np.testing.assert_array_equal(pixels, copy)


def test_a_reader_that_is_killed_is_an_error_and_not_a_wait(slide):
    batches = stream_patches(slide, Grid.regular(slide.size, 32), batch=2, readers=2)
    next(batches)
    for reader in multiprocessing.active_children():
        os.kill(reader.pid, signal.SIGKILL)
    with pytest.raises(DataError, match="'slide'.*died"):
        list(batches)
    assert not multiprocessing.active_children()


class WithoutTorch(Slide):
    """Refuses to be read where torch is loaded."""

    def read(self, *box, **options):
        loaded = {"torch", "timm", "mlflow"} & set(sys.modules)
        if loaded:
            raise DataError(f"{sorted(loaded)} loaded")
        return super().read(*box, **options)


def test_readers_load_no_torch(slide):
    bare = WithoutTorch("slide", slide.path, "p")
    assert len(list(stream_patches(bare, Grid.regular(slide.size, 128), batch=16, readers=2))) > 1


class Counting(Slide):
    """Counts how often each pixel is read."""

    def read(self, x, y, width, height, **options):
        COUNTS[max(y, 0) : y + height, max(x, 0) : x + width] += 1
        return super().read(x, y, width, height, **options)


COUNTS = np.zeros((HEIGHT, WIDTH), np.int64)


def test_overlapping_patches_are_read_once(slide):
    COUNTS[:] = 0
    grid = Grid.windows(slide.size, 128, 32)
    assert len(list(stream_patches(Counting("slide", slide.path, "p"), grid, readers=0))) > 1
    assert COUNTS.min() == 1
    assert COUNTS.mean() < 1.2, "only strips share a margin"


@pytest.mark.parametrize(("used", "batch", "readers"), [(400, 64, 2), (400, 64, 4), (5, 64, 2), (1, 1, 8)])
def test_every_reader_has_columns_of_its_own(used, batch, readers):
    grid = Grid.regular((400 * 128, 128), 128, 256)
    block = columns_per_strip(grid, used, batch, readers)
    owners = np.arange(min(used, batch)) // block % readers
    assert len(set(owners)) == min(readers, used)
    assert (block - 1) * 128 + 256 <= WIDEST


@settings(max_examples=15)
@given(st.integers(20, 200), st.integers(10, 150), st.integers(0, 99), st.floats(0.05, 1))
def test_any_grid_and_mask_gives_the_pixels_of_the_slide(slide, side, stride, seed, share):
    grid = Grid.windows(slide.size, side, max(stride, 40))
    where = np.random.default_rng(seed).random(grid.shape) < share
    for batch in stream_patches(slide, grid, where, batch=50, readers=0):
        for row, col, patch in list(zip(batch.rows, batch.cols, batch.pixels, strict=True))[::17]:
            np.testing.assert_array_equal(patch, slide.read(int(grid.x[col]), int(grid.y[row]), side, side))
