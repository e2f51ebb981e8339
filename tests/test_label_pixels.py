"""Label images by bands: the same answers as whole, in bounded memory, whatever the file."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.annotations import LabelImage, labelpixels, read_annotation
from benchmark.annotations.labelpixels import LabelPixels
from benchmark.errors import DataError
from benchmark.slides import Grid

Pixels = NDArray[Any]


def blobs(height: int, width: int, seed: int, numbers: int = 4) -> Pixels:
    """Areas of some size, so that they run over the seams of bands."""
    small = np.random.default_rng(seed).integers(0, numbers, (height // 7 + 1, width // 7 + 1))
    return np.kron(small, np.ones((7, 7), np.int64))[:height, :width].astype(np.uint8)


def png(path: Path, pixels: Pixels, **options: Any) -> Path:
    Image.fromarray(pixels).save(path.with_suffix(".png"), **options)
    return path.with_suffix(".png")


def palette(path: Path, pixels: Pixels) -> Path:
    image = Image.fromarray(pixels, mode="L").convert("P")
    image.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    image.save(path.with_suffix(".png"))
    return path.with_suffix(".png")


def few_bits(depth: int) -> Callable[[Path, Pixels], Path]:
    """Grey of fewer than 8 bits, which Pillow does not write: rows filtered by Up and Sub in turn."""

    def write(path: Path, pixels: Pixels) -> Path:
        bits = (pixels[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(len(pixels), -1).astype(np.uint8), axis=1)
        above, raw = np.zeros_like(rows[0]), b""
        for number, row in enumerate(rows):
            left = np.concatenate([[0], row[:-1]]).astype(np.uint8)
            raw += bytes([2]) + (row - above).tobytes() if number % 2 else bytes([1]) + (row - left).tobytes()
            above = row

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, 0, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
        path.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        return path.with_suffix(".png")

    return write


def tiff(**options: Any) -> Callable[[Path, Pixels], Path]:
    def write(path: Path, pixels: Pixels) -> Path:
        byteorder = options.get("byteorder", "<")
        own = {key: value for key, value in options.items() if key not in ("byteorder", "dtype", "bigtiff")}
        with tifffile.TiffWriter(path.with_suffix(".tif"), byteorder=byteorder, bigtiff="bigtiff" in options) as file:
            file.write(pixels.astype(options.get("dtype", np.uint8)), photometric="minisblack", **own)
        return path.with_suffix(".tif")

    return write


def pyramid(path: Path, pixels: Pixels) -> Path:
    with tifffile.TiffWriter(path.with_suffix(".tif")) as file:
        file.write(pixels[::2, ::2], tile=(32, 32), photometric="minisblack")
        file.write(pixels, tile=(32, 32), photometric="minisblack", compression="lzw")
    return path.with_suffix(".tif")


WRITERS: dict[str, Callable[[Path, Pixels], Path]] = {
    "png": png,
    "png, 16 bit": lambda path, pixels: png(path, pixels.astype(np.uint16) * 300),
    "png, palette": palette,
    "png, 1 bit": lambda path, pixels: png(path, pixels > 0),
    "png, 2 bit": few_bits(2),
    "png, 4 bit": few_bits(4),
    "png, compressed hard": lambda path, pixels: png(path, pixels, optimize=True),
    "bmp": lambda path, pixels: (
        (png(path, pixels) and Image.fromarray(pixels).save(path.with_suffix(".bmp"))) or path.with_suffix(".bmp")
    ),
    "tiff, tiles": tiff(tile=(32, 48)),
    "tiff, lzw": tiff(tile=(32, 32), compression="lzw"),
    "tiff, deflate": tiff(tile=(64, 16), compression="deflate", predictor=True),
    "tiff, strips": tiff(rowsperstrip=5),
    "tiff, one strip": tiff(rowsperstrip=10_000),
    "tiff, packbits": tiff(rowsperstrip=7, compression="packbits"),
    "tiff, 16 bit, big-endian": tiff(tile=(32, 32), byteorder=">", dtype=np.uint16),
    "tiff, 32 bit": tiff(rowsperstrip=3, dtype=np.int32),
    "big tiff": tiff(tile=(32, 32), bigtiff=True),
    "tiff, pyramid": pyramid,
}


@pytest.fixture
def in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image counts as large, in bands of some rows."""
    monkeypatch.setattr(labelpixels, "WHOLE", 0)
    monkeypatch.setattr(labelpixels, "BAND", 900)


@pytest.mark.usefixtures("in_bands")
@pytest.mark.parametrize("name", WRITERS)
def test_bands_of_every_kind_of_file_are_its_pixels(tmp_path: Path, name: str) -> None:
    pixels = blobs(101, 77, 3)
    path = WRITERS[name](tmp_path / "m", pixels)
    expected = {"png, 16 bit": pixels.astype(np.uint16) * 300, "png, 1 bit": (pixels > 0).astype(np.uint8)}
    found = LabelImage(path)
    bands = list(found.source.bands())
    np.testing.assert_array_equal(np.concatenate([band for _, band in bands]), expected.get(name, pixels))
    assert [first for first, _ in bands] == np.cumsum([0, *(len(band) for _, band in bands)])[:-1].tolist()
    assert len(bands) > 1 or name in ("bmp", "tiff, one strip")


@pytest.mark.parametrize("depth", [2, 4])
def test_few_bits_are_the_same_numbers_when_decoded_whole(tmp_path: Path, depth: int) -> None:
    pixels = blobs(20, 30, 3)
    np.testing.assert_array_equal(LabelPixels(few_bits(depth)(tmp_path / "m", pixels)).whole(), pixels)


def test_white_is_1_in_one_bit_whatever_the_file_has_for_it(tmp_path: Path) -> None:
    drawn = blobs(20, 30, 3) > 0
    for photometric, stored in (("minisblack", drawn), ("miniswhite", ~drawn)):
        tifffile.imwrite(tmp_path / "m.tif", stored, photometric=photometric)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "m.tif")), drawn)
        np.testing.assert_array_equal(LabelPixels(tmp_path / "m.tif").whole(), drawn)


def test_grey_that_counts_from_white_is_taken_as_stored_and_said(tmp_path: Path) -> None:
    drawn = (blobs(20, 30, 3) > 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", drawn, photometric="miniswhite")
    found = read_annotation(tmp_path / "m.tif")
    np.testing.assert_array_equal(found.labels(Grid.pixels((30, 20))), drawn)
    assert ["0 as white" in str(note) for note in found.notes] == [True]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 999), rows=st.integers(1, 40), downsample=st.sampled_from([1.0, 3.0, 2.5]))
def test_large_images_answer_as_small_ones(tmp_path: Path, seed: int, rows: int, downsample: float) -> None:
    pixels = blobs(45, 33, seed)
    path = png(tmp_path / "m", pixels)
    classes = {1: 1, 2: 2, 3: 1}
    whole = LabelImage(pixels, classes=classes, ignore=[3], downsample=downsample)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelpixels, "WHOLE", 0)
        patch.setattr(labelpixels, "BAND", rows * 33)
        banded = LabelImage(path, classes=classes, ignore=[3], downsample=downsample)
        grid = Grid.regular((120, 140), 7, side=11)
        np.testing.assert_array_equal(banded.labels(grid), whole.labels(grid))
        np.testing.assert_array_equal(banded.instances(grid), whole.instances(grid))
        np.testing.assert_array_equal(banded.ignored(grid), whole.ignored(grid))
        np.testing.assert_allclose(banded.fractions(grid, 3), whole.fractions(grid, 3), atol=1e-12)
        assert banded.count() == whole.count()
        assert banded.size == whole.size
        for own, other in zip(banded.polygons(), whole.polygons(), strict=True):
            assert own.label == other.label
            assert own.geometry.symmetric_difference(other.geometry).area == pytest.approx(0)


@pytest.mark.usefixtures("in_bands")
def test_broken_files_are_named(tmp_path: Path) -> None:
    path = png(tmp_path / "m", blobs(90, 90, 1))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"m\.png (is cut off after row|cannot be read)"):
        LabelImage(path).count()
    path = tiff(tile=(16, 16), compression="deflate")(tmp_path / "m", blobs(90, 90, 1))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataError, match=r"m\.tif cannot be read"):
        LabelImage(path).count()
    colour = tmp_path / "c.tif"
    tifffile.imwrite(colour, np.zeros((40, 40, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match=r"c\.tif is not a label image: 3 samples"):
        LabelImage(colour).count()
    tifffile.imwrite(colour, np.zeros((40, 40), np.float32))
    with pytest.raises(DataError, match=r"c\.tif is not a label image: 1 samples of float32"):
        LabelImage(colour).count()


@pytest.mark.usefixtures("in_bands")
def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    """A type of value that tifffile does not expect; tiles larger than memory."""
    path = tiff(tile=(16, 16))(tmp_path / "m", blobs(90, 90, 1))
    with tifffile.TiffFile(path) as file:
        kinds = {name: file.pages.first.tags[name].offset for name in ("TileByteCounts", "TileWidth", "TileLength")}
    sound = bytearray(path.read_bytes())
    path.write_bytes(with_tag(sound, kinds["TileByteCounts"], kind=2))
    with pytest.raises(DataError, match=r"m\.tif cannot be read"):
        LabelImage(path).count()
    path.write_bytes(
        with_tag(with_tag(sound, kinds["TileWidth"], kind=4, value=1 << 30), kinds["TileLength"], value=16)
    )
    with pytest.raises(DataError, match="cannot be read in parts"):
        LabelImage(path).count()


def with_tag(content: bytearray, place: int, *, kind: int | None = None, value: int | None = None) -> bytearray:
    """A little-endian TIFF whose tag at `place` has another type or value."""
    changed = bytearray(content)
    if kind is not None:
        changed[place + 2 : place + 4] = struct.pack("<H", kind)
    if value is not None:
        changed[place + 8 : place + 12] = struct.pack("<I", value)
    return changed


def test_what_can_only_be_decoded_whole_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelpixels, "WHOLE", 0)
    monkeypatch.setattr(labelpixels, "DECODED", 1000)
    Image.fromarray(blobs(90, 90, 1)).save(tmp_path / "m.bmp")
    with pytest.raises(DataError, match=r"(?s)90×90 px and cannot be read in parts.*vips copy m\.bmp"):
        LabelImage(tmp_path / "m.bmp").count()


LARGE = """
import re, sys
import numpy as np
from pathlib import Path
from benchmark.annotations import read_annotation
from benchmark.slides import Grid
size = (24_000 * 4, 20_000 * 4)
found = read_annotation(Path(sys.argv[1]), size=size)
cells = int(found.labels(Grid.regular(size, 256)).sum())
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
print(cells, peak)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_half_a_gigapixel_needs_little_memory(tmp_path: Path, suffix: str) -> None:
    """Beyond Pillow's limit for pictures from strangers; decoded whole it would be 480 MB."""
    path, height, width = tmp_path / f"m{suffix}", 20_000, 24_000
    row = np.zeros(width, np.uint8)
    row[3000:9000] = 1
    if suffix == ".tif":
        tile = np.zeros((512, 512), np.uint8)

        def tiles() -> Any:
            for top in range(0, height, 512):
                for left in range(0, width, 512):
                    part = row[left : left + 512]
                    tile[...] = np.pad(part, (0, 512 - len(part)))[None] * (4096 <= top < 12_288)
                    yield tile

        with tifffile.TiffWriter(path, bigtiff=True) as file:
            file.write(tiles(), shape=(height, width), dtype=np.uint8, tile=(512, 512), compression="deflate")
    else:
        packer, body = zlib.compressobj(1), b""
        for top in range(0, height, 512):
            line = b"\0" + (row * (4096 <= top < 12_288)).astype(np.uint8).tobytes()
            body += packer.compress(line * min(512, height - top))
        body += packer.flush()
        parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")]
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
        )
    done = subprocess.run([sys.executable, "-c", LARGE, str(path)], capture_output=True, text=True, check=True)
    cells, megabytes = map(int, done.stdout.split())
    assert cells == round(6000 / 64) * (8192 // 64)
    assert megabytes < 400


def test_the_default_limit_of_pillow_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for write in (png, tiff(tile=(32, 32))):
        found = read_annotation(write(tmp_path / "m", (blobs(90, 90, 1) > 0).astype(np.uint8)), size=(90, 90))
        assert found.count() > 0
