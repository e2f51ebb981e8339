"""What is written in a format and read again has the same cells and the same classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.annotations import (
    Annotation,
    ClassNames,
    LabelImage,
    Meaning,
    Polygons,
    Region,
    read_annotation,
    read_asap,
    read_geojson,
    read_imagescope,
    write_asap,
    write_geojson,
    write_imagescope,
    write_label_image,
)
from benchmark.annotations.drawn import nested
from benchmark.slides import Grid

CLASSES = ("normal", "tumor", "Nekrose & <Rand>")
NAMES = ClassNames(CLASSES)
GRID = Grid.regular((64, 64), 1)
WRITERS: dict[str, Callable[..., None]] = {
    "a.xml": write_asap,
    "i.xml": write_imagescope,
    "q.geojson": write_geojson,
}


def read(path: Path) -> Polygons:
    if path.name == "a.xml":
        return read_asap(path, NAMES)
    return read_imagescope(path, names=NAMES) if path.name == "i.xml" else read_geojson(path, NAMES)


@st.composite
def boxes(draw: st.DrawFn) -> shapely.Polygon:
    """Corners at quarters of a pixel, so that no outline runs through the centre of a cell."""
    x, y = (draw(st.integers(0, 50)) + 0.25 for _ in range(2))
    return shapely.box(x, y, x + draw(st.integers(1, 30)), y + draw(st.integers(1, 30)))


@st.composite
def stars(draw: st.DrawFn) -> shapely.Polygon:
    """Polygons of any form around a middle."""
    radii = draw(st.lists(st.floats(1.0, 25.0), min_size=3, max_size=12))
    middle = np.array([draw(st.integers(10, 50)), draw(st.integers(10, 50))]) + 0.137
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) + 0.1
    return shapely.Polygon(middle + np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))


@st.composite
def annotations(draw: st.DrawFn) -> Polygons:
    regions = []
    for _ in range(draw(st.integers(1, 5))):
        shape = draw(st.one_of(boxes(), stars(), stars()))
        if draw(st.booleans()):
            shape = shape.difference(shapely.affinity.scale(shape, 0.4, 0.4))
        if draw(st.booleans()):
            shape = shapely.union_all([shape, draw(boxes())])
        regions.append(Region(shape, draw(st.sampled_from([1, 1, 2, 0]))))
    return Polygons(regions)


def same_cells(found: Annotation, expected: Polygons) -> None:
    """Equal but for centres that lie on an outline to rounding."""
    shapes = [region.geometry.boundary for region in (*found.polygons(), *expected.polygons())]
    differ = np.argwhere(found.labels(GRID) != expected.labels(GRID))
    edges = shapely.union_all(shapes)
    assert all(edges.distance(shapely.Point(col + 0.5, row + 0.5)) < 1e-6 for row, col in differ), expected.regions


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(annotation=annotations())
def test_the_same_cells_come_back(tmp_path: Path, name: str, annotation: Polygons) -> None:
    path = tmp_path / name
    WRITERS[name](path, annotation, CLASSES)
    if (annotation.labels(GRID) > 0).any():
        same_cells(read(path), annotation)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(annotation=annotations())
def test_label_images_hold_the_cells(tmp_path: Path, annotation: Polygons) -> None:
    path = tmp_path / "mask.png"
    write_label_image(path, annotation, GRID)
    found = read_annotation(path, CLASSES, size=(64, 64))
    np.testing.assert_array_equal(found.labels(GRID), annotation.labels(GRID))


RING = shapely.Point(32.1, 32.1).buffer(30).difference(shapely.Point(32.1, 32.1).buffer(20))
CORE = shapely.Point(32.1, 32.1).buffer(20)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("ring", [1, 2])
def test_what_fills_a_hole_stays(tmp_path: Path, name: str, order: tuple[int, int], ring: int) -> None:
    pair = (Region(RING, ring), Region(CORE, 3 - ring))
    annotation = Polygons([pair[index] for index in order])
    WRITERS[name](tmp_path / name, annotation, CLASSES)
    found = read(tmp_path / name)
    assert (found.labels(GRID) == 3 - ring).sum() == (Polygons([pair[1]]).labels(GRID) > 0).sum()
    same_cells(found, annotation)


@pytest.mark.parametrize("name", WRITERS)
def test_an_island_in_a_hole_stays(tmp_path: Path, name: str) -> None:
    annotation = Polygons([Region(RING, 1), Region(shapely.Point(32.1, 32.1).buffer(8), 1)])
    WRITERS[name](tmp_path / name, annotation, CLASSES)
    same_cells(read(tmp_path / name), annotation)
    assert annotation.labels(GRID)[32, 32] == 1
    assert annotation.labels(GRID)[32, 18] == 0


@pytest.mark.parametrize("name", WRITERS)
def test_two_classes_are_read_by_their_own_names(tmp_path: Path, name: str) -> None:
    annotation = Polygons([Region(RING, 1)])
    WRITERS[name](tmp_path / name, annotation, ("other", "Drüse"))
    same_cells(read_annotation(tmp_path / name, ("other", "Drüse")), annotation)


@pytest.mark.parametrize("name", WRITERS)
def test_three_classes_are_read_by_suffix_and_content(tmp_path: Path, name: str) -> None:
    annotation = Polygons([Region(RING, 1), Region(CORE, 2)])
    WRITERS[name](tmp_path / name, annotation, CLASSES)
    same_cells(read_annotation(tmp_path / name, CLASSES), annotation)


@pytest.mark.parametrize("name", WRITERS)
def test_files_are_the_same_every_time_and_leave_nothing_beside(tmp_path: Path, name: str) -> None:
    annotation = Polygons([Region(RING, 1), Region(CORE, 2)])
    for folder in ("one", "two"):
        WRITERS[name](tmp_path / folder / name, annotation, CLASSES)
        assert [path.name for path in (tmp_path / folder).iterdir()] == [name]
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (tmp_path / "one" / name).read_text(encoding="utf-8")


SPELLINGS = {
    1: ("Tumor", "TUMOUR", "metastases", "Lesion 2", "invasive carcinoma", "_0", "Malignant", "whole_tumor", "Cancer"),
    2: ("Nekrose", "NEKROSE", "nekrose 3", "Nekrose-Areal"),
    0: ("Exclusion", "exclude", "_2", "Hole", "tumor exclusion"),
}
GIVEN: dict[str, Meaning] = {"Nekrose": 1, "nekrose areal": 1}


@st.composite
def spelled(draw: st.DrawFn) -> tuple[list[shapely.Polygon], list[str]]:
    """Outlines of a lesion by its names, by names that the option maps, holes, and what adds nothing."""
    shapes, names = [], []
    for _ in range(draw(st.integers(1, 5))):
        shapes.append(draw(st.one_of(boxes(), stars())))
        label = draw(st.sampled_from([1, 1, 2, 0]))
        names.append(draw(st.sampled_from(SPELLINGS[label])))
    for _ in range(draw(st.integers(0, 2))):
        shapes.append(draw(boxes()))
        names.append(draw(st.sampled_from(["normal", "Benign", "non-tumor", "Region*", "Healthy tissue"])))
    return shapes, names


def written(path: Path, shapes: list[shapely.Polygon], names: list[str]) -> Path:
    """The outlines as ASAP groups, ImageScope layers or texts, or QuPath's classifications."""
    if path.suffix == ".geojson":
        features = [
            {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": {"classification": name}}
            for shape, name in zip(shapes, names, strict=True)
        ]
        path.write_text(json.dumps(features))
        return path
    tag, body = ("Coordinate" if path.name == "a.xml" else "Vertex"), ""
    for shape, name in zip(shapes, names, strict=True):
        corners = "".join(f'<{tag} X="{x!r}" Y="{y!r}"/>' for x, y in shapely.get_coordinates(shape).tolist())
        if path.name == "a.xml":
            body += f'<Annotation Name="A" Type="Polygon" PartOfGroup="{name}">{corners}</Annotation>'
            continue
        layer, text = (name, "") if path.name == "layers.xml" else ("", name)
        body += f'<Annotation Id="1" Name="{layer}"><Region Id="1" Text="{text}">{corners}</Region></Annotation>'
    root = "ASAP_Annotations" if path.name == "a.xml" else "Annotations"
    path.write_text(f"<{root}>{body}</{root}>")
    return path


@pytest.mark.parametrize("name", ["a.xml", "layers.xml", "texts.xml", "q.geojson"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=spelled())
def test_every_spelling_gives_the_same_mask(tmp_path: Path, name: str, drawn: Any) -> None:
    shapes, names = drawn
    found = read_annotation(written(tmp_path / name, shapes, names), ClassNames(given=GIVEN))
    labels = [next((label for label, own in SPELLINGS.items() if text in own), None) for text in names]
    regions = [Region(shape, min(label, 1)) for shape, label in zip(shapes, labels, strict=True) if label is not None]
    same_cells(found, Polygons(nested(Polygons(regions).regions)))
    mask = tmp_path / "mask.png"
    write_label_image(mask, found, GRID)
    np.testing.assert_array_equal(read_annotation(mask, size=(64, 64)).labels(GRID), found.labels(GRID))


def test_nothing_drawn_is_nothing_read(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        write(tmp_path / name, Polygons(), CLASSES)
        assert read(tmp_path / name).regions == ()


def test_what_qupath_asks_for(tmp_path: Path) -> None:
    write_geojson(tmp_path / "q.geojson", Polygons([Region(RING, 1), Region(CORE, 2)]), CLASSES)
    content: dict[str, Any] = json.loads((tmp_path / "q.geojson").read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    assert [item["properties"]["classification"]["name"] for item in content["features"]] == list(CLASSES[1:])
    for item in content["features"]:
        assert item["properties"]["objectType"] == "annotation"
        assert item["properties"]["isLocked"] is False
        colour = item["properties"]["classification"]["color"]
        assert len(colour) == 3
        assert all(0 <= part <= 255 for part in colour)
        assert all(line[0] == line[-1] for line in item["geometry"]["coordinates"])
    assert len({item["id"] for item in content["features"]}) == 2


def test_a_label_image_of_a_slide_that_is_no_multiple_of_the_cell(tmp_path: Path) -> None:
    size = (1000, 700)
    grid = Grid.regular(size, 256)
    annotation = Polygons([Region(shapely.box(0, 0, 520, 700), 1)])
    write_label_image(tmp_path / "m.png", annotation, grid)
    found = read_annotation(tmp_path / "m.png", size=size)
    assert isinstance(found, LabelImage)
    assert found.downsample == 256
    np.testing.assert_array_equal(found.labels(grid), annotation.labels(grid))
