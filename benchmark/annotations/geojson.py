"""GeoJSON as QuPath reads and writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.drawn import (
    HOLES,
    Drawing,
    check_file,
    class_name,
    is_short,
    label_of,
    lowered,
    outlines_of,
    ring,
)
from benchmark.annotations.polygons import Polygons
from benchmark.errors import DataError
from benchmark.storage import whole_file

COLOURS = ((200, 0, 0), (150, 200, 150), (160, 90, 160), (77, 102, 204))
"""QuPath's own colours for Tumor, Stroma, Necrosis and others; class 1 has the first."""
OTHER_SHAPES = ("Point", "MultiPoint", "LineString", "MultiLineString")


def read_geojson(path: Path, classes: Mapping[str, int] | None = None) -> Polygons:
    """Read polygons with holes and multi-polygons from a feature, a list of features, or a collection; level-0 px.

    `classes`: classification name (any case) → class index, 0 cuts a hole. By default every name is class 1, but
    Exclusion and the like, which are holes. Features without a classification belong to the highest class there
    is, which the notes say; points and lines are passed over.

    Raises `DataError` for a file that cannot be read, or a name that `classes` lacks.
    """
    check_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", fix="export the annotation from QuPath again") from None
    known = lowered(classes.items()) if classes else None
    drawing, bare, other = Drawing(path), 0, 0
    for number, feature in enumerate(_features(content, path)):
        geometry = feature.get("geometry") or {}
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind in OTHER_SHAPES:
            other += 1
            continue
        name = _classification(feature)
        bare += name is None
        label = _label(name, known, path)
        for polygon in _polygons(kind, geometry, f"{path}: feature {number}"):
            _add(drawing, polygon, label, f"feature {number}")
    if bare:
        drawing.notes.append(f"{bare} outlines without a classification taken as class {_label(None, known, path)}")
    if other:
        drawing.notes.append(f"{other} points or lines passed over")
    return drawing.finish()


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


def _features(content: Any, path: Path) -> Iterator[dict[str, Any]]:
    if isinstance(content, dict):
        listed = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    else:
        listed = content
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise DataError(f"{path} is no GeoJSON: expected a FeatureCollection, a Feature or a list of Features")
    for item in listed:
        yield item if item.get("type") == "Feature" or "geometry" in item else {"geometry": item}


def _classification(feature: Mapping[str, Any]) -> str | None:
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, dict) else None
    name = found.get("name") if isinstance(found, dict) else found
    return name if isinstance(name, str) and name.strip() else None


def _label(name: str | None, known: dict[str, int] | None, path: Path) -> int:
    if name is None:
        return 1 if known is None else max(known.values())
    if known is None:
        return 0 if name.strip().lower() in HOLES else 1
    if name.strip().lower() in HOLES and name.strip().lower() not in known:
        return 0
    return label_of(name, known, path, "classification")


def _polygons(kind: Any, geometry: Mapping[str, Any], what: str) -> list[Any]:
    if kind == "Polygon":
        return [geometry.get("coordinates")]
    if kind == "MultiPolygon" and isinstance(geometry.get("coordinates"), list):
        return list(geometry["coordinates"])
    if kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        parts = [part for part in geometry["geometries"] if isinstance(part, dict)]
        if any(part.get("type") == kind for part in parts):
            raise DataError(f"{what} has a collection of geometries within another")
        return [polygon for part in parts for polygon in _polygons(part.get("type"), part, what)]
    raise DataError(f"{what} has a geometry of type {kind!r}, expected Polygon or MultiPolygon")


def _add(drawing: Drawing, rings: Any, label: int, what: str) -> None:
    import shapely

    if not isinstance(rings, list) or not rings:
        raise DataError(f"{drawing.path}: {what} has no coordinates")
    lines = [ring(line, f"{drawing.path}: {what}") for line in rings if isinstance(line, list)]
    if len(lines) != len(rings):
        raise DataError(f"{drawing.path}: {what} has a ring that is no list of corners")
    if is_short(lines[0]):
        drawing.short += 1
        return
    drawing.regions.append(Region(shapely.Polygon(lines[0], [line for line in lines[1:] if not is_short(line)]), label))
