"""Pyramids as OpenSlide reads them, what they say of themselves, and what is wrong with broken ones."""

import itertools

import numpy as np
import openslide
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.slides import Slide, probe, slide_facts, write_pyramid


def picture(width, height):
    """Smooth colours, which JPEG keeps."""
    y, x = np.mgrid[:height, :width]
    return np.stack([120 + 100 * np.sin(x / 97), 130 + 90 * np.cos(y / 61), (x + y) % 256 / 4 + 90], -1).astype(
        np.uint8
    )


def strips(pixels, heights):
    top = 0
    for height in itertools.cycle(heights):
        if top >= len(pixels):
            return
        yield pixels[top : top + height]
        top += height


@pytest.mark.parametrize(("style", "vendor"), [("tiff", "generic-tiff"), ("svs", "aperio")])
def test_openslide_reads_levels_mpp_and_pixels(tmp_path, style, vendor):
    pixels, path = picture(1500, 1100), tmp_path / f"slide.{style}"
    write_pyramid(path, strips(pixels, [7, 300, 1]), (1500, 1100), mpp=0.25, style=style)
    facts = slide_facts(path, "slide")
    assert facts.vendor == vendor
    assert facts.levels == ((1500, 1100), (375, 275), (93, 68))
    assert facts.mpp == pytest.approx(0.25)
    assert facts.objective == (40 if style == "svs" else None)
    with openslide.OpenSlide(path) as slide:
        whole = np.asarray(slide.read_region((0, 0), 0, (1500, 1100)).convert("RGB")).astype(int)
        small = np.asarray(slide.read_region((0, 0), 1, (375, 275)).convert("RGB")).astype(int)
    assert np.abs(whole - pixels).mean() < 3
    means = pixels.reshape(275, 4, 375, 4, 3).mean((1, 3))
    assert np.abs(small - means).mean() < 3
    assert probe(Slide("slide", path, "p")) is None


def test_aperio_files_show_their_thumbnail(tmp_path):
    write_pyramid(tmp_path / "a.svs", strips(picture(900, 700), [64]), (900, 700), mpp=0.5, style="svs")
    with openslide.OpenSlide(tmp_path / "a.svs") as slide:
        assert set(slide.associated_images) == {"thumbnail"}


def test_without_mpp_the_file_tells_none(tmp_path):
    write_pyramid(tmp_path / "a.tif", strips(picture(600, 500), [64]), (600, 500), mpp=None)
    assert slide_facts(tmp_path / "a.tif", "a").mpp is None


@settings(max_examples=12)
@given(
    st.integers(1, 600),
    st.integers(1, 600),
    st.lists(st.integers(1, 400), min_size=1, max_size=4),
    st.sampled_from("ab"),
)
def test_heights_of_strips_do_not_change_the_file(tmp_path_factory, width, height, heights, _):
    folder, pixels = tmp_path_factory.mktemp("strips"), picture(width, height)
    for name, cut in (("one", [height]), ("many", heights)):
        write_pyramid(folder / name, strips(pixels, cut), (width, height), mpp=0.5)
    assert (folder / "one").read_bytes() == (folder / "many").read_bytes()


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        ([np.zeros((50, 99, 3), np.uint8)], "expected"),
        ([np.zeros((50, 100), np.uint8)], "expected"),
        ([np.zeros((50, 100, 3), np.float32)], "expected"),
        ([np.zeros((40, 100, 3), np.uint8)], "40 rows in all, expected 50"),
        ([np.zeros((30, 100, 3), np.uint8)] * 2, "expected 50"),
    ],
)
def test_strips_that_do_not_fit_leave_nothing_behind(tmp_path, bands, words):
    with pytest.raises(DataError, match=words):
        write_pyramid(tmp_path / "slide.tif", bands, (100, 50), mpp=0.5)
    assert not list(tmp_path.iterdir())


def test_a_source_that_fails_leaves_nothing_behind(tmp_path):
    def bands():
        yield np.zeros((30, 100, 3), np.uint8)
        raise RuntimeError("the painter fell ill")

    with pytest.raises(RuntimeError, match="fell ill"):
        write_pyramid(tmp_path / "slide.tif", bands(), (100, 50), mpp=0.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.8])
def test_truncated_files_are_found_and_named(tmp_path, share):
    path = tmp_path / "slide.tif"
    write_pyramid(path, strips(picture(2000, 1600), [256]), (2000, 1600), mpp=0.25)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "slide.tif" in (probe(Slide("slide", path, "p")) or "")


def test_files_that_are_no_slides_are_named(tmp_path):
    (tmp_path / "notes.tif").write_text("not a slide")
    assert "notes.tif" in (probe(Slide("notes", tmp_path / "notes.tif", "p")) or "")
    assert "missing.tif" in (probe(Slide("gone", tmp_path / "missing.tif", "p")) or "")
    with pytest.raises(DataError, match="'notes'"):
        slide_facts(tmp_path / "notes.tif", "notes")
