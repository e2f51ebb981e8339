"""Annotations drawn in the pixels of another level are found by where they lie."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import shapely
from shapely import affinity

from benchmark.annotations import Polygons, Region, check_extent
from benchmark.errors import DataError
from benchmark.slides import Grid

SIZE, DOWN = (20_000, 16_000), (1.0, 4.0, 16.0)
GRID = Grid.regular(SIZE, 500)
LESION = shapely.box(9000, 8000, 15_000, 14_000)


def tissue() -> tuple[np.ndarray, Grid]:
    mask = np.zeros(GRID.shape, np.bool_)
    mask[12:30, 16:34] = True
    return mask, GRID


def drawn(factor: float = 1.0, shape: shapely.Polygon = LESION) -> Polygons:
    return Polygons([Region(affinity.scale(shape, factor, factor, origin=(0, 0)), 1)])


def test_what_fits_says_nothing() -> None:
    assert check_extent(drawn(), SIZE, DOWN, where="s1") == ()
    assert check_extent(drawn(), SIZE, DOWN, where="s1", tissue=tissue()) == ()
    assert check_extent(Polygons(), SIZE, DOWN, where="s1", tissue=tissue()) == ()


@pytest.mark.parametrize("factor", [4.0, 16.0])
def test_too_large_names_the_level_that_fits(factor: float) -> None:
    with pytest.raises(DataError, match=rf"(?s)s1: .*the slide has 20000×16000.*divide its coordinates by {factor:g}$"):
        check_extent(drawn(factor), SIZE, DOWN, where="s1")


def test_too_large_for_every_level_names_its_own_factor() -> None:
    with pytest.raises(DataError, match="divide its coordinates by 43.75"):
        check_extent(drawn(50.0), SIZE, DOWN, where="s1")
    with pytest.raises(DataError, match="divide its coordinates by"):
        check_extent(drawn(4.0), SIZE, (1.0,), where="s1")


@pytest.mark.parametrize("factor", [4.0, 16.0])
def test_too_small_is_found_by_the_tissue(factor: float) -> None:
    with pytest.raises(DataError, match=rf"(?s)s1: 0% of the annotated area lies on tissue.*multiply by {factor:g}$"):
        check_extent(drawn(1 / factor), SIZE, DOWN, where="s1", tissue=tissue())
    assert check_extent(drawn(1 / factor), SIZE, DOWN, where="s1") == ()


def test_a_lesion_off_the_tissue_at_every_scale_is_no_scale_mismatch() -> None:
    corner = shapely.box(19_000, 15_000, 19_900, 15_900)
    assert check_extent(drawn(shape=corner), SIZE, DOWN, where="s1", tissue=tissue()) == ()


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_mask_without_contrast_decides_nothing(everywhere: bool) -> None:
    mask = np.full(GRID.shape, everywhere)
    assert check_extent(drawn(1 / 16), SIZE, DOWN, where="s1", tissue=(mask, GRID)) == ()


def test_what_lies_partly_or_wholly_outside_is_noted() -> None:
    [note] = check_extent(drawn(shape=shapely.box(-1000, 0, 1000, 1000)), SIZE, DOWN, where="s1")
    assert note.text.startswith("50.0% of the annotated area lies beyond the slide")
    [note] = check_extent(drawn(shape=shapely.box(-900, -900, -100, -100)), SIZE, DOWN, where="s1")
    assert note.text.startswith("100.0%")
    [note] = check_extent(drawn(shape=shapely.box(19_000, 0, 20_500, 1000)), SIZE, DOWN, where="s1")
    assert note.text.startswith("33.3%")


def test_holes_do_not_count() -> None:
    annotation = Polygons([Region(LESION, 1), Region(shapely.box(0, 0, 1e6, 1e6), 0)])
    assert check_extent(annotation, SIZE, DOWN, where="s1") == ()


def test_importing_annotations_is_light() -> None:
    heavy = "{'shapely', 'defusedxml', 'scipy', 'skimage', 'torch'}"
    code = f"import sys, benchmark.annotations; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
