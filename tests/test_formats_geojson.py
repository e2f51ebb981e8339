"""GeoJSON as QuPath and others write it, sound and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.annotations import ClassNames, Meaning, Polygons, read_annotation, read_geojson
from benchmark.errors import AnnotationError, DataError
from benchmark.slides import Grid

GRID = Grid.regular((100, 100), 1)
SQUARE = [[10, 10], [90, 10], [90, 90], [10, 90], [10, 10]]
SMALL = [[30, 30], [60, 30], [60, 60], [30, 60], [30, 30]]
BESIDE = [[0, 0], [5, 0], [5, 5], [0, 5], [0, 0]]


def feature(*rings: Any, name: str | None = "Tumor", kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    coordinates = [[ring] for ring in rings] if kind == "MultiPolygon" else list(rings)
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def read(tmp_path: Path, content: Any, classes: dict[str, Meaning] | None = None) -> Polygons:
    path = tmp_path / "q.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_geojson(path, ClassNames(given=classes or {}))


def area(found: Polygons) -> int:
    return int((found.labels(GRID) > 0).sum())


@pytest.mark.parametrize("form", ["collection", "feature", "list", "geometry"])
def test_forms_of_a_file(tmp_path: Path, form: str) -> None:
    one = feature(SQUARE, SMALL)
    content = {
        "collection": {"type": "FeatureCollection", "features": [one]},
        "feature": one,
        "list": [one],
        "geometry": one["geometry"],
    }[form]
    assert area(read(tmp_path, content)) == 6400 - 900


def test_multipolygons_and_three_coordinates(tmp_path: Path) -> None:
    deep = [[x, y, 0] for x, y in BESIDE]
    with pytest.raises(DataError, match="corner"):
        read(tmp_path, [feature([[1, 2], [3], [4, 5]])])
    assert area(read(tmp_path, [feature(SQUARE, BESIDE, kind="MultiPolygon")])) == 6425
    assert area(read(tmp_path, [feature(deep)])) == 25


def test_older_classifications(tmp_path: Path) -> None:
    old = feature(SQUARE, name=None, classification={"name": "Tumor", "colorRGB": -3670016})
    plain = feature(SQUARE, name=None, classification="Tumor")
    for one in (old, plain):
        assert read(tmp_path, [one], {"tumor": 1}).regions[0].label == 1


def test_without_a_classification_it_is_the_positive_class_and_said(tmp_path: Path) -> None:
    found = read(tmp_path, [feature(SQUARE, name=None)])
    assert found.regions[0].label == 1
    assert tuple(map(str, found.notes)) == ("1 outlines without a classification taken as class 1",)


def test_unknown_and_excluding_classes(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"(?s)q\.geojson: the classification 'Stroma'.*--set classes='Stroma=0'"):
        read(tmp_path, [feature(SQUARE, name="Stroma")], {"Tumor": 1})
    assert area(read(tmp_path, [feature(SMALL, name="Exclusion"), feature(SQUARE)], {"Tumor": 1})) == 6400 - 900


def named(ring: Any, text: str) -> dict[str, Any]:
    """An object of QuPath with a name and without a class."""
    one = feature(ring, name=None, objectType="annotation")
    one["properties"]["name"] = text
    return one


@pytest.mark.parametrize("text", ["Annotation", "Annotation 12", "0042-0100", " "])
def test_a_name_that_says_nothing_is_none(tmp_path: Path, text: str) -> None:
    assert area(read(tmp_path, [named(SQUARE, text), named(BESIDE, "Annotation 7")])) == 6425


def test_an_object_without_a_class_is_what_its_name_says(tmp_path: Path) -> None:
    assert area(read(tmp_path, [named(SQUARE, "Normal tissue")])) == 0
    assert area(read(tmp_path, [named(SQUARE, "Tumor 1"), named(SMALL, "Exclusion")])) == 6400 - 900
    with pytest.raises(AnnotationError, match=r"(?s)'Necrosis'.*--set classes='Necrosis=0'"):
        read(tmp_path, [named(SQUARE, "Necrosis"), named(SMALL, "Tumor")])
    assert area(read(tmp_path, [named(SQUARE, "Core 7")], {"Core 7": 1})) == 6400
    assert area(read(tmp_path, [named(SQUARE, "7")], {"7": 0})) == 0
    assert area(read(tmp_path, [named(SQUARE, "Core 7")], {"unclassified": 1})) == 6400


def test_beside_classes_a_name_may_be_a_remark(tmp_path: Path) -> None:
    assert area(read(tmp_path, [named(SQUARE, "look again"), feature(SMALL)])) == 900
    assert area(read(tmp_path, [named(SMALL, "normal gland"), feature(BESIDE)])) == 25
    with pytest.raises(AnnotationError, match="unclassified"):
        read(tmp_path, [named(SQUARE, "Necrosis"), feature(BESIDE)])


def test_points_and_lines_are_passed_over(tmp_path: Path) -> None:
    line = feature(*SQUARE[:3], kind="LineString")
    found = read(tmp_path, [line, feature(SQUARE)])
    assert area(found) == 6400
    assert tuple(map(str, found.notes)) == ("1 points or lines passed over",)


def test_rings_of_two_corners_are_reported(tmp_path: Path) -> None:
    line = [[1, 1], [5, 5], [1, 1]]
    found = read(tmp_path, [feature(line), feature(SQUARE, line), feature(line[:2])])
    assert area(found) == 6400
    assert tuple(map(str, found.notes)) == ("2 outlines of fewer than three corners left out",)


def test_self_crossing_is_mended_and_reported(tmp_path: Path) -> None:
    found = read(tmp_path, [feature([[10, 10], [90, 90], [90, 10], [10, 90], [10, 10]])])
    assert tuple(map(str, found.notes)) == ("1 outlines that cross themselves mended",)
    assert area(found) > 3000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("3", "no GeoJSON"),
        ('{"type": "FeatureCollection"}', "no GeoJSON"),
        ("[1, 2]", "no GeoJSON"),
        ('{"type": "Feature", "geometry": {"type": "Polygon"}}', "no coordinates"),
        ('{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [7]}}', "no list of corners"),
        ('{"type": "Feature", "geometry": {"type": "Circle"}}', "geometry of type 'Circle'"),
        (json.dumps(feature([[float("nan"), 1], [2, 3], [4, 5]])), "corner"),
        (json.dumps(feature([[float("inf"), 1], [2, 3], [4, 5]])), "corner"),
        (json.dumps(feature([["a", 1], [2, 3], [4, 5]])), "corner"),
        (json.dumps(feature([[None, 1], [2, 3], [4, 5]])), "corner"),
    ],
)
def test_broken_files(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"q\.geojson.*{message}"):
        read(tmp_path, content)


def test_a_byte_order_mark_and_the_suffix_json(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text("\ufeff" + json.dumps([feature(SQUARE)]), encoding="utf-8")
    assert (read_annotation(path).labels(GRID) > 0).sum() == 6400
    path.write_bytes(b'{"type": "\xff"}')
    with pytest.raises(DataError, match="is not JSON"):
        read_annotation(path)
