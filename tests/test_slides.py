"""Slides: tiles and pyramids read alike; unreadable ones are named; tissue by colour."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import ConfigError, DataError
from benchmark.slides import Grid, Slide, handles, tissue_mask
from benchmark.slides.readers import Pyramid, open_handle
from benchmark.slides.tissue import hsv_8bit

RGB = NDArray[np.uint8]


@pytest.fixture
def pixels() -> RGB:
    return np.random.default_rng(0).integers(1, 256, (61, 83, 3), dtype=np.uint8)


def tile(folder: Path, pixels: RGB, name: str = "tile.png") -> Slide:
    Image.fromarray(pixels).save(folder / name)
    return Slide(id=name, path=folder / name, patient="p1", mpp=0.62)


def smooth(height: int, width: int) -> RGB:
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + x * 200 // width, 40 + y * 200 // height, (x + y) % 7 + 100], axis=-1).astype(np.uint8)


def pyramid(path: Path, pixels: RGB) -> Slide:
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(path) as writer:
        for level in range(3):
            small = Image.fromarray(pixels).reduce(4**level)
            writer.write(np.asarray(small), tile=(64, 64), photometric="rgb", subfiletype=int(level > 0))
    return Slide(id="wsi", path=path, patient="p2")


@pytest.mark.parametrize("name", ["tile.bmp", "tile.png", "tile.tif"])
def test_a_tile_reads_back_as_it_was_written(tmp_path: Path, pixels: RGB, name: str) -> None:
    slide = tile(tmp_path, pixels, name)
    assert slide.size == (83, 61)
    np.testing.assert_array_equal(slide.read(0, 0, 83, 61), pixels)
    np.testing.assert_array_equal(slide.read(10, 20, 30, 15), pixels[20:35, 10:40])


def test_a_jpeg_tile_reads_as_pillow_decodes_it(tmp_path: Path) -> None:
    slide = tile(tmp_path, smooth(60, 80), "tile.jpg")
    np.testing.assert_array_equal(slide.read(0, 0, 80, 60), np.asarray(Image.open(slide.path)))


@pytest.mark.parametrize("box", [(-5, -7, 20, 20), (70, 50, 30, 30), (-200, 0, 9, 9), (0, 500, 9, 9), (-1, -1, 90, 90)])
def test_beyond_a_slide_is_black(tmp_path: Path, pixels: RGB, box: tuple[int, int, int, int]) -> None:
    x, y, width, height = box
    expected = np.zeros((height, width, 3), np.uint8)
    for row in range(height):
        for col in range(width):
            if 0 <= y + row < 61 and 0 <= x + col < 83:
                expected[row, col] = pixels[y + row, x + col]
    np.testing.assert_array_equal(tile(tmp_path, pixels).read(*box), expected)


def test_grey_palette_and_alpha_tiles_become_rgb(tmp_path: Path, pixels: RGB) -> None:
    Image.fromarray(pixels).convert("L").save(tmp_path / "grey.png")
    Image.fromarray(pixels).quantize(7).save(tmp_path / "palette.png")
    Image.fromarray(np.dstack([pixels, np.full((61, 83), 9, np.uint8)])).save(tmp_path / "alpha.png")
    for name in ("grey", "palette", "alpha"):
        path = tmp_path / f"{name}.png"
        expected = pixels if name == "alpha" else np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(Slide(name, path, "p").read(0, 0, 83, 61), expected)


def test_downsampling_averages(tmp_path: Path, pixels: RGB) -> None:
    read = tile(tmp_path, pixels).read(2, 1, 80, 60, downsample=4)
    expected = pixels[1:61, 2:82].reshape(15, 4, 20, 4, 3).mean(axis=(1, 3))
    assert read.shape == (15, 20, 3)
    assert np.abs(read - expected).max() <= 1


def test_thumbnail_keeps_proportions_and_never_enlarges(tmp_path: Path, pixels: RGB) -> None:
    slide = tile(tmp_path, pixels)
    assert slide.thumbnail(40).shape == (29, 40, 3)
    assert slide.thumbnail(4000).shape == (61, 83, 3)


def test_a_pyramid_reads_like_its_pixels(tmp_path: Path) -> None:
    pixels = smooth(512, 768)
    slide = pyramid(tmp_path / "wsi.tif", pixels)
    assert isinstance(open_handle(slide.path), Pyramid)
    assert slide.size == (768, 512)
    np.testing.assert_array_equal(slide.read(100, 30, 64, 32), pixels[30:62, 100:164])
    beyond = slide.read(760, 500, 16, 24)
    np.testing.assert_array_equal(beyond[:12, :8], pixels[500:, 760:])
    assert not beyond[12:].any()
    assert not beyond[:, 8:].any()


@pytest.mark.parametrize("downsample", [2.0, 4.0, 5.0, 16.0])
def test_a_pyramid_shrinks_from_the_best_level(
    tmp_path: Path, downsample: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = smooth(512, 768)
    slide = pyramid(tmp_path / "wsi.tif", pixels)
    expected = np.asarray(
        Image.fromarray(pixels).resize((round(640 / downsample), round(480 / downsample)), 4, box=(64, 16, 704, 496))
    )
    whole = slide.read(64, 16, 640, 480, downsample=downsample)
    assert np.abs(whole.astype(int) - expected).max() <= 3
    monkeypatch.setattr(handles, "BAND", 2000)
    in_bands = slide.read(64, 16, 640, 480, downsample=downsample)
    assert np.abs(whole.astype(int) - in_bands).max() <= 1


@pytest.mark.parametrize("name", ["tile.bmp", "tile.png", "tile.jpg"])
@pytest.mark.parametrize("kept", [0.6, 0.002])
def test_a_truncated_tile_is_named(tmp_path: Path, name: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    slide = tile(tmp_path, noise, name)
    content = slide.path.read_bytes()
    slide.path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=name) as caught:
        slide.read(0, 0, 10, 10)
    assert repr(slide.id) in str(caught.value)
    slide.path.write_bytes(content)
    assert slide.read(0, 0, 10, 10).shape == (10, 10, 3)


def test_a_truncated_pyramid_is_named(tmp_path: Path) -> None:
    slide = pyramid(tmp_path / "wsi.tif", smooth(512, 768))
    content = slide.path.read_bytes()
    slide.path.write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match=r"wsi\.tif"):
        slide.read(0, 0, 768, 512)


def test_missing_foreign_and_16_bit_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(np.full((5, 5), 40000, np.uint16)).save(tmp_path / "deep.png")
    for name, reason in (("gone.png", "does not exist"), ("text.png", "cannot be read"), ("deep.png", "8 bits")):
        with pytest.raises(DataError, match=reason) as caught:
            _ = Slide("s7", tmp_path / name, "p").size
        assert name in str(caught.value)
        assert "'s7'" in str(caught.value)


def test_empty_regions_are_refused(tmp_path: Path, pixels: RGB) -> None:
    slide = tile(tmp_path, pixels)
    with pytest.raises(ConfigError, match="at least 1"):
        slide.read(0, 0, 0, 5)
    with pytest.raises(ConfigError, match="at least 1"):
        slide.read(0, 0, 5, 5, downsample=0.5)


def _corner(slide: Slide) -> int:
    return int(slide.read(3, 4, 1, 1).sum())


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_slide_travels_to_other_processes(tmp_path: Path, pixels: RGB, start: str) -> None:
    slide = tile(tmp_path, pixels)
    here = _corner(slide)
    assert pickle.loads(pickle.dumps(slide)) == slide
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert pool.map(_corner, [slide]) == [here]


def test_threads_share_a_slide(tmp_path: Path, pixels: RGB) -> None:
    slides = [tile(tmp_path, pixels, "tile.png"), pyramid(tmp_path / "wsi.tif", smooth(256, 256))]
    barrier = threading.Barrier(8)

    def read(number: int) -> RGB:
        barrier.wait()
        return slides[number % 2].read(10, 10, 40, 40)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read, range(8)))
    for number, result in enumerate(results):
        np.testing.assert_array_equal(result, slides[number % 2].read(10, 10, 40, 40))


def test_few_handles_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "_handles", handles._Handles())
    monkeypatch.setattr(handles, "MAX_OPEN", 3)
    slides = [tile(tmp_path, np.full((4, 4, 3), number, np.uint8), f"{number}.png") for number in range(6)]
    for _ in range(2):
        assert [int(slide.read(0, 0, 1, 1)[0, 0, 0]) for slide in slides] == list(range(6))
    assert len(handles._handles._open) == 3
    monkeypatch.setattr(handles, "MAX_DECODED", 20)
    _ = slides[0].size
    assert len(handles._handles._open) == 1


def test_importing_slides_and_annotations_is_light() -> None:
    code = (
        "import sys, benchmark.slides, benchmark.annotations;"
        "print([m for m in ('openslide', 'PIL', 'skimage', 'scipy', 'shapely', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("rgb", "hue", "swapped", "saturation", "value"),
    [((230, 150, 200), 161, 139, 89, 230), ((120, 60, 150), 140, 160, 153, 150), ((245, 243, 235), 24, 96, 10, 245)],
)
def test_hue_in_8_bits(rgb: tuple[int, ...], hue: int, swapped: int, saturation: int, value: int) -> None:
    pixel = np.array([[rgb]], np.uint8)
    assert hsv_8bit(pixel)[0, 0].tolist() == [hue, saturation, value]
    assert hsv_8bit(pixel[..., ::-1])[0, 0, 0] == swapped == (120 - hue) % 180


@pytest.mark.parametrize(
    ("rgb", "tissue"),
    [
        ((230, 200, 240), True),
        ((245, 243, 235), True),
        ((236, 205, 220), True),
        ((230, 150, 200), True),
        ((240, 240, 245), False),
    ],
)
def test_paip_rule_of_the_provider(tmp_path: Path, rgb: tuple[int, ...], tissue: bool) -> None:
    slide = tile(tmp_path, np.full((8, 8, 3), rgb, np.uint8))
    assert (tissue_mask(slide, Grid.regular(slide.size, 4), "rgb") == tissue).all()


@pytest.mark.parametrize("mode", ["hsv-otsu", "rgb", "grey-otsu"])
@pytest.mark.parametrize("whole_slide", [False, True])
def test_stained_half_is_tissue(tmp_path: Path, mode: str, whole_slide: bool) -> None:
    rng = np.random.default_rng(2)
    pixels = np.empty((256, 512, 3), np.uint8)
    pixels[:, :256] = np.array([240, 243, 241]) + rng.integers(-2, 3, (256, 256, 3))
    pixels[:, 256:] = np.array([200, 110, 170]) + rng.integers(-20, 21, (256, 256, 3))
    slide = pyramid(tmp_path / "wsi.tif", pixels) if whole_slide else tile(tmp_path, pixels)
    mask = tissue_mask(slide, Grid.regular(slide.size, 32), mode)  # type: ignore[arg-type]
    expected = np.zeros((8, 16), np.bool_)
    expected[:, 8:] = True
    np.testing.assert_array_equal(mask, expected)


def test_hue_otsu_sees_colours_in_the_right_order(tmp_path: Path) -> None:
    """With red and blue swapped the yellowish ground (hue 24) would get hue 96 and blue tissue (113) hue 7."""
    pixels = np.full((64, 64, 3), (245, 243, 235), np.uint8)
    pixels[:, 32:] = (60, 80, 150)
    slide = tile(tmp_path, pixels)
    mask = tissue_mask(slide, Grid.regular(slide.size, 16), "hsv-otsu")
    assert mask[:, 2:].all()
    assert not mask[:, :2].any()


def test_a_yellow_pen_mark_is_saturated_but_not_tissue(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 3), (240, 243, 241), np.uint8)
    pixels[:16] = (200, 110, 170)
    pixels[32:48] = (220, 200, 60)
    slide = tile(tmp_path, pixels)
    mask = tissue_mask(slide, Grid.regular(slide.size, 16), "hsv-otsu")
    assert mask.tolist() == [[True] * 4, [False] * 4, [False] * 4, [False] * 4]


def test_all_and_unknown_modes(tmp_path: Path, pixels: RGB) -> None:
    slide = tile(tmp_path, pixels)
    assert tissue_mask(slide, Grid.regular(slide.size, 16), "all").all()
    with pytest.raises(ConfigError, match="unknown tissue mode 'hsv'"):
        tissue_mask(slide, Grid.regular(slide.size, 16), "hsv")  # type: ignore[arg-type]


def test_blank_and_void_glass_is_not_tissue(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 3), 245, np.uint8)
    pixels[:16] = 0  # beyond the scanned area
    slide = tile(tmp_path, pixels)
    grid = Grid.regular(slide.size, 16)
    for mode in ("hsv-otsu", "grey-otsu"):
        assert not tissue_mask(slide, grid, mode).any()


def test_grey_otsu_keeps_a_patch_with_a_little_tissue(tmp_path: Path) -> None:
    pixels = np.full((512, 512, 3), 240, np.uint8)
    pixels[:40, :40] = 90
    slide = tile(tmp_path, pixels)
    assert tissue_mask(slide, Grid.regular(slide.size, 256), "grey-otsu").tolist() == [[True, False], [False, False]]
