"""Shapes are read or refused, never dropped in silence; crossed outlines are mended in bounded time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from shapely import affinity

from benchmark.annotations import Annotation, Polygons, Region, read_annotation
from benchmark.annotations.mending import mended
from benchmark.errors import AnnotationError, DataError
from benchmark.slides import Grid

GRID = Grid.regular((2048, 2048), 64)
BOX = [(820, 820), (1434, 820), (1434, 1434), (820, 1434)]
DIAGONAL = [BOX[0], BOX[2]]
AREA, ROUND = 614.0**2, np.pi / 4 * 614.0**2
Corners = list[tuple[float, float]]


def turned(points: Corners, degrees: float) -> Corners:
    angle = np.deg2rad(degrees)
    middle = np.mean(BOX, axis=0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return [tuple(point) for point in (np.array(points) - middle) @ turn.T + middle]


ENDS = [(1127, 820), (1434, 1127), (1127, 1434), (820, 1127)]
"""Of the axes of the ellipse in `BOX`."""
OBLONG: Corners = [(820, 820), (1434, 820), (1434, 1127), (820, 1127)]
RHOMBUS: Corners = [(1127, 820), (1434, 973.5), (1127, 1127), (820, 973.5)]
CLOSING: Corners = [*BOX, (820, 824)]
OPEN: Corners = [*BOX, (820, 1200)]


def area(found: Annotation) -> float:
    assert isinstance(found, Polygons)
    drawn = [s for region, s in zip(found.regions, found.visible(), strict=True) if region.label]
    return float(shapely.union_all(drawn).area) if drawn else 0.0


def imagescope(path: Path, kind: str, corners: Corners, tag: str = "Vertex", **facts: Any) -> Path:
    path = path / ("h.annotations" if tag == "V" else "i.xml")
    own = "".join(f' {name}="{value}"' for name, value in facts.items())
    vertices = "".join(f'<{tag} X="{x}" Y="{y}"/>' for x, y in corners)
    path.write_text(
        f'<Annotations><Annotation Id="1" Name="Tumor"><Regions><Region Id="1" Type="{kind}"{own}>'
        f"<Vertices>{vertices}</Vertices></Region></Regions></Annotation></Annotations>"
    )
    return path


IMAGESCOPE: dict[str, tuple[str, Corners, dict[str, Any], float]] = {
    "rectangle of two": ("1", DIAGONAL, {}, AREA),
    "rectangle, the other diagonal": ("1", [BOX[1], BOX[3]], {}, AREA),
    "rectangle, from below": ("1", DIAGONAL[::-1], {}, AREA),
    "rectangle of four": ("1", BOX, {}, AREA),
    "rectangle, closed": ("1", [*BOX, BOX[0]], {}, AREA),
    "rectangle, turned": ("1", turned(BOX, 30), {}, AREA),
    "ellipse of two": ("2", DIAGONAL, {"Area": "296096.0"}, ROUND),
    "ellipse, from below": ("2", DIAGONAL[::-1], {}, ROUND),
    "ellipse of its box": ("2", BOX, {}, ROUND),
    "ellipse, turned": ("2", turned(BOX, 20), {"Area": f"{ROUND}"}, ROUND),
    "oblong ellipse, turned": ("2", turned(OBLONG, 20), {}, ROUND / 2),
    "oblong ellipse by the ends of its axes": ("2", turned(RHOMBUS, 20), {}, ROUND / 2),
    "ellipse by the ends of its axes": ("2", ENDS, {"Area": "296096.0"}, ROUND),
    "ellipse, turned, by the ends of its axes": ("2", turned(ENDS, 10), {"Area": f"{ROUND}"}, ROUND),
    "ellipse of a turned box, by its area": ("2", ENDS, {"Area": f"{ROUND / 2}"}, ROUND / 2),
    "ellipse drawn corner by corner": ("2", [(820 + n, 900 + n * n / 100) for n in range(0, 300, 20)], {}, -1),
    "freehand": ("0", BOX, {}, AREA),
    "freehand, closed": ("0", [*BOX, BOX[0]], {}, AREA),
    "line that closes": ("4", CLOSING, {}, -1),
    "open line": ("4", OPEN, {}, 0),
    "arrow": ("3", DIAGONAL, {}, 0),
    "in HALO's words": ("Ellipse", DIAGONAL, {}, ROUND),
    "in HALO's words, rectangle": ("Rectangle", DIAGONAL, {}, AREA),
    "in HALO's words, polygon": ("Polygon", BOX, {"HasEndcaps": "0"}, AREA),
    "in HALO's words, ruler": ("Ruler", DIAGONAL, {}, 0),
}


@pytest.mark.parametrize("case", IMAGESCOPE)
@pytest.mark.parametrize("tag", ["Vertex", "V"])
def test_regions_of_imagescope_and_halo(tmp_path: Path, case: str, tag: str) -> None:
    kind, corners, facts, expected = IMAGESCOPE[case]
    found = read_annotation(imagescope(tmp_path, kind, corners, tag, **facts))
    wanted = shapely.Polygon(corners).area if expected == -1 else expected
    assert area(found) == pytest.approx(wanted, rel=2e-4)
    if not expected:
        assert str(found.notes[0]) == "1 lines or arrows passed over"
    elif kind == "4":
        assert str(found.notes[0]) == "1 lines that close read as outlines"


def test_the_two_shapes_of_a_public_report_to_the_cell(tmp_path: Path) -> None:
    ellipse = read_annotation(imagescope(tmp_path, "2", DIAGONAL, Area="296096.0"))
    assert int((ellipse.labels(GRID) > 0).sum()) == 69
    rectangle = read_annotation(imagescope(tmp_path, "1", DIAGONAL))
    assert int((rectangle.labels(GRID) > 0).sum()) == 81


@pytest.mark.parametrize(
    "corners", [[*BOX[:3], (900, 1434)], BOX[:3], [(0, 0), (9, 0), (20, 30), (1, 40)], turned(BOX, 20)]
)
def test_an_ellipse_that_is_none_is_refused(tmp_path: Path, corners: Corners) -> None:
    with pytest.raises(AnnotationError, match=r"i\.xml: region 1 of layer 1 is an ellipse given by"):
        read_annotation(imagescope(tmp_path, "2", corners))


def asap(path: Path, kind: str, corners: Corners) -> Path:
    path = path / "a.xml"
    listed = "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}"/>' for n, (x, y) in enumerate(corners))
    path.write_text(
        f'<ASAP_Annotations><Annotations><Annotation Name="A" Type="{kind}" PartOfGroup="Tumor">'
        f"<Coordinates>{listed}</Coordinates></Annotation></Annotations></ASAP_Annotations>"
    )
    return path


ASAP: dict[str, tuple[str, Corners, float, str]] = {
    "polygon": ("Polygon", BOX, AREA, ""),
    "rectangle of two": ("Rectangle", DIAGONAL, AREA, ""),
    "rectangle of four": ("Rectangle", BOX, AREA, ""),
    "rectangle, turned": ("Rectangle", turned(BOX, 45), AREA, ""),
    "spline": ("Spline", BOX, AREA, "1 splines read as the polygon of their points"),
    "dot": ("Dot", BOX[:1], 0, "1 dots or measures passed over"),
    "points": ("PointSet", BOX, 0, "1 dots or measures passed over"),
    "measure": ("Measurement", DIAGONAL, 0, "1 dots or measures passed over"),
    "two corners": ("Polygon", DIAGONAL, 0, "1 outlines of fewer than three corners left out"),
    "no area": ("Polygon", [(0, 0), (5, 5), (9, 9)], 0, "1 outlines without area left out"),
    "no corner": ("Polygon", [], 0, "1 outlines of fewer than three corners left out"),
}


@pytest.mark.parametrize("case", ASAP)
def test_shapes_of_asap(tmp_path: Path, case: str) -> None:
    kind, corners, expected, note = ASAP[case]
    found = read_annotation(asap(tmp_path, kind, corners))
    assert area(found) == pytest.approx(expected)
    assert "".join(map(str, found.notes)) == note


def geometry(kind: str, coordinates: Any, **facts: Any) -> dict[str, Any]:
    return {"type": kind, "coordinates": coordinates, **facts}


RING = [*BOX, BOX[0]]
SOLID = geometry("Polygon", [RING])
SECOND = geometry("Polygon", [[(300, 300), (700, 300), (700, 700), (300, 700), (300, 300)]])
NOTHING = "1 features without a geometry passed over"
GEOJSON: dict[str, tuple[Any, float, str]] = {
    "null": (None, 0, NOTHING),
    "empty object": ({}, 0, NOTHING),
    "empty polygon": (geometry("Polygon", []), 0, NOTHING),
    "polygon of an empty ring": (geometry("Polygon", [[]]), 0, NOTHING),
    "empty multipolygon": (geometry("MultiPolygon", []), 0, NOTHING),
    "empty collection": ({"type": "GeometryCollection", "geometries": []}, 0, NOTHING),
    "collection with a point": (
        {"type": "GeometryCollection", "geometries": [SOLID, geometry("Point", [5, 5])]},
        AREA,
        "1 points or lines passed over",
    ),
    "collection in a collection": (
        {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": [SOLID, SECOND]}]},
        AREA + 400**2,
        "",
    ),
    "multipolygon with an empty part": (geometry("MultiPolygon", [[RING], []]), AREA, NOTHING),
    "closed line": (geometry("LineString", RING), AREA, "1 lines that close read as outlines"),
    "open line": (geometry("LineString", OPEN), 0, "1 points or lines passed over"),
    "lines": (geometry("MultiLineString", [RING, OPEN]), AREA, "1 lines that close read as outlines"),
    "points": (geometry("MultiPoint", BOX), 0, "1 points or lines passed over"),
    "ellipse in its box": (geometry("Polygon", [RING], isEllipse=True), ROUND, ""),
    "ellipse turned": (geometry("Polygon", [turned([*OBLONG, OBLONG[0]], 30)], isEllipse=True), ROUND / 2, ""),
    "ring that is not closed": (geometry("Polygon", [BOX]), AREA, ""),
    "ring that turns the other way": (geometry("Polygon", [RING[::-1]]), AREA, ""),
}


@pytest.mark.parametrize("case", GEOJSON)
def test_geometries_of_geojson(tmp_path: Path, case: str) -> None:
    shape, expected, note = GEOJSON[case]
    path = tmp_path / "q.geojson"
    feature = {"type": "Feature", "geometry": shape, "properties": {"classification": {"name": "Tumor"}}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    found = read_annotation(path)
    assert area(found) == pytest.approx(expected, rel=2e-4)
    assert note in " ".join(map(str, found.notes))
    sound = {"type": "Feature", "geometry": SECOND, "properties": {"classification": {"name": "Tumor"}}}
    path.write_text(json.dumps([feature, sound]))
    if "collection in" not in case:
        assert area(read_annotation(path)) == pytest.approx(expected + 400**2, rel=2e-4)


@pytest.mark.parametrize("where", ["properties", "feature"])
@pytest.mark.parametrize("key", ["childObjects", "child_objects", "children"])
def test_objects_within_objects_are_read(tmp_path: Path, where: str, key: str) -> None:
    tumor = {"classification": {"name": "Tumor"}, "objectType": "annotation"}
    grandchild = {"type": "Feature", "geometry": SECOND, "properties": dict(tumor)}
    cell = {"type": "Feature", "geometry": SOLID, "properties": {**tumor, "objectType": "cell"}}
    child = {"type": "Feature", "geometry": None, "properties": {"objectType": "annotation", key: [grandchild, cell]}}
    parent: dict[str, Any] = {"type": "Feature", "geometry": SOLID, "properties": dict(tumor)}
    (parent["properties"] if where == "properties" else parent)[key] = [child]
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps([parent]))
    found = read_annotation(path)
    assert area(found) == pytest.approx(AREA + 400**2)
    assert [(str(note), note.place) for note in found.notes] == [
        (NOTHING, "feature 0, child 0"),
        ("1 objects of type cell passed over", "feature 0, child 0, child 1"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_of_geojson(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "q.geojson"
    feature = {"type": "Feature", "geometry": SOLID, "properties": {"classification": {"name": "Tumör"}}}
    path.write_bytes(json.dumps([feature], ensure_ascii=False).replace("Tumör", "Tumor").encode(encoding))
    assert area(read_annotation(path)) == pytest.approx(AREA)


@pytest.mark.parametrize("corners", [30, 60, 100])
def test_crossed_outlines_are_mended_as_shapely_mends_them(corners: int) -> None:
    shape = shapely.Polygon(np.random.default_rng(corners).random((corners, 2)) * 1000)
    whole = mended(shape, "x")
    assert whole.is_valid
    assert whole.area == pytest.approx(shapely.make_valid(shape).area, rel=1e-9)


def scribble(corners: int) -> shapely.Polygon:
    return shapely.Polygon(np.random.default_rng(0).random((corners, 2)) * 1000)


def test_a_scribble_is_refused_at_once(tmp_path: Path) -> None:
    start = time.process_time()
    path = asap(tmp_path, "Polygon", shapely.get_coordinates(scribble(3000)).tolist())
    with pytest.raises(AnnotationError, match=r"a\.xml: annotation 'A' crosses itself more than 50000 times"):
        read_annotation(path)
    assert time.process_time() - start < 20


def test_an_outline_that_trembles_is_mended() -> None:
    rng, corners = np.random.default_rng(0), 20_000
    angles = np.sort(rng.random(corners)) * 2 * np.pi + rng.normal(0, 6 * np.pi / corners, corners)
    radii = 1000 + rng.normal(0, 0.5, corners)
    start = time.process_time()
    whole = mended(shapely.Polygon(np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)), "x")
    assert whole.area == pytest.approx(np.pi * 1e6, rel=1e-3)
    assert time.process_time() - start < 20


def test_many_holes_in_one_large_outline(tmp_path: Path) -> None:
    """A tree that is asked for a predicate walks along the large outline for every hole: minutes."""
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    outer = np.stack([50_000 + 49_000 * np.cos(angles), 50_000 + 49_000 * np.sin(angles)], axis=1)
    holes = [shapely.Point(x, y).buffer(50) for x in range(25_000, 75_000, 1000) for y in range(25_000, 75_000, 1000)]
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": {"classification": name}}
        for name, shape in [("Tumor", shapely.Polygon(outer)), *(("Exclusion", hole) for hole in holes)]
    ]
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps(features))
    start = time.process_time()
    found = read_annotation(path)
    assert time.process_time() - start < 20
    assert area(found) == pytest.approx(np.pi * 49_000**2 - 2500 * holes[0].area, rel=1e-6)
    assert found.notes == ()


def test_a_million_corners(tmp_path: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    radii = 30_000 + 2000 * np.sin(37 * angles)
    points = np.stack([50_000 + radii * np.cos(angles), 50_000 + radii * np.sin(angles)], axis=1).round(3)
    path = asap(tmp_path, "Polygon", points.tolist())
    start = time.process_time()
    found = read_annotation(path)
    assert time.process_time() - start < 20
    assert area(found) == pytest.approx(shapely.Polygon(points).area)


def test_regions_move_with_what_they_are_drawn_with() -> None:
    drawn = Polygons([Region(shapely.box(0, 0, 9, 9), 1)], ignored=[shapely.box(4, 4, 9, 9)])
    moved = drawn.moved(10, 20)
    grid = Grid.pixels((40, 40))
    np.testing.assert_array_equal(np.roll(drawn.labels(grid), (20, 10), (0, 1)), moved.labels(grid))
    np.testing.assert_array_equal(np.roll(drawn.ignored(grid), (20, 10), (0, 1)), moved.ignored(grid))
    assert moved.drawn[0].geometry == affinity.translate(drawn.regions[0].geometry, 10, 20)


def test_a_corner_with_a_decimal_comma_is_named(tmp_path: Path) -> None:
    path = asap(tmp_path, "Polygon", BOX)
    path.write_text(path.read_text().replace('X="820"', 'X="820,5"'))
    with pytest.raises(DataError, match=r"annotation 'A' has a corner that is no pair of numbers.*'820,5'"):
        read_annotation(path)
