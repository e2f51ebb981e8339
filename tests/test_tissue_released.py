"""Tissue as LC-MIL's released code finds it; vectors `hue_8bit` and `paip_mask` of the released code."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.wsi.wsi_options import WsiOptions
from benchmark.slides import Grid, Slide, tissue_mask
from benchmark.slides.tissue import hsv_8bit

CELL = 16
DOCS = Path(__file__).parents[1] / "docs"


def painted(tmp_path, colours):
    """A tile with one uniform cell per colour, in a row."""
    pixels = np.repeat(np.repeat(np.array([colours], np.uint8), CELL, axis=0), CELL, axis=1)
    path = tmp_path / "tile.png"
    Image.fromarray(pixels).save(path)
    return Slide("tile", path, "p"), Grid.regular((CELL * len(colours), CELL), CELL)


@pytest.mark.parametrize(
    ("rgb", "hue", "swapped", "saturation", "value"),
    [
        ((230, 150, 200), 161, 139, 89, 230),
        ((120, 60, 150), 140, 160, 153, 150),
        ((245, 243, 235), 24, 96, 10, 245),
    ],
)
def test_hue_in_the_8_bit_scale_and_with_red_and_blue_swapped(rgb, hue, swapped, saturation, value):
    right = hsv_8bit(np.array([[rgb]], np.uint8))[0, 0]
    wrong = hsv_8bit(np.array([[rgb[::-1]]], np.uint8))[0, 0]
    assert right.tolist() == [hue, saturation, value]
    assert wrong.tolist() == [swapped, saturation, value]
    assert swapped == (120 - hue) % 180


def test_rgb_thresholds_as_released_and_as_the_provider_has_them(tmp_path):
    colours = [(230, 200, 240), (245, 243, 235), (236, 205, 220), (230, 150, 200), (240, 240, 245)]
    slide, grid = painted(tmp_path, colours)
    assert tissue_mask(slide, grid, "rgb-released")[0].tolist() == [True, False, False, True, False]
    assert tissue_mask(slide, grid, "rgb")[0].tolist() == [True, True, True, True, False]


def test_stained_cells_are_tissue_in_every_released_mode(tmp_path):
    glass, pink, purple = (243, 241, 244), (230, 150, 200), (120, 60, 150)
    slide, grid = painted(tmp_path, [glass] * 12 + [pink, purple] * 6)
    for mode in ("rgb-released", "grey-otsu-released"):
        assert tissue_mask(slide, grid, mode)[0].tolist() == [False] * 12 + [True] * 12, mode


def test_swapped_hue_decides_otherwise_on_yellowish_cells(tmp_path):
    """Yellow has a low hue, and a high one when red and blue are swapped."""
    slide, grid = painted(tmp_path, [(243, 243, 243)] * 8 + [(230, 200, 120)] * 4 + [(200, 120, 180)] * 8)
    honest = tissue_mask(slide, grid, "hsv-otsu")[0, 8:12]
    released = tissue_mask(slide, grid, "hsv-otsu-released")[0, 8:12]
    assert not honest.any() and released.all()


def test_what_differs_from_the_released_equalisation_is_said_where_it_is_chosen():
    said = WsiOptions.model_fields["tissue_mode"].description
    assert "grey-otsu-released on all but about 2 % of the cells" in said and "OpenCV" in said
    assert "2 % of the cells" in (DOCS / "methods" / "lcmil.md").read_text(encoding="utf-8")
