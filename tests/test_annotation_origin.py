"""Where an annotation lies: counted from the canvas or from the scanned area, found out or refused, never guessed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from benchmark.annotations import Annotation, Kind, Polygons, Region, placed, read_annotation
from benchmark.annotations.shapes import Bounds
from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.wsi.slides import Slides
from benchmark.errors import AnnotationError
from benchmark.slides import Grid

SIZE: tuple[int, int] = (2048, 2048)
BOUNDS: Bounds = (768, 512, 1024, 1024)
GRID = Grid.regular(SIZE, 64)
Box = tuple[float, float, float, float]


def tissue(*boxes: Box) -> tuple[np.ndarray, Grid]:
    x, y = GRID.centres
    across, down = np.meshgrid(x, y)
    mask = np.zeros(GRID.shape, np.bool_)
    for left, top, right, bottom in boxes:
        mask |= (across > left) & (across < right) & (down > top) & (down < bottom)
    return mask, GRID


def drawn(*boxes: Box, label: int = 1) -> Polygons:
    return Polygons([Region(shapely.box(*box), label) for box in boxes])


def corner(found: Annotation) -> tuple[float, float]:
    left, top, _, _ = shapely.union_all([region.geometry for region in found.polygons()]).bounds
    return left, top


ON_CANVAS: Box = (900, 600, 1000, 700)
DECIDED: dict[str, tuple[Polygons, list[Box] | None, str]] = {
    "a public report: beyond the scan on the canvas": (drawn((410, 410, 717, 717)), None, "bounds"),
    "at the very corner": (drawn((0, 0, 300, 300)), None, "bounds"),
    "as large as the scan, from its corner": (drawn((0, 0, 1024, 1024)), None, "bounds"),
    "a hair beyond the scan": (drawn((-5, 0, 1024, 1024)), None, "bounds"),
    "right of the scan's width": (drawn((1100, 600, 1700, 1500)), None, "canvas"),
    "below the scan's height": (drawn((800, 1100, 1000, 1500)), None, "canvas"),
    "as large as the scan, on the canvas": (drawn((768, 512, 1792, 1536)), None, "canvas"),
    "several, one of which tells": (drawn(ON_CANVAS, (100, 100, 300, 300), (0, 0, 500, 500)), None, "bounds"),
    "fits both, tissue on the canvas": (drawn(ON_CANVAS), [(800, 520, 1100, 800)], "canvas"),
    "fits both, tissue under the scan's corner": (drawn(ON_CANVAS), [(1600, 1050, 1790, 1300)], "bounds"),
    "little of it fits the canvas": (drawn((300, 300, 900, 700)), None, "bounds"),
}


@pytest.mark.parametrize("case", DECIDED)
def test_what_the_extent_or_the_tissue_decides_is_said(case: str) -> None:
    annotation, boxes, expected = DECIDED[case]
    found = placed(annotation, SIZE, BOUNDS, where="s1", tissue=None if boxes is None else tissue(*boxes))
    x, y = corner(annotation)
    assert corner(found) == ((x + 768, y + 512) if expected == "bounds" else (x, y))
    [note] = found.notes
    assert note.kind is Kind.DECIDED
    assert note.text.startswith(f"coordinates taken from the {expected} (")
    assert placed(annotation, SIZE, BOUNDS, where="s1", origin="canvas") is annotation
    moved = placed(annotation, SIZE, BOUNDS, where="s1", origin="bounds")
    assert corner(moved) == (x + 768, y + 512)
    assert moved.notes == ()


OPEN: dict[str, tuple[Polygons, list[Box] | None]] = {
    "fits both, no tissue known": (drawn(ON_CANVAS), None),
    "fits both, tissue everywhere": (drawn(ON_CANVAS), [(0, 0, 2048, 2048)]),
    "fits both, tissue in both places": (drawn(ON_CANVAS), [(800, 520, 1100, 800), (1600, 1050, 1790, 1300)]),
    "fits both, tissue nowhere near": (drawn(ON_CANVAS), [(1200, 1400, 1300, 1500)]),
    "fits neither": (drawn((0, 0, 2048, 2048)), None),
    "fits neither, two corners": (drawn((0, 0, 100, 100), (1900, 1900, 2000, 2000)), None),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_nothing_decides_is_refused_with_the_option(case: str) -> None:
    annotation, boxes = OPEN[case]
    with pytest.raises(
        AnnotationError, match=r"(?s)s1: nothing tells where.*begins at \(768, 512\).*--set origin=canvas"
    ):
        placed(annotation, SIZE, BOUNDS, where="s1", tissue=None if boxes is None else tissue(*boxes))


@pytest.mark.parametrize("bounds", [None, (0, 0, 2048, 2048), (0, 0, 1000, 1000)])
def test_a_scan_that_begins_at_the_corner_leaves_nothing_to_decide(bounds: Bounds | None) -> None:
    annotation = drawn(ON_CANVAS)
    assert placed(annotation, SIZE, bounds, where="s1") is annotation


def test_ignored_areas_and_holes_move_along() -> None:
    annotation = Polygons(
        [Region(shapely.box(100, 100, 400, 400), 1), Region(shapely.box(200, 200, 300, 300), 0)],
        ignored=[shapely.box(0, 0, 128, 128)],
    )
    found = placed(annotation, SIZE, BOUNDS, where="s1")
    assert [region.geometry.bounds[:2] for region in found.polygons()] == [(868, 612), (968, 712)]
    assert np.argwhere(found.ignored(GRID)).min(axis=0).tolist() == [8, 12]


def test_nothing_drawn_needs_no_place() -> None:
    assert placed(Polygons(), SIZE, BOUNDS, where="s1").polygons() == ()


@pytest.mark.parametrize(
    ("shape", "bounds", "origin", "expected"),
    [
        ((100, 200), (500, 300, 800, 400), None, "bounds"),
        ((200, 200), (500, 300, 800, 400), None, "canvas"),
        ((100, 200), (500, 300, 800, 400), "bounds", "bounds"),
        ((200, 200), (500, 500, 800, 800), "bounds", "bounds"),
        ((200, 200), (500, 500, 800, 800), "canvas", "canvas"),
        ((200, 200), (500, 500, 800, 800), None, "refused"),
        ((100, 200), None, None, "error"),
    ],
)
def test_label_images_of_the_scan_or_of_the_canvas(
    tmp_path: Path, shape: tuple[int, int], bounds: Bounds | None, origin: Any, expected: str
) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(np.ones(shape, np.uint8)).save(path)

    def read() -> Annotation:
        return read_annotation(path, size=(1600, 1600), bounds=bounds, origin=origin)

    if expected in ("refused", "error"):
        with pytest.raises(Exception, match="origin=canvas" if expected == "refused" else "proportions differ"):
            read()
        return
    found = read()
    cells = np.argwhere(found.labels(Grid.regular((1600, 1600), 20)))
    assert bounds is not None
    assert cells.min(axis=0).tolist() == ([bounds[1] // 20, bounds[0] // 20] if expected == "bounds" else [0, 0])
    assert [note.kind for note in found.notes] == ([Kind.DECIDED] if expected == "bounds" and origin is None else [])
    assert corner(found) == (bounds[:2] if expected == "bounds" else (0, 0))


def test_slides_whose_scan_does_not_begin_at_the_corner(
    miniatures: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option, and what is found without it, reach the dataset's truth and its notes."""
    root = tmp_path / "mine"
    shutil.copytree(miniatures["slides"], root)
    (root / SYNTHETIC_MARK).unlink()
    usual = Slides(root, Slides.Options())
    slide = next(slide for slide in usual.slides(Split.TEST) if usual.cases[slide.id].lesion)
    grid = usual.evaluation_grid(slide)
    expected = usual.truth(slide).labels(grid)
    rows, cols = np.nonzero(expected)
    x, y = int(cols.min()) * 128, int(rows.min()) * 128
    monkeypatch.setattr(Slides, "bounds", lambda self, slide: (x, y, slide.size[0] - x, slide.size[1] - y))
    path = usual.cases[slide.id].annotation
    assert path is not None
    content = json.loads(path.read_text())
    for feature in content["features"]:
        rings = feature["geometry"]["coordinates"]
        feature["geometry"]["coordinates"] = [[[a - x, b - y] for a, b in ring] for ring in rings]
    path.write_text(json.dumps(content))
    said = Slides(root, Slides.Options(origin="bounds"))
    np.testing.assert_array_equal(said.truth(slide).labels(grid), expected)
    with pytest.raises(ValueError, match="origin"):
        Slides.Options(origin="elsewhere")
    wrong = Slides(root, Slides.Options(origin="canvas"))
    assert (wrong.truth(slide).labels(grid) != expected).any()
