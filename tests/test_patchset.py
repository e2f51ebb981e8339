from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import ConfigError, DataError
from benchmark.learning.encoders.features import FeatureCache
from benchmark.learning.encoders.frozen import create_encoder
from benchmark.slides import Grid, PatchSet, stream_patches
from benchmark.slides.patchset import mosaic_rows, tile_fault

SIDE = 32


def write_tiles(folder: Path, number: int = 12, side: int = SIDE) -> PatchSet:
    """Tiles of random pixels in three formats; a JPEG is one flat colour, which it keeps (to a grey value)."""
    folder.mkdir(exist_ok=True)
    rng, names = np.random.default_rng(0), []
    for index in range(number):
        names.append(f"{index:02d}{('.png', '.tif', '.jpg')[index % 3]}")
        pixels = rng.integers(1, 255, (side, side, 3), np.uint8)
        if index % 3 == 2:
            pixels[:] = pixels[0, 0]
        Image.fromarray(pixels).save(folder / names[-1], quality=100, subsampling=0)
    return PatchSet("tiles", folder, "patient", 0.5, tuple(names), side)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_cells_are_the_tiles_in_row_major_order(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path)
    assert tiles.shape == (3, 4) and tiles.size == (4 * SIDE, 3 * SIDE) and tiles.grid.shape == (3, 4)
    for batch in stream_patches(tiles, tiles.grid, batch=5):
        for row, col, pixels in zip(batch.rows, batch.cols, batch.pixels, strict=True):
            np.testing.assert_array_equal(pixels, opened(tiles.files[tiles.index(row, col)]))


def test_reader_processes_give_the_same_bits(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path)
    alone = [batch.pixels for batch in stream_patches(tiles, tiles.grid, batch=4, readers=0)]
    apart = [batch.pixels for batch in stream_patches(tiles, tiles.grid, batch=4, readers=2)]
    np.testing.assert_array_equal(np.concatenate(alone), np.concatenate(apart))
    assert pickle.loads(pickle.dumps(tiles)) == tiles


@pytest.mark.parametrize(("number", "rows"), [(7180, 20), (99910, 206), (13, 1), (1, 1)])
def test_no_cell_of_the_mosaic_is_empty(number: int, rows: int) -> None:
    assert mosaic_rows(number) == rows and number % rows == 0


def test_a_patch_beyond_its_tile_is_black_there(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path)
    grid = Grid.regular(tiles.size, SIDE, 2 * SIDE)
    batch = next(stream_patches(tiles, grid))
    middle = slice(SIDE // 2, SIDE // 2 + SIDE)
    for number, pixels in enumerate(batch.pixels):
        np.testing.assert_array_equal(pixels[middle, middle], opened(tiles.files[number]))
        outside = pixels.copy()
        outside[middle, middle] = 0
        assert not outside.any()
    assert tiles.read(SIDE // 2, 0, SIDE, SIDE).all(), "the mosaic itself has no gaps"


def test_thumbnails_show_every_tile_where_it_lies(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path)
    small = tiles.thumbnail(4 * 4)
    assert small.shape == (12, 16, 3)
    flat = opened(tiles.files[2])[0, 0].astype(int)
    assert np.abs(small[0:4, 8:12].astype(int) - flat).max() <= 1
    assert tiles.thumbnail(2).shape == (2, 2, 3)
    assert not tiles.read(-SIDE, 0, SIDE, SIDE).any()


def test_features_are_kept_per_set_and_follow_its_content(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path / "tiles")
    encoder = create_encoder("resnet10t", pretrained=False, weights=None, side=SIDE)
    cache = FeatureCache(tmp_path / "cache")
    first = cache.of(tiles, tiles.grid, None, encoder)
    assert first.values.shape == (12, encoder.dim)
    assert len(list((tmp_path / "cache").rglob("values.npy"))) == 1
    turned = PatchSet("tiles", tiles.path, "patient", 0.5, tiles.tiles[::-1], SIDE)
    np.testing.assert_allclose(cache.of(turned, tiles.grid, None, encoder).values, first.values[::-1], atol=1e-4)
    Image.fromarray(np.full((SIDE, SIDE, 3), 200, np.uint8)).save(tiles.files[0])
    changed = cache.of(tiles, tiles.grid, None, encoder)
    assert not np.allclose(changed.values[0], first.values[0]) and len(changed) == 12


def test_faulty_tiles_are_named(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path)
    Image.fromarray(np.zeros((SIDE, SIDE + 1, 3), np.uint8)).save(tiles.files[0])
    tiles.files[1].write_bytes(tiles.files[1].read_bytes()[:100])
    tiles.files[2].unlink()
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint16)).save(tiles.files[4])
    for number, fault in (
        (0, r"has 33×32 px; expected 32×32"),
        (1, "cannot be read"),
        (2, "exist"),
        (4, "Pillow mode"),
    ):
        with pytest.raises(DataError, match=rf"{tiles.tiles[number]}.*{fault}") as caught:
            tiles.tile(number)
        assert caught.value.fix
        assert tiles.tiles[number] in (tile_fault(tiles.files[number], SIDE) or "")
    assert tile_fault(tiles.files[3], SIDE) is None
    with pytest.raises(DataError, match=tiles.tiles[0]):
        list(stream_patches(tiles, tiles.grid))
    with pytest.raises(ConfigError, match="expected tiles"):
        PatchSet("none", tmp_path, "patient")
