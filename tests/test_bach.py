from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shapely import box

from benchmark.annotations import ByShare, ClassNames, Polygons, Region, read_imagescope
from benchmark.dataset import Split
from benchmark.datasets.wsi.bach import Bach, BachOptions
from benchmark.datasets.wsi.patch_filter import components, luma
from benchmark.errors import AnnotationError
from benchmark.slides import Grid

REGION = (
    '<Region Id="{id}" Type="0" Text="{text}" NegativeROA="0"><Vertices>'
    '<Vertex X="{x}" Y="0"/><Vertex X="{right}" Y="0"/><Vertex X="{right}" Y="100"/><Vertex X="{x}" Y="100"/>'
    "</Vertices></Region>"
)


def imagescope(path: Path, *texts: str, layer: str = "") -> Path:
    """One layer with a square of 100 px per text, side by side."""
    regions = "".join(REGION.format(id=n, text=text, x=100 * n, right=100 * n + 100) for n, text in enumerate(texts))
    head = f'<Annotations MicronsPerPixel="0.466667"><Annotation Id="1" Name="{layer}"><Regions>'
    path.write_text(f"{head}{regions}</Regions></Annotation></Annotations>")
    return path


@pytest.mark.parametrize(("target", "expected"), [("four", [1, 2, 2, 3, 3]), ("tumour", [1, 1, 1, 1, 1])])
@pytest.mark.parametrize("layer", ["", "Layer 1"])
def test_the_text_of_a_region_says_its_class_however_it_is_worded(
    miniatures, tmp_path: Path, target: str, expected: list[int], layer: str
) -> None:
    dataset = Bach(miniatures["bach"], BachOptions(target=target))
    case = next(iter(dataset.cases.values()))
    words = ("Benign", "Carcinoma in situ", "In situ carcinoma", "Carcinoma invasive", "invasive Carcinoma")
    from dataclasses import replace

    truth = dataset.read_truth(replace(case, annotation=imagescope(tmp_path / "a.xml", *words, layer=layer)))
    assert truth.labels(Grid.regular((500, 100), 100))[0].tolist() == expected
    with pytest.raises(AnnotationError, match="Stroma"):
        dataset.read_truth(replace(case, annotation=imagescope(tmp_path / "b.xml", "Benign", "Stroma")))


def test_a_hole_without_a_text_is_of_the_region_before_it(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "a.xml", "Benign", "", "Carcinoma invasive")
    hole = 'Text="" NegativeROA="0"'
    corners = '<Vertex X="{x}" Y="0"/><Vertex X="{right}" Y="0"/><Vertex X="{right}" Y="100"/><Vertex X="{x}" Y="100"/>'
    text = path.read_text().replace(hole, 'NegativeROA="1"')
    inside = corners.format(x=25, right=75).replace('"0"/', '"25"/').replace('"100"/', '"75"/')
    path.write_text(text.replace(corners.format(x=100, right=200), inside))
    names = ClassNames(("normal", "benign", "invasive"), {"Benign": 1, "Carcinoma invasive": 2})
    read = read_imagescope(path, names=names).labels(Grid.regular((300, 100), 20))
    assert read[2].tolist() == [1, 0, 0, 0, 1, *[0] * 5, *[2] * 5] and read[0, :5].tolist() == [1] * 5


def test_a_region_named_normal_is_no_lesion_in_any_imagescope_file(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "a.xml", "Normal", "Tumor", "Benign")
    assert read_imagescope(path).labels(Grid.regular((300, 100), 100))[0].tolist() == [0, 1, 0]
    named = imagescope(tmp_path / "b.xml", "Normal", "", layer="Tumor")
    assert read_imagescope(named).labels(Grid.regular((200, 100), 100))[0].tolist() == [0, 1]
    asked = read_imagescope(named, {"Tumor": 1}, names=ClassNames())
    assert asked.labels(Grid.regular((200, 100), 100))[0].tolist() == [0, 1]


def test_a_cell_is_positive_from_half_of_its_area_on() -> None:
    drawn = Polygons([Region(box(0, 0, 5, 10), 1), Region(box(14, 0, 17, 10), 1), Region(box(17, 0, 20, 10), 2)])
    grid = Grid.regular((30, 10), 10)
    assert ByShare(drawn, 3, 0.5).labels(grid)[0].tolist() == [1, 1, 0]
    assert ByShare(drawn, 3, 0.51).labels(grid)[0].tolist() == [0, 1, 0]
    pixels = Grid.pixels((30, 10))
    np.testing.assert_array_equal(ByShare(drawn, 3, 0.5).labels(pixels), drawn.labels(pixels))


def test_components_are_counted_with_all_eight_neighbours() -> None:
    pixels = np.full((16, 16, 3), 255, np.uint8)
    assert components(pixels) == 0
    pixels[2, 2] = pixels[3, 3] = pixels[8, 8] = pixels[12:14, 1:4] = 40
    assert components(pixels) == 3
    assert luma(np.array([[10, 20, 30]], np.uint8))[0] == 18  # 2.99 + 11.74 + 3.42


def test_what_the_filter_removes_is_published_and_counts_nowhere(miniatures) -> None:
    strict, lax = (Bach(miniatures["bach"], BachOptions(min_components=least)) for least in (10, 0))
    slide = strict.slides(Split.TEST)[0]
    grid = strict.evaluation_grid(slide)
    kept, more = strict.tissue(slide, grid), lax.tissue(slide, grid)
    assert kept.sum() <= more.sum() and not (kept & ~more).any()
    note = next(note for note in strict.reading_notes(slide) if "filter" in note)
    assert note.startswith(f"the filter leaves out {int((~kept).sum())} of {kept.size} cells")
