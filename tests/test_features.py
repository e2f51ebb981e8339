"""The feature cache: computed once, whole or not there, and shared by processes that ask at the same time."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from benchmark.errors import DataError
from benchmark.learning.encoders.features import CELLS, FACTS, VALUES, FeatureCache
from benchmark.learning.encoders.kept import entries, leftovers
from benchmark.slides import Grid, Slide, write_pyramid

SIDE = 32


class Encoder:
    """Mean colour and row; counts its calls."""

    name, dim, side, precision, digest = "mean", 4, SIDE, "float32", "d1"
    interpolation = "bilinear"

    def __init__(self, **changes):
        self.calls = 0
        self.__dict__.update(changes)

    def __call__(self, pixels):
        self.calls += 1
        means = torch.from_numpy(pixels).float().mean((1, 2))
        return torch.cat([means, torch.full((len(pixels), self.dim - 3), 7.0)], 1)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "slide.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (320, 480, 3), dtype=np.uint8)
    write_pyramid(path, [pixels], (480, 320), mpp=0.5)
    return Slide("slide", path, "p")


@pytest.fixture
def grid(slide):
    return Grid.regular(slide.size, SIDE)


def test_rows_are_the_wanted_cells_in_order(tmp_path, slide, grid):
    where = np.random.default_rng(1).random(grid.shape) < 0.5
    found = FeatureCache(tmp_path).of(slide, grid, where, Encoder(), batch=7)
    assert np.argwhere(where).tolist() == np.stack([found.rows, found.cols], 1).tolist()
    row, col = found.rows[5], found.cols[5]
    expected = slide.read(int(grid.x[col]), int(grid.y[row]), SIDE, SIDE).mean((0, 1))
    np.testing.assert_allclose(found.values[5, :3], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        found.values[0] = 0


def test_a_second_time_nothing_is_computed(tmp_path, slide, grid):
    first, second = Encoder(), Encoder()
    one = FeatureCache(tmp_path).of(slide, grid, None, first)
    two = FeatureCache(tmp_path).of(slide, grid, None, second)
    assert first.calls and not second.calls
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize(
    "change", ["digest", "precision", "grid", "where", "content"], ids=lambda name: f"another {name}"
)
def test_every_part_of_the_key_counts(tmp_path, slide, grid, change):
    cache, where = FeatureCache(tmp_path / "cache"), np.ones(grid.shape, bool)
    cache.of(slide, grid, where, Encoder())
    again = Encoder(
        **{change: {"digest": "d2", "precision": "float16"}[change]} if change in ("digest", "precision") else {}
    )
    if change == "grid":
        grid = Grid.regular(slide.size, SIDE, origin=(8, 0))
        where = np.ones(grid.shape, bool)
    if change == "where":
        where[0, 0] = False
    if change == "content":
        copy = tmp_path / slide.path.name
        content = bytearray(slide.path.read_bytes())
        content[-1] ^= 1
        copy.write_bytes(content)
        slide = Slide(slide.id, copy, "p")
    cache.of(slide, grid, where, again)
    assert again.calls


def test_no_cells_no_features(tmp_path, slide, grid):
    found = FeatureCache(tmp_path).of(slide, grid, np.zeros(grid.shape, bool), Encoder())
    assert len(found) == 0 and found.values.shape == (0, 4)


def cut_short(home):
    values = home / VALUES
    values.write_bytes(values.read_bytes()[:-100])


def of_another_shape(home):
    np.save(home / VALUES, np.zeros((3, 4), np.float32))


def of_other_cells(home):
    np.save(home / CELLS, np.load(home / CELLS)[::-1])


DAMAGE = [
    cut_short,
    of_another_shape,
    of_other_cells,
    lambda home: (home / VALUES).write_bytes(b""),
    lambda home: (home / FACTS).write_text("{}"),
    lambda home: (home / CELLS).unlink(),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_computed_again_and_said(tmp_path, slide, grid, damage):
    cache = FeatureCache(tmp_path)
    expected = np.array(cache.of(slide, grid, None, Encoder()).values)
    damage(entries(tmp_path)[0].home)
    again, third = Encoder(), Encoder()
    with pytest.warns(UserWarning, match="damaged.*slide 'slide'"):
        found = cache.of(slide, grid, None, again)
    np.testing.assert_array_equal(found.values, expected)
    cache.of(slide, grid, None, third)
    assert again.calls and not third.calls and not leftovers(tmp_path)


def test_a_plain_image_that_changed_in_the_middle_is_another_slide(tmp_path):
    from PIL import Image

    pixels = np.zeros((256, 256, 3), np.uint8)
    first, second = Encoder(), Encoder()
    for encoder in (first, second):
        Image.fromarray(pixels).save(tmp_path / "tile.bmp")
        tile = Slide("tile", tmp_path / "tile.bmp", "p")
        found = FeatureCache(tmp_path / "cache").of(tile, Grid.regular((256, 256), SIDE), None, encoder)
        assert (found.values[:, 0] > 0).sum() == (encoder is second)
        pixels[70:75, 100:105] = 255
    assert second.calls


def test_an_encoder_that_fails_leaves_nothing(tmp_path, slide, grid):
    class Broken(Encoder):
        def __call__(self, pixels):
            if self.calls == 2:
                raise RuntimeError("no more memory")
            return super().__call__(pixels)

    with pytest.raises(RuntimeError, match="no more memory"):
        FeatureCache(tmp_path).of(slide, grid, None, Broken(), batch=8)
    assert not entries(tmp_path) and not leftovers(tmp_path)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, slide, grid, monkeypatch):
    import benchmark.learning.encoders.features as features

    def full(fileno):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features.os, "fsync", full)
    with pytest.raises(DataError, match="No space left") as caught:
        FeatureCache(tmp_path).of(slide, grid, None, Encoder())
    assert "cache prune" in caught.value.fix
    assert not entries(tmp_path) and not leftovers(tmp_path)


def test_a_cache_that_cannot_be_written_and_a_slide_that_is_gone_are_said(tmp_path, slide, grid):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match="cannot keep features") as caught:
        FeatureCache(tmp_path / "file").of(slide, grid, None, Encoder())
    assert "BENCH_CACHE" in caught.value.fix
    with pytest.raises(DataError, match="slide 'gone'.*gone.tif"):
        FeatureCache(tmp_path).of(Slide("gone", tmp_path / "gone.tif", "p"), grid, None, Encoder())


def test_no_more_than_a_batch_is_held(tmp_path, slide, grid):
    sizes = []

    class Watching(Encoder):
        def __call__(self, pixels):
            sizes.append(len(pixels))
            return super().__call__(pixels)

    FeatureCache(tmp_path).of(slide, grid, None, Watching(), batch=16)
    assert max(sizes) == 16 and sum(sizes) == grid.rows * grid.cols


PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from benchmark.learning.encoders.features import FeatureCache
from benchmark.slides import Grid, Slide

class Encoder:
    name, dim, side, precision, digest = "slow", 4, 32, "float32", "slow"
    interpolation = "bilinear"
    def __call__(self, pixels):
        with open(sys.argv[3], "a") as stream:
            stream.write("called\\n")
        time.sleep(float(sys.argv[4]))
        self.number = len(pixels)
        return self
    def cpu(self):
        return self
    def numpy(self):
        return np.ones((self.number, 4), np.float32)

slide = Slide("slide", Path(sys.argv[1]), "p")
print(len(FeatureCache(Path(sys.argv[2])).of(slide, Grid.regular(slide.size, 32), None, Encoder(), batch=30)))
"""


def started(slide, cache, calls, pause):
    command = [sys.executable, "-c", PROGRAM, str(slide.path), str(cache), str(calls), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_eight_processes_compute_it_once(tmp_path, slide, grid):
    calls = tmp_path / "calls"
    processes = [started(slide, tmp_path / "cache", calls, 0.01) for _ in range(8)]
    assert {process.communicate(timeout=120)[0].strip() for process in processes} == {str(grid.rows * grid.cols)}
    assert len(calls.read_text().split()) == -(-grid.rows * grid.cols // 30)


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(tmp_path, slide, grid):
    calls, cache = tmp_path / "calls", tmp_path / "cache"
    victim = started(slide, cache, calls, 0.3)
    while not calls.exists():
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert not entries(cache) and len(leftovers(cache)) == 1
    assert len(FeatureCache(cache).of(slide, grid, None, Encoder(digest="slow", name="slow"))) == grid.rows * grid.cols
    assert len(entries(cache)) == 1 and not leftovers(cache)


def test_progress_is_shown_only_while_computing(tmp_path, slide, grid):
    seen = []
    track = lambda items, text, total: (seen.append((text, total)), items)[1]  # noqa: E731
    for _ in range(2):
        FeatureCache(tmp_path).of(slide, grid, None, Encoder(), batch=50, track=track)
    assert seen == [("features of slide (mean)", 3)]
