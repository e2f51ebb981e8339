"""GeoJSON as QuPath reads and writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.class_names import UNNAMED, ClassNames, says_nothing
from benchmark.annotations.drawn import Drawing, class_name, outlines_of
from benchmark.annotations.notes import Kind
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.shapes import Points, closes, ellipse, ring
from benchmark.annotations.xmlfile import check_file
from benchmark.errors import DataError
from benchmark.storage import whole_file

COLOURS = ((200, 0, 0), (150, 200, 150), (160, 90, 160), (77, 102, 204))
"""QuPath's own colours for Tumor, Stroma, Necrosis and others; class 1 has the first."""
CHILDREN = ("childObjects", "child_objects", "children")
"""Where the objects within an object are listed."""
OLDER_KINDS = {
    "pathannotationobject": "annotation",
    "pathrootobject": "root",
    "pathdetectionobject": "detection",
    "pathcellobject": "cell",
    "pathtileobject": "tile",
    "tmacoreobject": "tmacore",
}
"""What QuPath 0.2 wrote into `id` instead of the object's type."""
DRAWN = ("annotation", "", "unknown")
"""Types of the objects that count; "" where the file does not say."""
DEEPEST = 100
"""Levels of collections within collections that are read."""


def read_geojson(path: Path, names: ClassNames | None = None) -> Polygons:
    """Read polygons with holes, multi-polygons and collections of them, in features, lists or collections; level-0 px.

    Of QuPath's objects the annotations count, also those within other objects; cells, detections, tiles, TMA cores are
    passed over, and so are points, open lines and empty geometries: the notes say it.

    Raises `DataError` for a file that cannot be read, `AnnotationError` for a classification that is not understood.
    """
    check_file(path)
    try:
        raw = path.read_bytes()
        content = json.loads(raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:  # also a number of 5 000 digits
        raise DataError(f"{path} is not JSON: {error}", fix="export the annotation from QuPath again") from None
    drawing, known = Drawing(path), names or ClassNames()
    features = [(place, feature, _object_type(feature)) for place, feature in _features(content, path)]
    classified = any(_classification(feature) for _, feature, kind in features if kind in DRAWN)
    strict = not classified and known.meaning(UNNAMED) is None
    for place, feature, kind in features:
        if kind not in DRAWN:
            drawing.count(f"objects of type {kind} passed over", place)
            continue
        name = _classification(feature) or _own_name(feature, known, strict=strict)
        _read(drawing, feature.get("geometry"), [] if name is None else [name], place, _is_ellipse(feature))
    return drawing.finish(names)


def write_geojson(path: Path, annotation: Annotation, classes: Sequence[str] = ("normal", "tumor")) -> None:
    """Write the visible outlines as QuPath annotations, one feature per polygon, classified and coloured."""
    features = [
        {
            "type": "Feature",
            "id": f"{number:08x}-0000-4000-8000-{number:012x}",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [list(corner) for corner in line.coords] for line in (shape.exterior, *shape.interiors)
                ],
            },
            "properties": {
                "objectType": "annotation",
                "classification": {
                    "name": class_name(label, classes),
                    "color": list(COLOURS[(label - 1) % len(COLOURS)]),
                },
                "isLocked": False,
            },
        }
        for number, (shape, label) in enumerate(outlines_of(annotation))
    ]
    with whole_file(path) as temporary:
        text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _features(content: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every feature with its place, and the features within it."""
    if isinstance(content, dict):
        listed = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    else:
        listed = content
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise DataError(f"{path} is no GeoJSON: expected a FeatureCollection, a Feature or a list of Features")
    waiting = [(f"feature {number}", item) for number, item in enumerate(listed)][::-1]
    while waiting:
        place, item = waiting.pop()
        feature = item if item.get("type") == "Feature" or "geometry" in item else {"geometry": item}
        yield place, feature
        inside = [child for holder in (feature, feature.get("properties")) for child in _children(holder, path, place)]
        waiting += [(f"{place}, child {number}", child) for number, child in enumerate(inside)][::-1]


def _children(holder: Any, path: Path, place: str) -> list[dict[str, Any]]:
    listed = [holder[key] for key in CHILDREN if key in holder] if isinstance(holder, dict) else []
    children = [child for part in listed if part is not None for child in (part if isinstance(part, list) else [part])]
    if not all(isinstance(child, dict) for child in children):
        raise DataError(f"{path}: {place} has children that are no features")
    return children


def _object_type(feature: Mapping[str, Any]) -> str:
    """QuPath's type of an object in lower case; "" where the file does not say."""
    properties = feature.get("properties")
    own = properties if isinstance(properties, dict) else {}
    for text in (own.get("objectType"), own.get("object_type"), feature.get("objectType")):
        if isinstance(text, str):
            return OLDER_KINDS.get(text.strip().lower(), text.strip().lower())
    text = feature.get("id")
    return OLDER_KINDS.get(text.strip().lower(), "") if isinstance(text, str) else ""


def _classification(feature: Mapping[str, Any]) -> str | None:
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, dict) else None
    name = found.get("name") if isinstance(found, dict) else found
    if isinstance(found, dict) and isinstance(found.get("names"), list):
        name = ": ".join(str(part) for part in found["names"])
    return name.strip() if isinstance(name, str) and name.strip() else None


def _own_name(feature: Mapping[str, Any], names: ClassNames, *, strict: bool) -> str | None:
    """The name that somebody gave an object without a classification; None where it tells no class.

    One that is understood always counts. Another one counts, and is refused, where nothing else in the file tells what
    is drawn (`strict`): beside classes it may as well be a remark.
    """
    properties = feature.get("properties")
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str):
        return None
    if names.meaning(name) is not None:
        return name.strip()
    tells = strict and not says_nothing(name) and any(letter.isalpha() for letter in name)
    return name.strip() if tells else None


def _is_ellipse(feature: Mapping[str, Any]) -> bool:
    holders = (feature.get("geometry"), feature.get("properties"))
    return any(isinstance(holder, dict) and holder.get("isEllipse") is True for holder in holders)


def _read(
    drawing: Drawing, geometry: Any, names: Sequence[str], place: str, elliptic: bool = False, depth: int = 0
) -> None:
    where = f"{drawing.path}: {place}"
    if geometry is None or (isinstance(geometry, dict) and not geometry):
        drawing.count("features without a geometry passed over", place)
        return
    if not isinstance(geometry, dict):
        raise DataError(f"{where} has a {type(geometry).__name__} as its geometry, expected a Polygon or MultiPolygon")
    kind = geometry.get("type")
    listed = geometry.get("geometries" if kind == "GeometryCollection" else "coordinates")
    if kind not in ("Polygon", "MultiPolygon", "GeometryCollection", "Point", "MultiPoint", *LINES) or depth > DEEPEST:
        raise DataError(f"{where} has a geometry of type {kind!r}, expected Polygon or MultiPolygon")
    if not isinstance(listed, list):
        raise DataError(f"{where} has no coordinates")
    if not listed:
        drawing.count("features without a geometry passed over", place)
    elif kind == "GeometryCollection":
        for part in listed:
            _read(drawing, part, names, place, elliptic, depth + 1)
    elif kind in ("Polygon", "MultiPolygon"):
        for rings in [listed] if kind == "Polygon" else listed:
            _add(drawing, rings, names, place, elliptic)
    elif kind in LINES:
        for line in [listed] if kind == "LineString" else listed:
            _add_line(drawing, ring(line, where), names, place)
    else:
        drawing.count("points or lines passed over", place)


LINES = ("LineString", "MultiLineString")


def _add_line(drawing: Drawing, points: Points, names: Sequence[str], place: str) -> None:
    if closes(points):
        drawing.count("lines that close read as outlines", place, Kind.ASSUMED)
        drawing.add(points, names, place)
    else:
        drawing.count("points or lines passed over", place)


def _add(drawing: Drawing, rings: Any, names: Sequence[str], place: str, elliptic: bool) -> None:
    where = f"{drawing.path}: {place}"
    if not isinstance(rings, list):
        raise DataError(f"{where} has no coordinates")
    if not rings or rings == [[]]:
        drawing.count("features without a geometry passed over", place)
        return
    if not all(isinstance(line, list) for line in rings):
        raise DataError(f"{where} has a ring that is no list of corners")
    outer, *inner = (ring(line, where) for line in rings)
    if elliptic and len(outer):
        outer = ellipse(outer, where)
    drawing.add(outer, names, place, inner=inner)
