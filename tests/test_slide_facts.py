"""Facts of plain tiles and of files with odd headers; pyramids are in test_pyramid.py."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.errors import DataError
from benchmark.slides import Slide, probe, slide_facts, write_pyramid

NOISE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def tiled(path, **tags):
    """A tiled TIFF of one level, as OpenSlide takes for a slide."""
    pixels = np.full((600, 500, 3), 200, np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", metadata=None, **tags)
    return path


@pytest.mark.parametrize("name", ["tile.png", "tile.bmp", "tile.tif"])
def test_a_plain_tile_has_one_level_and_no_scanner(tmp_path, name):
    Image.fromarray(NOISE).save(tmp_path / name)
    facts = slide_facts(tmp_path / name, "tile")
    assert (facts.size, facts.levels, facts.downsamples) == ((90, 60), ((90, 60),), (1.0,))
    assert (facts.mpp, facts.objective, facts.vendor) == (None, None, None)
    assert probe(Slide("tile", tmp_path / name, "p")) is None


@pytest.mark.parametrize(
    ("tags", "mpp"),
    [
        ({"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}, 0.5),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (20_000, 20_000), "resolutionunit": "NONE"}, None),
        ({}, None),
    ],
)
def test_microns_per_pixel_from_resolution_tags(tmp_path, tags, mpp):
    """A screen's 72 dots per inch, and a resolution without a unit, say nothing of a microscope."""
    found = slide_facts(tiled(tmp_path / "slide.tif", **tags), "slide").mpp
    assert found == (None if mpp is None else pytest.approx(mpp))


def test_a_truncated_tile_is_told_from_a_sound_one(tmp_path):
    path = tmp_path / "tile.png"
    Image.fromarray(NOISE).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    assert "tile.png" in (probe(Slide("tile", path, "p")) or "")


def test_a_slide_smaller_than_the_probe_is_read(tmp_path):
    write_pyramid(tmp_path / "dot.tif", [np.full((3, 5, 3), 9, np.uint8)], (5, 3), mpp=1.0)
    assert probe(Slide("dot", tmp_path / "dot.tif", "p")) is None
    assert slide_facts(tmp_path / "dot.tif", "dot").levels == ((5, 3),)


def test_a_missing_file_is_named_with_its_slide(tmp_path):
    with pytest.raises(DataError, match=r"'s1'.*gone\.svs.*does not exist"):
        slide_facts(tmp_path / "gone.svs", "s1")
